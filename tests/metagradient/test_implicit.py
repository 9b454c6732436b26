"""iMAML against the explicit inverse, the unrolled gradient, kernel ridge regression and the Moreau envelope."""

from functools import partial

import pytest
import torch
from torch.nn.functional import mse_loss

from battery import relative, sine_model, sine_tasks
from mamlbook import (
    Data,
    Exact,
    GradientDescent,
    MetaLearner,
    Model,
    Reptile,
    Tasks,
    distance,
    keep,
    linear,
    mlp,
)
from mamlbook.algorithms.linear_model import ClosedForm
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient import Implicit
from mamlbook.metagradient.local import query_gradient
from mamlbook.tasks.quadratic import LinearRegression, Quadratics, half_squared_error
from mamlbook.torch_internals import trace

LAM = 2.0


def small(seed=0):
    """A tanh network of 22 weights: its Hessian can be written out."""
    return Model(mlp(1, 3, 3, 1, activation=torch.nn.Tanh, seed=seed), mse_loss).double()


def pulled(metagradient, model=None, steps=200, alpha=0.1, lam=LAM, **options):
    return MetaLearner(model or small(), GradientDescent(alpha, steps, lam=lam, **options), metagradient)


def hessian(model, data, phi, b):
    """The Hessian of one task's loss, written out by automatic differentiation of the plain network."""
    sizes, shapes = [p[b].numel() for p in phi], [p[b].shape for p in phi]

    def loss(vector):
        parts = [part.view(shape) for part, shape in zip(vector.split(sizes), shapes, strict=True)]
        params = dict(zip(model.names, parts, strict=True))
        return mse_loss(torch.func.functional_call(model.net, params, data.x[b]), data.y[b])

    return torch.autograd.functional.hessian(loss, torch.cat([p[b].detach().flatten() for p in phi]))


def flat(gradients):
    return torch.cat([g.flatten() for g in gradients])


@pytest.mark.parametrize("damping", [0.0, 1.5])
@pytest.mark.parametrize("method", ["cg", "neumann"])
def test_it_is_the_explicit_inverse(method, damping):
    learner, tasks = pulled(Implicit(60 if method == "cg" else 2000, method, damping=damping)), sine_tasks(3)
    phi = learner.adapt(tasks.support).phi
    expected = 0
    for b in range(3):
        h = hessian(learner.model, tasks.support, phi, b)
        at = tuple(p[b : b + 1].detach().requires_grad_() for p in phi)
        query = tasks.pick([b]).query
        q = flat(torch.autograd.grad(learner.model.losses(learner.model(at, query.x), query.y).sum(), at))
        expected = expected + torch.linalg.solve((1 + damping) * torch.eye(len(h)) + h / LAM, q) / 3
    assert distance([flat(learner.meta_gradient(tasks))], [expected]) < 1e-10


def test_it_is_what_unrolling_comes_to_when_the_steps_are_many():
    tasks = sine_tasks(3)
    errors = []
    for steps in (5, 20, 80, 320):
        unrolled = pulled(Exact(), steps=steps).meta_gradient(tasks)
        errors.append(relative(pulled(Implicit(40), steps=steps).meta_gradient(tasks), unrolled))
    assert errors[0] > 0.1 > errors[1] > 10 * errors[2]
    assert errors[3] < 1e-10


def test_any_rule_may_find_the_minimum():
    tasks = sine_tasks(3)
    expected = pulled(Implicit(40), steps=400).meta_gradient(tasks)
    momentum = partial(torch.optim.SGD, momentum=0.7)
    assert relative(pulled(Implicit(40), steps=400, rule=momentum).meta_gradient(tasks), expected) < 1e-10


def test_the_series_comes_to_conjugate_gradients():
    tasks = sine_tasks(4)
    solved = pulled(Implicit(40)).meta_gradient(tasks)
    errors = [relative(pulled(Implicit(j, "neumann")).meta_gradient(tasks), solved) for j in (5, 50, 500)]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-10


def test_at_a_minimum_the_series_is_a_truncated_backward_pass():
    """Differentiating J more steps taken at phi*, with the start held fixed, gives the first J terms."""
    model, tasks, terms = small(), sine_tasks(3), 4
    solver = GradientDescent(0.1, 2000, lam=LAM)
    minimum = solver(model, tasks.support, unroll=0).phi
    theta = tuple(t.expand(3, *t.shape).detach().requires_grad_() for t in model.theta)
    phi = tuple(p.detach().requires_grad_() for p in minimum)
    at = phi
    for _ in range(terms):
        away = sum((0.5 * LAM * (p - t) ** 2).sum() for p, t in zip(at, theta, strict=True))
        loss = model.losses(model(at, tasks.support.x), tasks.support.y).sum() + away
        at = tuple(p - 0.1 * g for p, g in zip(at, torch.autograd.grad(loss, at, create_graph=True), strict=True))
    query = model.losses(model(at, tasks.query.x), tasks.query.y).sum()
    by_hand = torch.autograd.grad(query, theta)
    learner = MetaLearner(model, solver, Implicit(terms - 1, "neumann"))
    assert relative(learner.meta_gradient(tasks), [g.mean(0) for g in by_hand]) < 1e-10


def test_on_a_linear_network_it_is_kernel_ridge_regression():
    """phi* = theta + X^T (X X^T + lam I)^-1 (y - X theta): differentiate that formula instead."""
    tasks = LinearRegression(8, shots=5, queries=6, noise=0.2).draw(4, torch.Generator().manual_seed(0))
    theta = torch.linspace(-1, 1, 8, dtype=torch.float64)
    solver = GradientDescent(0.04, 3000, lam=LAM)
    learner = MetaLearner(Model(linear(theta), half_squared_error), solver, Implicit(8))
    start = theta.clone().requires_grad_()
    (x, y), (xq, yq), _ = tasks
    weights = torch.linalg.solve(x @ x.mT + LAM * torch.eye(5), y - x @ start[:, None])
    y_hat = xq @ start[:, None] + xq @ x.mT @ weights
    (expected,) = torch.autograd.grad(half_squared_error(y_hat, yq) / 4, start)
    assert distance(learner.meta_gradient(tasks)[0], expected[None]) < 1e-10
    adapted = learner.adapt(tasks.support)
    assert distance([adapted.predict(adapted.phi, xq)], [y_hat]) < 1e-10


def test_reptile_with_a_converged_pull_descends_on_the_moreau_envelope():
    """lam (theta - phi*) is the gradient at phi*, and that of min_phi L(phi) + lam / 2 ||phi - theta||^2."""
    model, tasks = small(), sine_tasks(3)
    solver = GradientDescent(0.1, 1000, lam=LAM)
    way = [LAM * g for g in MetaLearner(model, solver, Reptile()).meta_gradient(tasks)]
    adapted = solver(model, tasks.support, unroll=0)
    phi = tuple(p.detach().requires_grad_() for p in adapted.phi)
    there = torch.autograd.grad(model.losses(model(phi, tasks.support.x), tasks.support.y).sum(), phi)
    assert distance(way, [g.mean(0) for g in there]) < 1e-10

    def envelope(shift):
        moved = tuple((t + shift * d).detach().expand(3, *t.shape) for t, d in zip(model.theta, way, strict=True))
        at = solver(model, tasks.support, unroll=0, theta=moved)
        return at.inner(moved, at.phi).mean().item()

    slope = (envelope(1e-4) - envelope(-1e-4)) / 2e-4
    assert slope == pytest.approx(sum((g * g).sum().item() for g in way), rel=1e-6)


@pytest.mark.parametrize("lam", [0.3, 5.0])
def test_fixed_point_weighs_the_optima_by_h_times_the_square_of_what_the_pull_leaves(lam):
    h, c = torch.tensor([0.5, 4.0], dtype=torch.float64), torch.tensor([-1.0, 2.0], dtype=torch.float64)
    w = h * (lam / (h + lam)) ** 2
    bowls = Quadratics(h, c)
    exact = ClosedForm(bowls.all(), 0.1, 2000, lam=lam, damping=0.0)
    assert exact.fixed_point("imaml").item() == pytest.approx((w @ c / w.sum()).item(), abs=1e-12)
    model = Model(linear(exact.fixed_point("imaml")), half_squared_error)
    assert pulled(Implicit(1), model, steps=2000, lam=lam).meta_gradient(bowls.all())[0].abs().max() < 1e-12


def unsettled():
    """A start far from any minimum, one step, a weak pull: the inner objective is not convex there."""
    return MetaLearner(sine_model(), GradientDescent(0.01, 1, lam=0.01), Implicit(20)), sine_tasks(8)


def test_conjugate_gradients_say_where_the_objective_is_not_convex():
    learner, tasks = unsettled()
    batch = MetaBatch.of(learner.model, learner.solver, tasks)
    adapted = batch.solve(unroll=0)
    q = tuple(torch.ones_like(p) for p in adapted.phi)
    solution = learner.metagradient.solve(batch, adapted, q)
    smallest = torch.stack(
        [torch.linalg.eigvalsh(hessian(learner.model, tasks.support, adapted.phi, b))[0] for b in range(8)]
    )
    assert solution.indefinite.any()
    assert (smallest[solution.indefinite] < -0.01).all()
    assert all(part.isfinite().all() for part in solution.x)
    damped = Implicit(20, damping=1 - 2 * smallest.min().item() / 0.01)
    assert not damped.solve(batch, adapted, q).indefinite.any()


def test_the_tasks_that_stopped_can_be_looked_at():
    learner, tasks = unsettled()
    assert learner.metagradient.indefinite is None
    learner.meta_gradient(tasks)
    batch = MetaBatch.of(learner.model, learner.solver, tasks)
    adapted = batch.solve(unroll=0)
    _, q = query_gradient(batch, adapted)
    stopped = learner.metagradient.indefinite
    assert stopped.any()
    assert torch.equal(stopped, learner.metagradient.solve(batch, adapted, q).indefinite)
    trace(lambda *theta: learner.gradients(tasks)[1], *learner.model.theta)
    assert learner.metagradient.indefinite is stopped, "a trace leaves none of its own tensors there"


def test_a_task_that_stops_does_not_disturb_the_others():
    learner, tasks = unsettled()
    singles = [learner.meta_gradient(tasks.pick([b])) for b in range(8)]
    mean = [torch.stack(parts).mean(0) for parts in zip(*singles, strict=True)]
    assert relative(learner.meta_gradient(tasks), mean) < 1e-10


@pytest.mark.parametrize("solver", [GradientDescent(0.1, 2), GradientDescent(0.1, 2, lam=0.0)])
def test_without_a_pull_there_is_nothing_to_differentiate(solver):
    with pytest.raises(ValueError, match="solver: expected one with a proximal term"):
        MetaLearner(small(), solver, Implicit()).meta_gradient(sine_tasks(2))


def test_weights_that_do_not_adapt_are_refused():
    solver = GradientDescent(0.1, 2, keep(lambda name: name.startswith("head")), lam=1.0)
    with pytest.raises(ValueError, match="solver: expected every weight to adapt"):
        MetaLearner(small(), solver, Implicit()).meta_gradient(sine_tasks(2))


def test_the_series_needs_a_rate():
    with pytest.raises(ValueError, match="rate: expected one, since the solver GradientDescent has no alpha above 0"):
        MetaLearner(small(), GradientDescent(0.0, 2, lam=1.0), Implicit(2, "neumann")).meta_gradient(sine_tasks(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations: expected a whole number"),
        ({"iterations": 2.0}, "iterations: expected a whole number"),
        ({"method": "lu"}, r"method: expected one of \('cg', 'neumann'\), got 'lu'"),
        ({"rate": 0.0}, "rate: expected a finite number above 0"),
        ({"damping": -1.0}, "damping: expected a finite number of at least 0"),
        ({"damping": float("nan")}, "damping: expected a finite number of at least 0"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        Implicit(**options)


def test_it_prints_what_decides_it():
    assert str(Implicit(3, "neumann", rate=0.5, damping=1.0)) == (
        "Implicit(iterations=3, method='neumann', rate=0.5, damping=1)"
    )


def test_support_and_query_may_differ_in_size():
    tasks = sine_tasks(3)
    fewer = Tasks(Data(tasks.support.x[:, :2], tasks.support.y[:, :2]), tasks.query, tasks.index)
    assert all(g.isfinite().all() for g in pulled(Implicit()).meta_gradient(fewer))
