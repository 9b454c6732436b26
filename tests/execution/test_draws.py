"""Draws are made outside the compiled code: the ones of the program, in its order, whatever they are drawn by."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from mamlbook.execution.draws import separate_draws
from mamlbook.execution.tracing import Tracer
from mamlbook.torch_internals import draws_numbers, trace, with_values


def first_drawn_is_last_used(x, y):
    a, b = torch.rand_like(x), torch.rand_like(y)
    scaled = y * b
    return scaled, x * scaled.sum() * a


def three_of_different_use(x, y):
    a, b, c = torch.rand(7, dtype=x.dtype), torch.rand(9, dtype=x.dtype), torch.rand_like(x)
    part = c * x.cos()
    return (b * part.sum()).sum() * a, part


def dropout_of_tasks(x, y):
    return torch.func.vmap(lambda task: functional.dropout(task, 0.5).tanh(), randomness="different")(x)


CASES = {
    "first_drawn_is_last_used": first_drawn_is_last_used,
    "three_of_different_use": three_of_different_use,
    "dropout_of_tasks": dropout_of_tasks,
    "unused": lambda x, y: (torch.rand_like(x), torch.rand_like(y) * y)[1],
    "probabilities": lambda x, y: (torch.bernoulli(x) * x, torch.bernoulli(y.sin() ** 2)),
    "draws_of_draws": lambda x, y: torch.bernoulli(torch.rand_like(x)) * torch.bernoulli(torch.rand_like(y)).sum(),
    "written_into": lambda x, y: (torch.empty_like(x).normal_(0, 2).mul_(x), torch.zeros_like(y).uniform_(1, 2)),
    "transposed": lambda x, y: torch.rand_like(x.T) * x.T,
    "two_results": lambda x, y: torch.native_dropout(x.tanh(), 0.5, True),
    "order": lambda x, y: x[torch.randperm(5)],
}


def inputs():
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(shape, dtype=torch.float64, generator=generator) for shape in ((5, 7), (3, 4))]


def draw(run):
    """What comes out from one state of the generator, and what is drawn next."""
    torch.manual_seed(3)
    return run(), torch.rand(2)


@pytest.mark.parametrize("name", list(CASES))
def test_draws_are_those_of_the_program(name):
    tracer = Tracer(nn.Linear(1, 1))
    for _ in range(2):
        wanted, got = draw(lambda: CASES[name](*inputs())), draw(lambda: tracer.run(name, CASES[name], *inputs()))
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", list(CASES))
def test_none_is_left_in_the_trace(name):
    graph = trace(CASES[name], *inputs())
    with_values(graph, *inputs())
    draws = separate_draws(graph)
    assert any(map(draws_numbers, draws.graph.nodes))
    assert not any(map(draws_numbers, graph.graph.nodes))


def test_what_a_like_is_like_is_not_computed_twice():
    graph = trace(lambda x, y: torch.rand_like(x.exp() @ x.T), *inputs())
    with_values(graph, *inputs())
    assert torch.ops.aten.exp.default not in [node.target for node in separate_draws(graph).graph.nodes]
