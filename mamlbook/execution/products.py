"""The products of a traced meta-step, rewritten: the same numbers by faster ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import fx

aten = torch.ops.aten


def rewrite_products(graph: fx.GraphModule) -> int:
    """Turn batched products that need no batch into plain ones, and say how many; turn others over.

    A product of every task with weights that are theta's for all of them is one product of all examples,
    [a_1; ...; a_B] w, and a sum of products over tasks is one product with a longer inner axis,
    sum_b a_b w_b = [a_1, ..., a_B] [w_1; ...; w_B]. One product is quicker than many small ones.

    a w^T with more rows in a than in w is computed as (w a^T)^T. The compiler stores each operand in one layout for
    all that read it. Where it stores this a as its transpose, both operands are read across their rows, for which the
    library of products takes seven times as long.

    Every node needs its value in ``meta["val"]``, strides included.
    """
    rewriting = _Rewriting(graph.graph)
    for node in list(graph.graph.nodes):
        if node.target is aten.sum.dim_IntList and list(node.args[1]) == [0] and _value(_operand(node)).ndim == 3:
            rewriting.sum_over_tasks(node)
    graph.graph.eliminate_dead_code()
    for node in list(graph.graph.nodes):
        if node.target is aten.bmm.default and not rewriting.shared_weights(node):
            rewriting.turned(node)
        elif node.target is aten.view.default:
            node.target = aten.reshape.default  # a view of what is now stored the other way round need not exist
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

    def shared_weights(self, node: fx.Node) -> bool:
        left, right = _operand(node), _operand(node, 1)
        tasks, rows, inner = _value(left).shape
        columns = _value(right).shape[2]
        # A stride of 0 over tasks: one matrix, seen B times. Products with a vector are left to the compiler.
        if tasks == 1 or _value(right).stride(0) or min(rows, inner, columns) == 1:
            return False
        with self.graph.inserting_before(node):
            flat = self._call(aten.reshape.default, left, [tasks * rows, inner])
            product = self._call(aten.mm.default, flat, self._call(aten.select.int, right, 0, 0))
            node.replace_all_uses_with(self._call(aten.reshape.default, product, [tasks, rows, columns]))
        self.count += 1
        return True

    def turned(self, node: fx.Node) -> None:
        left, right = _operand(node), _operand(node, 1)
        _, rows, inner = _value(left).shape
        columns = _value(right).shape[2]
        transposed = _value(right).stride(1) == 1 and _value(left).stride(2) == 1
        if not transposed or rows <= columns or min(inner, columns) == 1:
            return
        with self.graph.inserting_before(node):
            turned = [self._call(aten.transpose.int, operand, 1, 2) for operand in (right, left)]
            product = self._call(aten.bmm.default, *turned)
            node.replace_all_uses_with(self._call(aten.transpose.int, product, 1, 2))

    def sum_over_tasks(self, node: fx.Node) -> None:
        before, keeps_axis = self.count, len(node.args) > 2 and node.args[2]
        with self.graph.inserting_before(node):
            total = self._summed(_operand(node))
            if keeps_axis:
                total = self._call(aten.unsqueeze.default, total, 0)
        if self.count > before:
            node.replace_all_uses_with(total)

    def _summed(self, x: fx.Node) -> fx.Node:
        """The sum over tasks, moved into what is linear as far as nobody else needs the terms."""
        rule = _LINEAR.get(x.target) if len(x.users) == 1 else None
        moved = rule and rule(self, x)
        return self._call(aten.sum.dim_IntList, x, [0]) if moved is None else moved

    def _of_products(self, x: fx.Node) -> fx.Node | None:
        """sum_b a_b w_b = [a_1, ..., a_B] [w_1; ...; w_B]."""
        left, right = _operand(x), _operand(x, 1)
        tasks, rows, inner = _value(left).shape
        columns = _value(right).shape[2]
        if min(rows, inner, columns) == 1:
            return None
        beside = self._call(aten.permute.default, left, [1, 0, 2])
        wide = self._call(aten.reshape.default, beside, [rows, tasks * inner])
        tall = self._call(aten.reshape.default, right, [tasks * inner, columns])
        self.count += 1
        return self._call(aten.mm.default, wide, tall)

    def _of_sums(self, x: fx.Node) -> fx.Node | None:
        """sum_b (x_b + y_b) = sum_b x_b + sum_b y_b, where neither is a number or shared by the tasks."""
        if x.kwargs or not all(isinstance(term, fx.Node) and _value(term).shape == _value(x).shape for term in x.args):
            return None
        return self._call(x.target, *(self._summed(_operand(x, place)) for place in (0, 1)))

    def _of_multiples(self, x: fx.Node) -> fx.Node | None:
        """sum_b c x_b = c sum_b x_b, for a number c or a sign."""
        number = x.args[1:]
        if any(isinstance(c, fx.Node) for c in number):
            return None
        return self._call(x.target, self._summed(_operand(x)), *number)

    def _of_views(self, x: fx.Node) -> fx.Node | None:
        """Of views that change no shape."""
        return self._summed(_operand(x)) if _value(_operand(x)).shape == _value(x).shape else None

    def _of_transposes(self, x: fx.Node) -> fx.Node | None:
        """sum_b x_b^T = (sum_b x_b)^T."""
        axes = _transposed(x)
        return None if 0 in axes else self._call(x.target, self._summed(_operand(x)), *(axis - 1 for axis in axes))

    def _call(self, function, *arguments) -> fx.Node:
        node = self.graph.call_function(function, arguments)
        values = [_value(a) if isinstance(a, fx.Node) else a for a in arguments]
        node.meta["val"] = function(*values)
        return node


_LINEAR: dict[Any, Callable[[_Rewriting, fx.Node], fx.Node | None]] = {
    aten.bmm.default: _Rewriting._of_products,
    aten.add.Tensor: _Rewriting._of_sums,
    **dict.fromkeys(
        (aten.neg.default, aten.mul.Tensor, aten.mul.Scalar, aten.div.Tensor, aten.div.Scalar),
        _Rewriting._of_multiples,
    ),
    **dict.fromkeys((aten.view.default, aten._unsafe_view.default, aten.reshape.default), _Rewriting._of_views),
    aten.transpose.int: _Rewriting._of_transposes,
}
"""How a sum over tasks moves into an operation; what a rule does not hold for, it answers by None."""
