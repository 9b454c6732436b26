"""Every row of the table, compiled: the numbers are those of Python."""

import pytest
import torch

from battery import model_for, relative, tasks_for
from mamlbook import ALGORITHMS, distance
from mamlbook.execution import tracing
from mamlbook.execution.compiled import Compiled

COMPILED = ["maml", "imaml", "kernel-ridge", "line-search", "protomaml", "meta-sgd", "dropgrad", "annealed"]
COMPILED += ["softmax-weights", "robust", "moml", "sgld", "evograd", "es-maml"]
"""A row of each kind of work; the others are traced like these, and walked by Python."""

LONG = ["conflict-averse", "forward-mode"]
"""Straight lines that take the compiler minutes."""


def build(name, steps=2):
    few = {"iterations": 2} if name in ("imaml", "imaml-neumann") else {}  # each is a line of its own
    return ALGORITHMS[name].offer(model_for(name), alpha=0.03, steps=steps, **few)


def step_of(compute, learner, tasks):
    torch.manual_seed(7)
    gradients, losses = compute(tasks)
    learner.advance()
    return gradients, losses


def require_the_same(name):
    """Random rows draw the same, and what remembers takes the same over: two steps, with ``advance()`` between them."""
    (eager, compiled), tasks = (build(name) for _ in range(2)), tasks_for(name)
    fast = Compiled(compiled)
    for _ in range(2):
        gradients, losses = step_of(eager.gradients, eager, tasks)
        got, got_losses = step_of(fast, compiled, tasks)
        assert relative(got, gradients) < 1e-10
        assert distance([got_losses], [losses]) < 1e-10
    for key, value in eager.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[key], value, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name not in COMPILED])
def test_every_row_is_the_same_traced(name, monkeypatch):
    monkeypatch.setattr(tracing, "compile_graph", lambda graph, inputs: graph)
    require_the_same(name)


def compiled():
    for name in ALGORITHMS:
        if name not in LONG:
            yield pytest.param(name, marks=[] if name in COMPILED else pytest.mark.slow)


@pytest.mark.parametrize("name", list(compiled()))
def test_every_row_is_the_same_compiled(name):
    require_the_same(name)
