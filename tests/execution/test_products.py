"""The rewriting of traced products: fewer batches, the same numbers."""

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

from battery import relative, sine_model, sine_tasks
from mamlbook import distance, maml
from mamlbook.execution import tracing
from mamlbook.execution.compiled import Compiled
from mamlbook.execution.products import rewrite_products

aten = torch.ops.aten


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape)))


def rewritten(function, *inputs):
    """The traced function, what was counted, and the names of what it calls afterwards."""
    graph = make_fx(function)(*inputs)
    graph.graph.eliminate_dead_code()
    FakeTensorProp(graph).propagate(*inputs)
    count = rewrite_products(graph)
    assert distance([graph(*inputs)], [function(*inputs)]) < 1e-13
    return count, [node.target for node in graph.graph.nodes]


def test_shared_weights_are_one_product():
    count, calls = rewritten(lambda x, w: x @ w.T.expand(6, 5, 4), draw(6, 3, 5), draw(4, 5))
    assert count == 1
    assert aten.bmm.default not in calls
    assert aten.mm.default in calls


@pytest.mark.parametrize(
    ("x", "w"), [((6, 3, 5), (6, 5, 4)), ((6, 3, 1), (6, 1, 4)), ((1, 3, 5), (1, 5, 4))], ids=["own", "thin", "single"]
)
def test_weights_of_their_own_stay_a_batch(x, w):
    count, calls = rewritten(torch.bmm, draw(*x), draw(*w))
    assert count == 0
    assert aten.bmm.default in calls


@pytest.mark.parametrize(
    "total",
    [
        lambda u: u.sum(0),
        lambda u: u.sum(0, keepdim=True),
        lambda u: (-2 * u).transpose(1, 2).sum(0),
        lambda u: (u / 3 + u * 5).sum(0),
    ],
    ids=["plain", "kept axis", "scaled and turned", "used twice"],
)
def test_a_sum_over_tasks_is_one_product(total):
    count, calls = rewritten(lambda x, w: total(torch.bmm(x, w)), draw(6, 3, 5), draw(6, 5, 4))
    both = len({aten.bmm.default, aten.mm.default} & set(calls)) == 2
    assert not both
    assert (count == 1) == (aten.mm.default in calls)


def test_the_sum_of_two_products_is_two():
    def function(x, w, u, v):
        return (torch.bmm(x, w) + torch.bmm(u, v)).sum(0)

    count, calls = rewritten(function, draw(6, 3, 5), draw(6, 5, 4), draw(6, 3, 2), draw(6, 2, 4))
    assert count == 2
    assert aten.bmm.default not in calls


def test_a_product_that_somebody_else_needs_is_left():
    def function(x, w):
        product = torch.bmm(x, w)
        return product.sum(0) + product[0]

    count, _ = rewritten(function, draw(6, 3, 5), draw(6, 5, 4))
    assert count == 0


@pytest.mark.parametrize(("rows", "turned"), [(40, True), (7, False)])
def test_the_smaller_operand_of_a_transposed_product_comes_first(rows, turned):
    graph = make_fx(lambda a, w: a @ w.transpose(1, 2))(a := draw(6, rows, 5), w := draw(6, 10, 5))
    FakeTensorProp(graph).propagate(a, w)
    rewrite_products(graph)
    assert distance([graph(a, w)], [a @ w.transpose(1, 2)]) < 1e-13
    (product,) = (node for node in graph.graph.nodes if node.target is aten.bmm.default)
    assert product.meta["val"].shape == ((6, 10, rows) if turned else (6, rows, 10))


def test_what_is_turned_over_may_be_viewed():
    def function(a, w):
        return (a @ w.transpose(1, 2) + 1).view(6, -1)

    graph = make_fx(function)(a := draw(6, 40, 5), w := draw(6, 10, 5))
    FakeTensorProp(graph).propagate(a, w)
    rewrite_products(graph)
    assert distance([graph(a, w)], [function(a, w)]) < 1e-13


def test_in_a_meta_step_the_first_inner_step_is_shared(monkeypatch):
    import torch._inductor.compile_fx

    counts = []
    monkeypatch.setattr(tracing, "rewrite_products", lambda graph: counts.append(rewrite_products(graph)))
    monkeypatch.setattr(torch._inductor.compile_fx, "compile_fx", lambda graph, tensors: graph)
    learner, tasks = maml(sine_model(), 0.03, 2), sine_tasks()
    gradients, _ = Compiled(learner)(tasks)
    assert relative(gradients, learner.meta_gradient(tasks)) < 1e-12
    assert counts[0] >= 4  # there and back through the middle layer at theta, and the last sums
