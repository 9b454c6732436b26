"""Chunks of tasks and segments of steps: MAML's gradient in less memory."""

from functools import partial

import pytest
import torch
from torch import nn

from battery import model_for, relative, sine_model, sine_tasks, tasks_for
from mamlbook import ALGORITHMS, Exact, GradientDescent, MetaLearner, Model, distance, evaluate, fit, mlp
from mamlbook.analysis.costs import cost, peak
from mamlbook.inner import DropGrad, LangevinNoise
from mamlbook.metagradient import MOML, Checkpointed, MultiStepLoss, TaskChunks
from mamlbook.tasks.sinusoid import Sinusoids

STEPS = 7
RULES = {
    "descent": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=0.9),
    "adam": torch.optim.Adam,
}
# Learned rates, masks by step, a start made from the support set, weights that stay: what the way back has to carry.
ROWS = ("maml", "anil", "cavia", "lambda-pattern", "lslr", "meta-sgd", "protomaml", "softmax-weights")
ROWS += ("conflict-averse",)  # which differentiates each task before it differentiates the sum


def same_but(learner, metagradient):
    return MetaLearner(learner.model, learner.solver, metagradient, learner.weighting)


@pytest.mark.parametrize("rule", list(RULES))
@pytest.mark.parametrize("every", [None, 1, 3, STEPS, 100])
def test_computing_each_segment_twice_is_mamls_gradient(rule, every):
    solver = GradientDescent(0.03, STEPS, rule=RULES[rule], lam=0.5)
    whole, tasks = MetaLearner(sine_model(), solver), sine_tasks()
    got, losses = same_but(whole, Checkpointed(every)).gradients(tasks)
    wanted, wanted_losses = whole.gradients(tasks)
    assert relative(got, wanted) < 1e-13
    assert distance([losses], [wanted_losses]) == 0


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize(
    "metagradient", [lambda: Checkpointed(2), lambda: TaskChunks(Exact(), 1)], ids=["segments", "chunks"]
)
def test_rows_that_differentiate_the_inner_loop(name, metagradient):
    given, tasks = ALGORITHMS[name].offer(model_for(name), alpha=0.03, steps=5), tasks_for(name)
    got, losses = same_but(given, metagradient()).gradients(tasks)
    wanted, wanted_losses = given.gradients(tasks)
    assert relative(got, wanted) < 1e-12
    assert distance([losses], [wanted_losses]) < 1e-13


@pytest.mark.parametrize("size", [1, 2, 5, 9])
@pytest.mark.parametrize("name", ["fomaml", "reptile", "imaml", "truncated"])
def test_any_meta_gradient_may_go_in_chunks(name, size):
    given, tasks = ALGORITHMS[name].offer(sine_model(), alpha=0.03, steps=3), sine_tasks()
    got, _ = same_but(given, TaskChunks(given.metagradient, size)).gradients(tasks)
    assert relative(got, given.gradients(tasks)[0]) < 1e-12


def test_without_steps_the_walk_is_joint_training():
    model, tasks = sine_model(), sine_tasks()
    walk = MetaLearner(model, GradientDescent(0.03, 0), Checkpointed()).meta_gradient(tasks)
    assert relative(walk, ALGORITHMS["joint"](model).meta_gradient(tasks)) < 1e-14


@pytest.mark.parametrize("noise", [LangevinNoise(0.1), DropGrad(0.3)], ids=["langevin", "dropgrad"])
def test_a_walk_back_meets_the_same_noise(noise):
    """The gradient is that of the path whose losses are reported, and the next draw is the one after the way there."""
    walked, tasks = MetaLearner(sine_model(), GradientDescent(0.03, 5, noise), Checkpointed(2)), sine_tasks()
    whole = same_but(walked, Exact())
    results = []
    for learner in (whole, walked):
        torch.manual_seed(7)
        results.append((*learner.gradients(tasks), torch.rand(3)))
    (wanted, wanted_losses, after), (got, losses, after_walk) = results
    assert distance([losses], [wanted_losses]) == 0
    assert relative(got, wanted) < 1e-13
    assert torch.equal(after, after_walk)


def waves(tasks=25):
    return Sinusoids(shots=10, queries=10).draw(tasks, torch.Generator().manual_seed(0))


def fullest(metagradient, steps, tasks=25):
    model = Model(mlp(1, 40, 40, 1, seed=0), nn.functional.mse_loss)
    return peak(MetaLearner(model, GradientDescent(0.01, steps), metagradient), waves(tasks))


def test_memory_grows_with_the_root_of_the_steps():
    whole, walked = ([fullest(kind(), steps) for steps in (16, 64)] for kind in (Exact, Checkpointed))
    assert whole[1] / whole[0] > 3.5
    assert walked[1] / walked[0] < 2
    assert walked[1] < whole[1] / 3


def test_a_second_walk_costs_one_more_inner_loop():
    model = Model(mlp(1, 40, 40, 1, seed=0), nn.functional.mse_loss)
    learners = [MetaLearner(model, GradientDescent(0.01, 6), kind) for kind in (Exact(), Checkpointed())]
    once, twice = (cost(learner, waves()).operations for learner in learners)
    gradient = cost(ALGORITHMS["joint"](model), waves()).operations
    assert once / gradient == pytest.approx(3 * 6 + 1, rel=0.02)
    assert twice / gradient == pytest.approx(4 * 6 + 1, rel=0.03)


def test_memory_of_chunks_does_not_grow_with_the_tasks_but_for_their_gradients():
    weights = sum(p.numel() for p in mlp(1, 40, 40, 1).parameters()) * 4
    few, many = (fullest(TaskChunks(Exact(), 5), 5, tasks) for tasks in (25, 50))
    whole = fullest(Exact(), 5, 50)
    assert many - few < 4 * 25 * weights
    assert many < whole / 2


def test_training_and_testing_go_on_as_ever():
    for metagradient in (Checkpointed(), TaskChunks(Exact(), 2)):
        plain, pieces = (MetaLearner(sine_model(), GradientDescent(0.03, 3), kind) for kind in (Exact(), metagradient))
        for learner in (plain, pieces):
            fit(learner, Sinusoids(), steps=5, tasks=4)
        assert distance(plain.model.theta, pieces.model.theta) < 1e-12
        errors = evaluate(pieces, Sinusoids(), tasks=3, steps=2)
        assert errors.shape == (3, 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Checkpointed(0), "^every: expected a whole number of steps of at least 1, or None"),
        (lambda: Checkpointed(True), "^every: expected"),
        (lambda: TaskChunks(Exact(), 0), "^tasks: expected a whole number of tasks at a time of at least 1"),
        (
            lambda: TaskChunks(MOML(sine_model(), 5, 0.5)),
            "^metagradient: expected one that computes each task from",
        ),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_chunks_of_several_tasks_refuse_learned_weights():
    given = ALGORITHMS["meta-sgd"].offer(model_for("meta-sgd"), alpha=0.03, steps=2)
    with pytest.raises(ValueError, match=r"^metagradient: expected no learned weights beside theta .* tasks=1"):
        same_but(given, TaskChunks(Exact(), 2)).gradients(sine_tasks())


def test_segments_need_steps():
    kernel = ALGORITHMS["kernel-ridge"].offer(model_for("kernel-ridge"))
    with pytest.raises(ValueError, match=r"^solver: expected GradientDescent, whose steps can be computed again"):
        same_but(kernel, Checkpointed()).gradients(tasks_for("kernel-ridge"))


def test_what_schedules_goes_on_in_chunks():
    learner = MetaLearner(sine_model(), GradientDescent(0.03, 2), TaskChunks(MultiStepLoss(anneal=4), 2))
    learner.advance()
    assert learner.metagradient.metagradient.done == 1
