"""What all tasks share is multiplied once: a rewriting of a traced meta-step."""

from __future__ import annotations

import torch
from torch import fx

aten = torch.ops.aten
_SAME = (aten.view.default, aten._unsafe_view.default, aten.reshape.default)
_SCALED = (aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar)


def merge_products(graph: fx.GraphModule) -> int:
    """Turn batched products that need no batch into plain ones, and say how many: the numbers stay the same.

    A product of every task with weights that are theta's for all of them is one product of all examples,
    [a_1; ...; a_B] w, and a sum of products over tasks is one product with a longer inner axis,
    sum_b a_b w_b = [a_1, ..., a_B] [w_1; ...; w_B]. One product is quicker than many small ones. Every node needs its
    value in ``meta["val"]``, strides included.
    """
    rewriting = _Rewriting(graph.graph)
    for node in list(graph.graph.nodes):
        if node.target is aten.sum.dim_IntList and list(node.args[1]) == [0] and _value(_operand(node)).ndim == 3:
            rewriting.sum_over_tasks(node)
    graph.graph.eliminate_dead_code()
    for node in list(graph.graph.nodes):
        if node.target is aten.bmm.default:
            rewriting.shared_weights(node)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return rewriting.count


def _value(node: fx.Node) -> torch.Tensor:
    return node.meta["val"]


def _operand(node: fx.Node, place: int = 0) -> fx.Node:
    """The node in the place of an argument that is a tensor in every call of the operation."""
    operand = node.args[place]
    assert isinstance(operand, fx.Node)
    return operand


def _transposed(node: fx.Node) -> list[int]:
    """The axes that a transpose exchanges, counted from the front."""
    axes = [axis for axis in node.args[1:] if isinstance(axis, int)]
    return [axis % _value(node).ndim for axis in axes]


class _Rewriting:
    def __init__(self, graph: fx.Graph):
        self.graph, self.count = graph, 0

    def shared_weights(self, node: fx.Node) -> None:
        left, right = _operand(node), _operand(node, 1)
        tasks, rows, inner = _value(left).shape
        columns = _value(right).shape[2]
        # A stride of 0 over tasks: one matrix, seen B times. Products with a vector are left to the compiler.
        if tasks == 1 or _value(right).stride(0) or min(rows, inner, columns) == 1:
            return
        with self.graph.inserting_before(node):
            flat = self._call(aten.reshape.default, left, [tasks * rows, inner])
            product = self._call(aten.mm.default, flat, self._call(aten.select.int, right, 0, 0))
            node.replace_all_uses_with(self._call(aten.reshape.default, product, [tasks, rows, columns]))
        self.count += 1

    def sum_over_tasks(self, node: fx.Node) -> None:
        before, keeps_axis = self.count, len(node.args) > 2 and node.args[2]
        with self.graph.inserting_before(node):
            total = self._summed(_operand(node))
            if keeps_axis:
                total = self._call(aten.unsqueeze.default, total, 0)
        if self.count > before:
            node.replace_all_uses_with(total)

    def _summed(self, x: fx.Node) -> fx.Node:
        """The sum over the first axis, carried through what is linear as far as nobody else needs the terms."""
        target, inside = x.target, (isinstance(a, fx.Node) and _value(a).shape == _value(x).shape for a in x.args[:2])
        if len(x.users) > 1:
            return self._call(aten.sum.dim_IntList, x, [0])
        if target is aten.bmm.default and min(*_value(x).shape[1:], _value(_operand(x)).shape[2]) > 1:
            return self._joined(_operand(x), _operand(x, 1))
        if target is aten.add.Tensor and len(x.args) == 2 and not x.kwargs and all(inside):
            return self._call(target, *(self._summed(_operand(x, place)) for place in (0, 1)))
        if target in _SCALED and not isinstance(x.args[1], fx.Node):
            return self._call(target, self._summed(_operand(x)), x.args[1])
        if target is aten.neg.default:
            return self._call(target, self._summed(_operand(x)))
        if target in _SAME and _value(_operand(x)).shape == _value(x).shape:
            return self._summed(_operand(x))
        if target is aten.transpose.int and 0 not in (axes := _transposed(x)):
            return self._call(target, self._summed(_operand(x)), *(axis - 1 for axis in axes))
        return self._call(aten.sum.dim_IntList, x, [0])

    def _joined(self, left: fx.Node, right: fx.Node) -> fx.Node:
        tasks, rows, inner = _value(left).shape
        wide = self._call(
            aten.reshape.default, self._call(aten.permute.default, left, [1, 0, 2]), [rows, tasks * inner]
        )
        tall = self._call(aten.reshape.default, right, [tasks * inner, _value(right).shape[2]])
        self.count += 1
        return self._call(aten.mm.default, wide, tall)

    def _call(self, function, *arguments) -> fx.Node:
        node = self.graph.call_function(function, arguments)
        values = [_value(a) if isinstance(a, fx.Node) else a for a in arguments]
        node.meta["val"] = function(*values)
        return node
