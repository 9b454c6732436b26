"""What ``fit`` and ``evaluate`` say to what is no learner, no distribution or no batch of tasks."""

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

from mamlbook import Data, Model, Sinusoids, Tasks, evaluate, fit, fit_replicas, maml, mlp
from mamlbook.tasks import FixedTasks, SupportAsQuery, check_tasks
from training_cases import WAVES, learner

MODEL = Model(mlp(1, 8, 1), mse_loss)


def fitted(learner, distribution, tasks=4):
    return fit(learner, distribution, steps=1, tasks=tasks)


def evaluated(learner, distribution, tasks=4):
    return evaluate(learner, distribution, tasks=tasks)


class CalledOtherwise:
    def draw(self, tasks):
        return WAVES.draw(tasks, torch.Generator())


both = pytest.mark.parametrize("call", [fitted, evaluated])


class Draws:
    """A distribution that draws whatever it was given."""

    def __init__(self, drawn):
        self.drawn = drawn

    def draw(self, tasks, generator):
        return self.drawn


@both
@pytest.mark.parametrize(
    ("wrong", "name"), [(MODEL, "Model"), (mlp(1, 8, 1), "Sequential"), (maml, "the function maml"), (None, "NoneType")]
)
def test_what_is_no_learner_is_refused(call, wrong, name):
    with pytest.raises(TypeError, match=rf"learner: expected a MetaLearner, as maml\(model, .*, got {name}$"):
        call(wrong, WAVES)


@both
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Sinusoids, r"got the class Sinusoids; make one: Sinusoids\(...\)"),
        (WAVES.draw(4, torch.Generator()), "got Tasks; FixedTasks"),
        ([1, 2], "got list; write a class with that one method"),
        (torch.utils.data.TensorDataset(torch.ones(3)), "got TensorDataset; "),
        (lambda tasks, generator: WAVES.draw(tasks, generator), "got the function <lambda>; "),
        (CalledOtherwise(), r"got CalledOtherwise; its draw is called otherwise, draw\(tasks\)"),
    ],
)
def test_what_draws_no_tasks_is_refused(call, wrong, message):
    with pytest.raises(TypeError, match=rf"distribution: expected an object with draw\(tasks, generator\), {message}"):
        call(learner(), wrong)


@both
@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        ((torch.ones(4, 3, 1), torch.ones(4, 3, 1)), "got tuple from Draws"),
        (None, "got NoneType from Draws"),
        (WAVES.draw(4, torch.Generator()).support, "got Data from Draws"),
        ([WAVES.draw(4, torch.Generator()), "more"], "got str from Draws"),
        ({"x": torch.ones(4, 3, 1)}, "got dict from Draws"),
    ],
)
def test_a_draw_of_something_else_is_refused(call, drawn, message):
    with pytest.raises(TypeError, match=rf"distribution: expected draw to return Tasks\(.*{message}"):
        call(learner(), Draws(drawn))


@both
@pytest.mark.parametrize("drawn", [WAVES.draw(3, torch.Generator()), WAVES.draw(5, torch.Generator()), []])
def test_another_number_of_tasks_is_refused(call, drawn):
    with pytest.raises(ValueError, match=r"expected draw\(4, generator\) to return 4 tasks, got \d from Draws; "):
        call(learner(), Draws(drawn))


@both
def test_too_few_tasks_in_a_list_are_refused(call):
    with pytest.raises(ValueError, match="to return 4 tasks, got 2 from Draws; ask for tasks=2"):
        call(learner(), Draws([WAVES.draw(2, torch.Generator())]))


@pytest.mark.parametrize("call", [fit, evaluate, fit_replicas])
def test_a_seed_is_what_a_generator_begins_with(call):
    seeds = {"seeds": [2**64]} if call is fit_replicas else {"seed": 2**64}
    with pytest.raises(
        ValueError, match=r"^seeds?: expected a whole number of at most 2\^64 - 1, got \d+; take it mod"
    ):
        call([learner()] if call is fit_replicas else learner(), WAVES, **{"steps": 1, "tasks": 2}, **seeds)
    with pytest.raises(ValueError, match=r"^seed: expected a whole number of at most 2\^64 - 1"):
        mlp(1, 8, 1, seed=2**64)


@both
def test_fixed_tasks_are_as_many_as_they_are(call):
    call(learner(), FixedTasks(WAVES.draw(3, torch.Generator())))


def test_fixed_tasks_are_measured_once_each():
    fixed = FixedTasks(WAVES.draw(3, torch.Generator()))
    assert evaluate(learner(), fixed, tasks=600, chunk=2).shape == (3, 3)


@both
def test_fixed_tasks_of_several_sizes(call):
    parts = [Sinusoids(shots=shots, queries=4).draw(2, torch.Generator().manual_seed(shots)) for shots in (3, 7)]
    fixed = FixedTasks(parts)
    assert repr(fixed) == "FixedTasks(4 tasks)"
    call(learner(), fixed, tasks=100)
    assert check_tasks(fixed)["form"].level == "ok"
    judged = evaluate(learner(), SupportAsQuery(FixedTasks(parts[0])), tasks=600)
    assert torch.equal(judged, evaluate(learner(), FixedTasks(parts[0]._replace(query=parts[0].support))))
    assert judged.shape == (2, 3)


@pytest.mark.parametrize("wrong", [WAVES, None, [], [1], WAVES.draw(2, torch.Generator()).support])
def test_fixed_tasks_are_tasks(wrong):
    with pytest.raises(TypeError, match=r"^tasks: expected Tasks or a list of"):
        FixedTasks(wrong)


@both
def test_tasks_may_be_in_double_precision(call):
    call(learner(), Draws(WAVES.draw(4, torch.Generator()).to(torch.float64)))


@both
def test_tasks_may_hold_the_numbers_of_numpy(call):
    class FromNumpy:
        def draw(self, tasks, generator):
            x = torch.from_numpy(np.linspace(-1, 1, tasks * 3).reshape(tasks, 3, 1))
            return Tasks(Data(x, x), Data(x, x), torch.arange(tasks))

    call(learner(), FromNumpy())
