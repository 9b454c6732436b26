"""The random draws of a trace, taken out of it: made by PyTorch in the order of the program, and handed in."""

from __future__ import annotations

import operator
from functools import partial

import torch
from torch import fx

from mamlbook.torch_internals import draws_numbers, only_looks_at_form, writes

aten = torch.ops.aten


def separate_draws(graph: fx.GraphModule) -> fx.GraphModule:
    """Cut all draws out of a trace, and give the function that makes them: of the trace's inputs, to a list.

    The trace takes them as inputs, behind those that it has. Compilers order draws as suits them, drop those that
    nobody uses, or draw by a rule of their own; made beforehand they are those of the program, one after the other.
    What a draw is computed from, such as a probability, is computed there as well. Every node needs its value in
    ``meta["val"]``, strides included.
    """
    nodes = list(graph.graph.nodes)
    draws = [node for node in nodes if draws_numbers(node)]
    separate, copies = _copied(nodes, draws)
    inputs = [output for draw in draws for output in _tensors(draw)]
    separate.output([copies[node] for node in inputs])
    _hand_in(graph.graph, inputs)
    for draw in reversed(draws):
        graph.graph.erase_node(draw)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return fx.GraphModule(graph, separate)


def _tensors(draw: fx.Node) -> list[fx.Node]:
    """The draw itself, or what is taken from it where it gives several tensors."""
    if isinstance(draw.meta["val"], torch.Tensor):
        return [draw]
    return [user for user in draw.users if user.target is operator.getitem]


def _copied(nodes: list[fx.Node], draws: list[fx.Node]) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
    """A graph of the draws and of all that they depend on, in the old order, and what became of each node."""
    needed, waiting = set(), [output for draw in draws for output in (draw, *_tensors(draw))]
    while waiting:
        node = waiting.pop()
        if node not in needed:
            needed.add(node)
            waiting += [] if only_looks_at_form(node) else node.all_input_nodes
    separate = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        if node.op == "placeholder" or node in needed:
            given = partial(_empty, separate) if only_looks_at_form(node) else copies.__getitem__
            copies[node] = separate.node_copy(node, given)
    return separate, copies


def _empty(graph: fx.Graph, node: fx.Node) -> fx.Node:
    like = node.meta["val"]
    form = {"dtype": like.dtype, "device": like.device}
    return graph.call_function(aten.empty_strided.default, (list(like.shape), list(like.stride())), form)


def _hand_in(graph: fx.Graph, draws: list[fx.Node]) -> None:
    written = any(writes(node) for node in graph.nodes if not draws_numbers(node))
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    for number, draw in enumerate(draws):
        with graph.inserting_after(last):
            last = given = graph.placeholder(f"draw_{number}")
        given.meta["val"] = draw.meta["val"]
        with graph.inserting_before(draw):
            # What the trace writes into is to be its own.
            value = graph.call_function(aten.clone.default, (given,)) if written else given
        value.meta["val"] = draw.meta["val"]
        draw.replace_all_uses_with(value)
        if not draws_numbers(draw):
            graph.erase_node(draw)
