"""One battery over every row of the table: exact where a closed form exists, invariant where it must be."""

import contextlib
import inspect
import math
import pickle

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from battery import distribution_for, limits, model_for, relative, seeded, sine_model, sine_tasks, tasks_for
from devices import DEVICES, drawing_like_the_cpu, never_waiting, on
from mamlbook import ALGORITHMS, Data, Model, Tasks, distance, evaluate, fit, linear
from mamlbook.algorithms import gradient
from mamlbook.algorithms.linear_model import META_GRADIENTS, ClosedForm
from mamlbook.tasks.quadratic import LinearRegression, Quadratics, half_squared_error

ALPHA, STEPS = 0.03, 3
NAMES = list(ALGORITHMS)
LIMITS = {name: limit for module in limits() for name, limit in module.LIMITS.items()}


def rows(accepts):
    """The names of the rows that a test is about."""
    return [name for name, row in ALGORITHMS.items() if accepts(row)]


EXACT = rows(lambda row: not row.noisy)
AVERAGING = rows(lambda row: not row.noisy and row.factor not in ("weighting", "memory"))
GRADIENT = list(gradient.ROWS)


def build(name, model, alpha=ALPHA, steps=STEPS):
    return ALGORITHMS[name].offer(model, alpha=alpha, steps=steps)


def regression_tasks(noise=0.3):
    return LinearRegression(4, shots=9, queries=7, noise=noise).draw(6, torch.Generator().manual_seed(0))


@pytest.fixture
def theta():
    return torch.tensor([0.5, -1.0, 2.0, 0.25], dtype=torch.float64)


def test_every_row_is_proved_once():
    assert sorted(NAMES) == sorted([*META_GRADIENTS, *LIMITS])


@pytest.mark.parametrize("name", list(LIMITS))
def test_limit(name):
    """Rows without a closed form: the limit in which they become an algorithm that has one, or an independent sum."""
    LIMITS[name]()


@pytest.mark.parametrize("name", list(META_GRADIENTS))
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_meta_gradient_equals_closed_form(name, steps, theta):
    tasks = regression_tasks()
    learner = build(name, Model(linear(theta), half_squared_error), steps=steps)
    exact = ClosedForm(tasks, ALPHA, steps)
    assert distance(learner.meta_gradient(tasks)[0], exact.meta_gradient(name, theta)[None]) < 1e-10


@pytest.mark.parametrize("steps", [0, 1, 4])
def test_closed_forms_of_adaptation_and_loss(steps, theta):
    # Independent of J and k: plain gradient steps on the squared error, and its value.
    tasks = regression_tasks()
    exact = ClosedForm(tasks, ALPHA, steps)
    phi = theta.expand(6, 4).clone()
    for _ in range(steps):
        residual = (tasks.support.x @ phi[..., None]) - tasks.support.y
        phi = phi - ALPHA * (tasks.support.x.mT @ residual)[..., 0]
    losses = ((tasks.query.x @ phi[..., None] - tasks.query.y) ** 2).sum((1, 2)) / 2
    torch.testing.assert_close(exact.adapted(theta), phi, rtol=0, atol=1e-12)
    torch.testing.assert_close(exact.loss(theta), losses.mean(), rtol=1e-13, atol=0)


def test_maml_closed_form_is_the_gradient_of_its_loss(theta):
    exact = ClosedForm(regression_tasks(), ALPHA, STEPS)
    start = theta.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(exact.loss(start), start)
    torch.testing.assert_close(gradient, exact.meta_gradient("maml", theta), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("name", "expected"), [("joint", 0.75), ("maml", 0.25), ("fomaml", 0.5), ("reptile", 0.75)])
def test_fixed_points_of_the_two_bowls(name, expected):
    # a = (1, 3), c = (0, 1), alpha = 1/4, S = 1: the book's first exact example.
    bowls = Quadratics([1.0, 3.0], [0.0, 1.0])
    assert ClosedForm(bowls.all(), 0.25, 1).fixed_point(name).item() == pytest.approx(expected, abs=1e-15)
    learner = build(name, Model(linear([0.9]), half_squared_error), alpha=0.25, steps=1)
    fit(learner, bowls, steps=400, tasks=2, beta=0.3, optimizer=torch.optim.SGD)
    assert learner.model.theta[0].item() == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("joint", lambda h, r, s: h),
        ("maml", lambda h, r, s: h * r ** (2 * s)),
        ("fomaml", lambda h, r, s: h * r**s),
        ("reptile", lambda h, r, s: 1 - r**s),
    ],
)
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_fixed_point_is_a_weighted_mean_of_the_optima(name, weight, steps):
    h, c = torch.tensor([0.5, 4.0], dtype=torch.float64), torch.tensor([-1.0, 2.0], dtype=torch.float64)
    w = weight(h, 1 - 0.1 * h, steps)
    exact = ClosedForm(Quadratics(h, c).all(), 0.1, steps)
    assert exact.fixed_point(name).item() == pytest.approx((w @ c / w.sum()).item(), abs=1e-12)


@pytest.mark.parametrize("name", EXACT)
def test_surrogate_has_the_value_of_the_query_loss(name):
    model, tasks = model_for(name), tasks_for(name)
    learner = build(name, model)
    surrogate, losses = learner(tasks)
    adapted = learner.adapt(tasks.support)
    expected = model.losses(adapted.predict(adapted.phi, tasks.query.x), tasks.query.y)
    assert distance([losses], [expected]) < 1e-12
    if name in AVERAGING:
        assert surrogate.item() == pytest.approx(losses.mean().item(), abs=1e-12)


@pytest.mark.parametrize("name", EXACT)
def test_order_of_tasks_does_not_matter(name):
    learner, tasks = build(name, model_for(name)), tasks_for(name)
    shuffled = tasks.pick([3, 1, 4, 0, 2])
    assert relative(learner.meta_gradient(tasks), learner.meta_gradient(shuffled)) < 1e-12


@pytest.mark.parametrize("name", AVERAGING)
def test_batch_is_the_mean_of_single_tasks(name):
    learner, tasks = build(name, model_for(name)), tasks_for(name)
    singles = [learner.meta_gradient(tasks.pick([b])) for b in range(5)]
    mean = [torch.stack(parts).mean(0) for parts in zip(*singles, strict=True)]
    assert relative(learner.meta_gradient(tasks), mean) < 1e-12


@pytest.mark.parametrize("name", NAMES)
def test_computing_a_meta_gradient_changes_nothing(name):
    learner, tasks = build(name, model_for(name)), tasks_for(name)
    state = {key: value.clone() for key, value in learner.state_dict().items()}
    first = seeded(learner, tasks)
    assert distance(first, seeded(learner, tasks)) == 0
    assert all(torch.equal(state[key], value) for key, value in learner.state_dict().items())


@pytest.mark.parametrize("name", rows(lambda row: row.noisy))
def test_a_noisy_row_is_noisy_in_training_and_still_in_testing(name):
    learner, tasks = build(name, model_for(name)), tasks_for(name)
    assert distance(seeded(learner, tasks, seed=1), seeded(learner, tasks, seed=2)) > 0
    assert distance(learner.adapt(tasks.support).phi, learner.adapt(tasks.support).phi) == 0


@pytest.mark.parametrize("name", GRADIENT)
def test_without_inner_steps_maml_and_fomaml_are_joint_training(name):
    tasks = sine_tasks()
    joint = build("joint", sine_model()).meta_gradient(tasks)
    got = build(name, sine_model(), steps=0).meta_gradient(tasks)
    assert distance(got, [torch.zeros_like(g) for g in joint] if name == "reptile" else joint) < 1e-14


def test_one_step_of_reptile_is_joint_training_on_the_support_set():
    tasks = sine_tasks()
    same = Tasks(tasks.support, tasks.support, tasks.index)
    reptile = build("reptile", sine_model(), steps=1).meta_gradient(tasks)
    joint = build("joint", sine_model()).meta_gradient(same)
    assert distance(reptile, [ALPHA * g for g in joint]) < 1e-14


def test_maml_gradient_equals_finite_differences():
    model, tasks = sine_model(), sine_tasks()
    learner = build("maml", model, alpha=0.1)
    gradient = learner.meta_gradient(tasks)
    generator = torch.Generator().manual_seed(3)
    direction = [torch.randn(t.shape, generator=generator, dtype=t.dtype) for t in model.theta]
    start = [t.detach().clone() for t in model.theta]
    ends = []
    for sign in (1, -1):
        with torch.no_grad():
            for t, s, d in zip(model.theta, start, direction, strict=True):
                t.copy_(s + sign * 1e-5 * d)
        ends.append(learner(tasks)[1].mean().item())
    slope = sum((g * d).sum() for g, d in zip(gradient, direction, strict=True)).item()
    assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(slope, rel=1e-8)


def test_first_order_is_not_maml():
    # The test that a forgotten create_graph fails: on this task the two differ by far more than rounding.
    tasks = sine_tasks()
    assert (
        distance(build("maml", sine_model()).meta_gradient(tasks), build("fomaml", sine_model()).meta_gradient(tasks))
        > 1e-3
    )


@pytest.mark.parametrize("name", NAMES)
def test_meta_training_helps(name):
    """With the row's own rates and steps, whole trainings short enough for a test."""
    torch.manual_seed(0)
    distribution = distribution_for(name)
    learner = ALGORITHMS[name](model_for(name, width=40, activation=torch.nn.ReLU).float())
    before = evaluate(learner, distribution, tasks=100, steps=3)[:, -1].mean()
    # A random estimate of the meta-gradient takes longer, and a solver inside takes time.
    noisy, solves = ALGORITHMS[name].noisy, name in ("imaml", "imaml-neumann")
    fit(learner, distribution, steps=600 if noisy else 120 if solves else 300, tasks=10 if noisy else 25, seed=0)
    assert evaluate(learner, distribution, tasks=100, steps=3)[:, -1].mean() < 0.9 * before


@pytest.mark.parametrize("name", NAMES)
def test_configuration_prints(name):
    learner = ALGORITHMS[name].offer(model_for(name), alpha=0.07)
    text = str(learner)
    if "alpha" in inspect.signature(ALGORITHMS[name].build).parameters:
        assert "alpha=0.07" in text
    assert f"loss={learner.model.loss.__name__}" in text
    for part in (learner.solver, learner.metagradient, learner.weighting):
        assert f"{type(part).__name__}(" in text


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_left_alone(name):
    model, tasks = model_for(name), tasks_for(name)
    before = [t.detach().clone() for t in model.theta]
    learner = build(name, model)
    learner.meta_gradient(tasks)
    learner.adapt(tasks.support, steps=4)
    evaluate(learner, distribution_for(name), tasks=2, steps=2)
    assert all(torch.equal(a, b) for a, b in zip(before, model.theta, strict=True))
    assert all(t.grad is None for t in model.theta)


# What CUDA itself waits in: a matrix exponential looks at the size of its matrix, singular values at whether they came.
WAITING = {"meta-rkhs-2", "conflict-averse"}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_same_meta_gradient_on_a_gpu_without_a_wait(name, device):
    tasks, learner = tasks_for(name), build(name, model_for(name)).to(device)
    there = tasks.to(device)
    seeded(learner, there)  # what is loaded late, is loaded now
    with contextlib.nullcontext() if name in WAITING else never_waiting(device):
        found = seeded(learner, there)
    assert on(device, found)
    assert all(g.isfinite().all() for g in found)
    if ALGORITHMS[name].noisy:  # a GPU draws other numbers
        drawing_like_the_cpu(device)
        found = learner.meta_gradient(there)
    if device != "cuda" or not ALGORITHMS[name].noisy:
        assert relative([g.cpu() for g in found], seeded(build(name, model_for(name)), tasks)) < 1e-8


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_same_training_and_testing_on_a_gpu(name, device):
    learner, there = build(name, model_for(name)), build(name, model_for(name))
    torch.manual_seed(0)
    losses = fit(learner, distribution_for(name), steps=3, tasks=4).losses
    drawing_like_the_cpu(device, seed=0)
    found = fit(there, distribution_for(name), steps=3, tasks=4, device=device).losses
    assert on(device, (*there.parameters(), *there.buffers()))
    if device != "cuda" or not ALGORITHMS[name].noisy:
        assert found == pytest.approx(losses, rel=1e-6)
        tested = [evaluate(each, distribution_for(name), tasks=2, steps=2) for each in (there, learner)]
        torch.testing.assert_close(*tested, rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", EXACT)
def test_the_whole_meta_step_can_be_traced(name):
    # Nothing on the way may read a tensor back into Python, higher's differentiable optimiser included.
    learner, tasks, others = build(name, model_for(name)), tasks_for(name), tasks_for(name, seed=1)

    def meta_gradient(*tensors):
        return learner.meta_gradient(Tasks(Data(*tensors[:2]), Data(*tensors[2:]), tasks.index))

    traced = make_fx(meta_gradient)(*tasks.support, *tasks.query)
    assert relative(traced(*others.support, *others.query), learner.meta_gradient(others)) < 1e-12


FIFTEEN_LINES = """
import torch
from torch.nn.functional import mse_loss
from mamlbook import Model, Sinusoids, evaluate, fit, maml, mlp
from mamlbook.pages import figures

waves = Sinusoids(shots=10)
model = Model(mlp(1, 40, 40, 1, seed=0), loss=mse_loss)
learner = maml(model, alpha=0.01, steps=5)
print(learner)                                    # the whole configuration

history = fit(learner, waves, steps=15_000, tasks=25, beta=1e-3, seed=0)
figures.curve(history)

losses = evaluate(learner, waves, tasks=600, steps=10, seed=1)
print(losses.mean(0))                             # error after 0, 1, ..., 10 steps
figures.adaptation(learner, waves, seed=2)
"""


def test_fifteen_lines_of_the_book(capsys):
    names = {}
    exec(FIFTEEN_LINES.replace("15_000", "300"), names)
    assert "steps=5" in capsys.readouterr().out
    assert names["losses"].shape == (600, 11)
    mean = names["losses"].mean(0)
    assert mean[5] < 0.7 * mean[0]
    assert len(names["history"].losses) == 300
    assert all(math.isfinite(loss) for loss in names["history"].losses)


@pytest.mark.parametrize("name", NAMES)
def test_a_learner_can_be_sent_to_another_process(name):
    learner, tasks = build(name, model_for(name)), tasks_for(name)
    sent = pickle.loads(pickle.dumps(learner))
    before, after = seeded(learner, tasks), seeded(sent, tasks)
    assert distance(before, after) == 0
