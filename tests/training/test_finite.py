"""Runs that are stopped when something is no longer finite, before it is written."""

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from mamlbook import Data, Model, check_tasks, fit, linear, maml, mlp
from mamlbook.tasks.quadratic import Quadratics, half_squared_error
from mamlbook.training import NonFinite, NonFiniteLoss, NonFiniteState
from training_cases import WAVES, learner


def test_a_non_finite_loss_stops_the_run_and_keeps_the_last_checkpoint(tmp_path):
    checkpoint = tmp_path / "run.pt"
    bowl = Quadratics([1.0], [0.0])
    options = {"tasks": 1, "beta": 30.0, "optimizer": torch.optim.SGD, "every": 10, "checkpoint": checkpoint}
    fit(maml(Model(linear([1.0]), half_squared_error), 0.1, 1), bowl, steps=10, **options)
    kept = checkpoint.read_bytes()
    with pytest.raises(
        NonFiniteLoss,
        match=r"query loss became (inf|nan) at meta-step \d+; the inner rate alpha or .* go back to the checkpoint",
    ):
        fit(maml(Model(linear([1.0]), half_squared_error), 0.1, 1), bowl, steps=1000, resume=True, **options)
    assert 10 < len(torch.load(checkpoint)["losses"]) < 1000
    assert torch.load(checkpoint)["learner"]["model.net.weight"].isfinite().all()
    assert kept != checkpoint.read_bytes()


class Missing:
    """Waves of which some numbers are missing."""

    def draw(self, tasks, generator):
        drawn = WAVES.draw(tasks, generator)
        drawn.support.y[0, 0] = torch.nan
        return drawn


def test_numbers_that_are_missing_in_the_tasks_are_thought_of():
    with pytest.raises(
        NonFiniteLoss, match=r"unless some of the tasks hold such numbers themselves, which check_tasks"
    ):
        fit(learner(), Missing(), steps=2, tasks=2)
    assert [verdict.name for verdict in check_tasks(Missing()).problems] == ["values"]


def root(y_hat, y):
    """Finite at 0, where its slope is not."""
    return mse_loss(y_hat, y).sqrt()


class SolvedOnce:
    """Waves, and in one draw tasks that a network of zeros solves exactly."""

    def __init__(self, solved):
        self.solved, self.count = solved, 0

    def __repr__(self):
        return "SolvedOnce()"

    def draw(self, tasks, generator):
        self.count += 1
        drawn = WAVES.draw(tasks, generator)
        zero = Data(drawn.query.x, torch.zeros_like(drawn.query.y))
        return drawn._replace(query=zero) if self.count == self.solved else drawn


def silent():
    net = mlp(1, 8, 1)
    with torch.no_grad():
        net.head.weight.zero_()
        net.head.bias.zero_()
    return maml(Model(net, root), alpha=0.0, steps=1)


def test_weights_that_are_nan_are_not_written(tmp_path):
    # The loss of the tenth step is finite, and its gradient is not.
    path = tmp_path / "run.pt"
    options = {"tasks": 2, "beta": 0.0, "every": 5, "checkpoint": path}
    with pytest.raises(
        NonFiniteState, match=r"model\.net\.\S+ became nan by meta-step 10, .* the checkpoint .*run\.pt"
    ):
        fit(silent(), SolvedOnce(10), steps=30, **options)
    saved = torch.load(path, weights_only=True)
    assert len(saved["losses"]) == 5
    assert all(value.isfinite().all() for value in saved["learner"].values())


def test_nan_weights_in_the_last_step_are_no_success():
    with pytest.raises(NonFiniteState, match="became nan by meta-step 3"):
        fit(silent(), SolvedOnce(3), steps=3, tasks=2, beta=0.0)
    assert issubclass(NonFiniteState, NonFinite)
    assert issubclass(NonFiniteLoss, NonFinite)


def test_what_the_optimizer_remembers_is_watched():
    # With a rate of 0 the weight stays, and the square of its gradient overflows in Adam's memory.
    huge = lambda y_hat, y: 1e30 * (y_hat - y).mean()  # noqa: E731
    with pytest.raises(
        NonFiniteState, match=r"the optimizer's exp_avg_sq of model\.net\.\S+ became infinite by meta-step 1"
    ):
        fit(maml(Model(mlp(1, 8, 1), huge), alpha=0.0, steps=1), WAVES, steps=1, tasks=2, beta=0.0)


class Counting(nn.Module):
    """A network with a buffer that overflows, and another that is infinite on purpose."""

    def __init__(self, growth):
        super().__init__()
        self.body = mlp(1, 4, 1)
        self.growth = growth
        self.register_buffer("count", torch.ones(()), persistent=False)
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))

    def forward(self, x):
        return self.body(x)

    def advance(self):
        self.count *= self.growth


@pytest.mark.parametrize("growth", [1.0, 1e30])
def test_buffers_are_watched_unless_they_were_infinite_from_the_start(growth):
    net = Counting(growth)
    one = maml(Model(net, mse_loss), 0.01, 1)
    advance = one.advance
    one.advance = lambda: (advance(), net.advance())
    if growth == 1.0:
        assert len(fit(one, WAVES, steps=3, tasks=2).losses) == 3
        return
    with pytest.raises(NonFiniteState, match=r"model\.net\.count became infinite by meta-step 3"):
        fit(one, WAVES, steps=3, tasks=2)


def test_weights_that_begin_as_nan_are_refused_at_once():
    one = learner()
    with torch.no_grad():
        one.model.theta[0][0] = torch.nan
    with pytest.raises(NonFiniteState, match=r"model\.net\.\S+ is nan"):
        fit(one, WAVES, steps=2)
