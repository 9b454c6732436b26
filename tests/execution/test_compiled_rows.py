"""Every row of the table, compiled: the numbers are those of Python."""

import pytest
import torch

from battery import model_for, relative, tasks_for
from mamlbook import ALGORITHMS, distance
from mamlbook.execution import tracing
from mamlbook.execution.compiled import Compiled

# Long straight lines, which take the compiler a minute or more: traced like all others, and walked by Python.
LONG = ("conflict-averse", "forward-mode")


def build(name, steps=2):
    return ALGORITHMS[name].offer(model_for(name), alpha=0.03, steps=steps)


def step_of(compute, learner, tasks):
    torch.manual_seed(7)
    gradients, losses = compute(tasks)
    learner.advance()
    return gradients, losses


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_row_is_the_same_compiled(name, monkeypatch):
    """Random rows draw the same, and what remembers takes the same over: two steps, with ``advance()`` between them."""
    if name in LONG:
        monkeypatch.setattr(tracing, "_compiled", lambda graph, tensors: graph)
    (eager, compiled), tasks = (build(name) for _ in range(2)), tasks_for(name)
    fast = Compiled(compiled)
    for _ in range(2):
        gradients, losses = step_of(eager.gradients, eager, tasks)
        got, got_losses = step_of(fast, compiled, tasks)
        assert relative(got, gradients) < 1e-10
        assert distance([got_losses], [losses]) < 1e-10
    for key, value in eager.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[key], value, rtol=0, atol=1e-10)
