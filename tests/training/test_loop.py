"""The outer loop of ``fit``: its tasks, its step, its numbers and where it computes."""

import itertools

import numpy as np
import pytest
import torch

from mamlbook import fit
from mamlbook.training import History
from training_cases import WAVES, learner, same_weights


def test_the_seed_decides_the_tasks_and_every_does_not():
    first = fit(learner(), WAVES, steps=12, tasks=3, seed=4, every=5).losses
    assert first == fit(learner(), WAVES, steps=12, tasks=3, seed=4, every=100).losses
    assert first != fit(learner(), WAVES, steps=12, tasks=3, seed=5, every=5).losses


def test_the_outer_step_is_the_meta_gradient():
    one, other = learner(), learner()
    batch = WAVES.draw(3, torch.Generator().manual_seed(0))
    gradient = other.meta_gradient(batch)
    fit(one, WAVES, steps=1, tasks=3, beta=0.1, optimizer=torch.optim.SGD, seed=0)
    for moved, start, g in zip(one.model.theta, other.model.theta, gradient, strict=True):
        torch.testing.assert_close(moved, start - 0.1 * g)


def test_progress_is_shown_when_asked_for(capsys):
    fit(learner(), WAVES, steps=3, tasks=2, progress=True)
    assert "3/3" in capsys.readouterr().err
    fit(learner(), WAVES, steps=3, tasks=2)
    assert capsys.readouterr().err == ""


def test_running_mean():
    history = History("", [1.0, 3.0, 5.0])
    assert history.smoothed(2).tolist() == [1.0, 2.0, 4.0]
    with pytest.raises(ValueError, match="window: expected a whole number of at least 1, got 0"):
        history.smoothed(0)


@pytest.mark.parametrize(("name", "value"), list(itertools.product(["steps", "tasks", "every"], [0, -1])))
def test_numbers_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected a whole number of .* of at least 1, got {value}"):
        fit(learner(), WAVES, **({"steps": 2} | {name: value}))


@pytest.mark.parametrize("name", ["steps", "tasks", "every", "seed"])
@pytest.mark.parametrize("value", [2.0, True, "2", None, np.float64(2), torch.tensor(2.0)])
def test_what_is_no_whole_number_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected a whole number"):
        fit(learner(), WAVES, **({"steps": 2} | {name: value}))


def test_numbers_may_be_those_of_numpy_and_torch():
    numbers = {"steps": np.int64(3), "tasks": torch.tensor(2), "every": np.int32(2), "seed": np.uint8(4)}
    one, other = learner(), learner()
    losses = fit(one, WAVES, beta=np.float64(0.01), **numbers).losses
    assert losses == fit(other, WAVES, beta=0.01, steps=3, tasks=2, every=2, seed=4).losses
    assert same_weights(one, other)


def test_what_is_refused_changes_nothing():
    one = learner().double()
    with pytest.raises(ValueError, match="beta"):
        fit(one, WAVES, steps=2, beta=-1)
    assert one.meta_steps == 0
    assert same_weights(one, learner().double())


class Sizes:
    """Waves of two sizes, one batch each."""

    def draw(self, tasks, generator):
        return [type(WAVES)(shots=shots, queries=3).draw(tasks // 2, generator) for shots in (2, 4)]


def test_tasks_of_two_sizes_reach_the_learner_as_a_list(monkeypatch):
    one, seen = learner().double(), []

    def gradients(batch):
        seen.append([(part.support.x.shape, part.support.x.dtype) for part in batch])
        return type(one).gradients(one, batch[0])

    monkeypatch.setattr(one, "gradients", gradients)
    fit(one, Sizes(), steps=1, tasks=6)
    assert seen == [[((3, 2, 1), torch.float64), ((3, 4, 1), torch.float64)]]


def test_tasks_of_two_sizes_are_not_for_a_compiled_step():
    with pytest.raises(ValueError, match=r"Tasks of one size for execution .compiled, all tasks at once., got a list"):
        fit(learner(), Sizes(), steps=1, tasks=6, execution="compiled")
