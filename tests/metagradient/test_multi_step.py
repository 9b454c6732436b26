"""The weights of the multi-step loss by the authors' formulas, its state, and what it refuses."""

import math

import pytest
import torch

from battery import sine_model, sine_tasks
from mamlbook import Sinusoids, distance, fit, maml
from mamlbook.algorithms import multi_step_loss
from mamlbook.metagradient import MultiStepLoss


def authors(steps, epoch, epochs, floor=0.03):
    """v as the code of MAML++ computes it, `get_per_step_loss_importance_vector`, written out again."""
    decay = 1 / steps / epochs
    v = [max(1 / steps - epoch * decay, floor / steps)] * (steps - 1)
    return [*v, min(1 / steps + epoch * (steps - 1) * decay, 1 - (steps - 1) * floor / steps)]


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("epoch", [0, 1, 7, 9, 10, 25])
def test_weights_are_those_of_the_authors(steps, epoch):
    part = MultiStepLoss(anneal=10)
    for _ in range(epoch):
        part.advance()
    found = part.weights(steps)
    torch.testing.assert_close(found, torch.tensor(authors(steps, epoch, 10), dtype=torch.float64))
    assert found.sum().item() == pytest.approx(1)


def test_weights_that_are_never_annealed_stay_equal():
    part = MultiStepLoss(anneal=math.inf)
    part.done += 10**6
    assert part.weights(4).tolist() == [0.25] * 4


def test_when_they_have_arrived_the_last_alone_counts():
    part = MultiStepLoss(anneal=10, until=10)
    part.done += 9
    assert part.weights(3)[0] > 0
    part.advance()
    assert part.weights(3).tolist() == [0, 0, 1]
    learner, tasks = multi_step_loss(sine_model(), 0.03, 3, anneal=5), sine_tasks()
    learner.metagradient.done += 5
    exact = maml(sine_model(), 0.03, 3).meta_gradient(tasks)
    assert distance(learner.meta_gradient(tasks), exact) < 1e-12


def test_value_is_the_loss_after_the_last_step():
    learner, tasks = multi_step_loss(sine_model(), 0.03, 4), sine_tasks()
    adapted = learner.adapt(tasks.support)
    expected = learner.model.losses(adapted.predict(adapted.phi, tasks.query.x), tasks.query.y)
    assert distance([learner(tasks)[1]], [expected]) < 1e-12


def test_advances_once_for_each_outer_step_and_not_when_it_is_asked():
    learner = multi_step_loss(sine_model().float(), steps=2, anneal=10)
    fit(learner, Sinusoids(shots=10), steps=3, tasks=2)
    learner.meta_gradient(sine_tasks().to(torch.float32))
    assert learner.metagradient.done.item() == 3
    assert learner.state_dict()["metagradient.done"].item() == 3


@pytest.mark.parametrize("anneal", [0, -1, math.nan])
def test_an_annealing_of_no_length_is_refused(anneal):
    with pytest.raises(ValueError, match="anneal: expected a number of meta-steps of at least 1"):
        MultiStepLoss(anneal)


def test_an_end_before_the_beginning_is_refused():
    with pytest.raises(ValueError, match="until: expected a number of meta-steps, at least 0"):
        MultiStepLoss(10, until=-1)


@pytest.mark.parametrize("floor", [-0.1, 1.5, math.nan])
def test_a_share_that_is_none_is_refused(floor):
    with pytest.raises(ValueError, match="floor: expected the least share of a step, between 0 and 1"):
        MultiStepLoss(10, floor)


def test_a_path_without_steps_has_no_loss_along_it():
    with pytest.raises(ValueError, match="steps: expected at least 1 inner step"):
        multi_step_loss(sine_model(), steps=0).meta_gradient(sine_tasks())
