"""Truncation, forward mode and finite differences against the exact gradient, and against plain loops."""

from functools import partial
from itertools import pairwise

import pytest
import torch

from battery import relative, sine_model, sine_tasks
from mamlbook import (
    ALL,
    Exact,
    FirstOrder,
    GradientDescent,
    MetaLearner,
    Model,
    distance,
    fomaml,
    keep,
    linear,
    maml,
)
from mamlbook.algorithms import ALGORITHMS
from mamlbook.metagradient import FiniteDifference, ForwardMode, Implicit, Truncated
from mamlbook.tasks.quadratic import LinearRegression, half_squared_error


def gradient(metagradient, steps=4, alpha=0.05, model=None, tasks=None, **options):
    learner = MetaLearner(model or sine_model(), GradientDescent(alpha, steps, **options), metagradient)
    return learner.meta_gradient(tasks or sine_tasks())


@pytest.mark.parametrize("lam", [0.0, 0.5])
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_forward_mode_is_reverse_mode(steps, lam):
    assert relative(gradient(ForwardMode(), steps, lam=lam), gradient(Exact(), steps, lam=lam)) < 1e-12


def test_forward_mode_with_a_loss_of_its_own():
    loss = partial(torch.func.vmap, lambda y_hat, y: (y_hat - y).abs().pow(1.5).mean())()
    assert relative(gradient(ForwardMode(), loss=loss), gradient(Exact(), loss=loss)) < 1e-12


@pytest.mark.parametrize("lam", [0.0, 0.5])
def test_finite_differences_tend_to_the_exact_gradient_like_the_square_of_epsilon(lam):
    exact = gradient(Exact(), lam=lam)
    coarse, fine = (relative(gradient(FiniteDifference(e), lam=lam), exact) for e in (1e-1, 1e-3))
    assert fine < 1e-6
    assert coarse / fine == pytest.approx(1e4, rel=0.1)


def test_one_step_is_the_formula_of_darts():
    """grad = q - alpha (g(theta + e q) - g(theta - e q)) / 2e with e = 0.01 / ||q||, one task at a time."""
    model, tasks, alpha = sine_model(), sine_tasks(3), 0.05
    theta = [t.detach() for t in model.theta]

    def slope(at, data):
        at = [t.clone().requires_grad_() for t in at]
        y_hat = torch.func.functional_call(model.net, dict(zip(model.names, at, strict=True)), data.x[0])
        return torch.autograd.grad(model.loss(y_hat, data.y[0]), at)

    total = [torch.zeros_like(t) for t in theta]
    for b in range(3):
        support, query, _ = tasks.pick([b])
        q = slope([t - alpha * g for t, g in zip(theta, slope(theta, support), strict=True)], query)
        e = 0.01 / sum((part**2).sum() for part in q).sqrt()
        ends = [slope([t + sign * e * part for t, part in zip(theta, q, strict=True)], support) for sign in (1, -1)]
        for t, part, ahead, behind in zip(total, q, *ends, strict=True):
            t += (part - alpha * (ahead - behind) / (2 * e)) / 3
    assert distance(gradient(FiniteDifference(), 1, tasks=tasks), total) < 1e-12


def test_a_task_without_a_query_gradient_has_a_meta_gradient_of_zero():
    tasks = LinearRegression(3).draw(2, torch.Generator().manual_seed(0))
    solved = torch.linalg.lstsq(tasks.support.x[0], tasks.support.y[0]).solution[:, 0]
    model = Model(linear(solved), half_squared_error)
    result = gradient(FiniteDifference(), 2, 0.01, model, tasks.pick([0]))[0]
    assert result.isfinite().all()
    assert result.abs().max() < 1e-10


@pytest.mark.parametrize("method", [ForwardMode, FiniteDifference])
@pytest.mark.parametrize(
    "solver",
    [
        GradientDescent(0.1, 1, rule=torch.optim.Adam),
        GradientDescent(0.1, 1, rule=partial(torch.optim.SGD, momentum=0.9)),
        GradientDescent(0.1, 1, keep(lambda name: True)),
        GradientDescent(0.1, 1, start=lambda model, support, theta: theta),
    ],
    ids=["adam", "momentum", "transform", "start"],
)
def test_other_steps_are_refused(method, solver):
    with pytest.raises(ValueError, match="solver: expected plain gradient steps from theta"):
        MetaLearner(sine_model(), solver, method()).meta_gradient(sine_tasks())


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan")])
def test_bad_epsilon(epsilon):
    with pytest.raises(ValueError, match="epsilon: expected a finite number above 0"):
        FiniteDifference(epsilon)


def test_truncation_reaches_from_first_order_to_maml():
    tasks = sine_tasks()
    exact = maml(sine_model(), 0.05, 4).meta_gradient(tasks)
    distances = [relative(gradient(Truncated(last)), exact) for last in (1, 2, 3)]
    first_order = relative(fomaml(sine_model(), 0.05, 4).meta_gradient(tasks), exact)
    assert first_order > distances[0] > distances[1] > distances[2] > 1e-3
    for last in (4, 9):
        assert relative(gradient(Truncated(last)), exact) < 1e-14


def test_truncation_is_the_product_of_the_last_jacobians():
    """Against the Jacobians written out, at the iterates, one task at a time."""
    model, tasks, alpha, steps, last = sine_model(), sine_tasks(2), 0.05, 4, 2
    path = list(GradientDescent(alpha, steps).path(model, tasks.support, unroll=0))
    sizes, shapes = [t.numel() for t in model.theta], [t.shape for t in model.theta]

    def loss(vector, data):
        parts = [part.view(shape) for part, shape in zip(vector.split(sizes), shapes, strict=True)]
        y_hat = torch.func.functional_call(model.net, dict(zip(model.names, parts, strict=True)), data.x[0])
        return model.loss(y_hat, data.y[0])

    total = 0
    for b in range(2):
        support, query, _ = tasks.pick([b])
        points = [torch.cat([p[b].detach().flatten() for p in adapted.phi]) for adapted in path]
        end = points[-1].requires_grad_()
        (v,) = torch.autograd.grad(loss(end, query), end)
        for phi in reversed(points[steps - last : steps]):
            v = v - alpha * torch.autograd.functional.hessian(lambda at, data=support: loss(at, data), phi) @ v
        total = total + v / 2
    result = torch.cat([g.flatten() for g in gradient(Truncated(last), steps, alpha, model, tasks)])
    assert distance([result], [total]) < 1e-12


def test_with_a_pull_what_truncation_loses_falls_by_a_fixed_factor():
    """On a bowl of curvature h every further step back leaves (1 - alpha (h + lam)) of the error."""
    tasks = LinearRegression(1, shots=4, queries=4, noise=0.3).draw(1, torch.Generator().manual_seed(0))
    model = Model(linear([0.7]), half_squared_error)
    h, lam, alpha = (tasks.support.x**2).sum().item(), 1.0, 0.05
    exact = gradient(Exact(), 60, alpha, model, tasks, lam=lam)[0]
    errors = [(gradient(Truncated(k), 60, alpha, model, tasks, lam=lam)[0] - exact).abs().item() for k in (3, 4, 5)]
    for before, after in pairwise(errors):
        assert after / before == pytest.approx(1 - alpha * (h + lam), rel=1e-6)


@pytest.mark.parametrize("rule", [torch.optim.Adam, partial(torch.optim.SGD, momentum=0.9)])
def test_truncation_follows_any_rule(rule):
    assert relative(gradient(Truncated(4), rule=rule), gradient(Exact(), rule=rule)) < 1e-14
    one = gradient(Truncated(1), rule=rule)
    assert relative(one, gradient(Exact(), rule=rule)) > 1e-3
    assert relative(one, gradient(FirstOrder(), rule=rule)) > 1e-6


@pytest.mark.parametrize("rule", [torch.optim.SGD, torch.optim.Adam])
def test_early_steps_read_as_zero_leave_the_pull_of_the_last_steps(rule):
    """Differentiate by hand: the last steps from a constant, theta in their pull only."""
    model, tasks, alpha, lam = sine_model(), sine_tasks(3), 0.05, 2.0
    solver = GradientDescent(alpha, 5, lam=lam)
    middle = list(solver.path(model, tasks.support, unroll=0))[3].phi
    theta = tuple(t.expand(3, *t.shape).detach().requires_grad_() for t in model.theta)
    at = tuple(p.detach().requires_grad_() for p in middle)
    for _ in range(2):
        away = sum((lam / 2 * (p - t) ** 2).sum() for p, t in zip(at, theta, strict=True))
        inner = model.losses(model(at, tasks.support.x), tasks.support.y).sum() + away
        at = tuple(p - alpha * g for p, g in zip(at, torch.autograd.grad(inner, at, create_graph=True), strict=True))
    by_hand = torch.autograd.grad(model.losses(model(at, tasks.query.x), tasks.query.y).sum(), theta)
    found = gradient(Truncated(2, early="zero"), 5, alpha, model, tasks, lam=lam)
    assert distance(found, [g.mean(0) for g in by_hand]) < 1e-12
    exact = gradient(Exact(), 5, rule=rule, lam=lam)
    assert relative(gradient(Truncated(5, early="zero"), 5, rule=rule, lam=lam), exact) < 1e-14
    assert relative(gradient(Truncated(4, early="zero"), 5, rule=rule, lam=lam), exact) > 1e-3


def test_near_a_minimum_early_steps_read_as_zero_are_the_neumann_series():
    solver = {"steps": 3000, "alpha": 0.05, "lam": 5.0, "tasks": sine_tasks(2)}
    series = gradient(Implicit(3, "neumann"), **solver)
    assert relative(gradient(Truncated(4, early="zero"), **solver), series) < 1e-6
    assert relative(gradient(Truncated(4), **solver), series) > 0.1


def test_without_a_pull_early_steps_read_as_zero_leave_nothing():
    with pytest.raises(ValueError, match="with the early steps read as 0 theta is felt through it alone"):
        MetaLearner(sine_model(), GradientDescent(0.1, 3), Truncated(1, early="zero"))
    with pytest.raises(ValueError, match="early: expected one of"):
        Truncated(1, early="one")


@pytest.mark.parametrize("method", [FiniteDifference(), ForwardMode(), Implicit()], ids=lambda m: type(m).__name__)
def test_a_network_that_draws_is_refused_where_its_gradient_is_taken_again(method):
    """Other masks ahead and behind made finite differences hundreds of times too long, without a word."""
    net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    learner = MetaLearner(Model(net.double(), torch.nn.functional.mse_loss), GradientDescent(0.05, 2, lam=1.0), method)
    with pytest.raises(ValueError, match="net: expected a network and a loss that draw no random numbers"):
        learner.meta_gradient(sine_tasks())
    net.eval()
    assert all(g.isfinite().all() for g in learner.meta_gradient(sine_tasks()))
    net.train()
    exact = MetaLearner(learner.model, learner.solver, Exact())
    assert all(g.isfinite().all() for g in exact.meta_gradient(sine_tasks())), "what follows may draw again"


@pytest.mark.parametrize(
    "row", ["line-search", "fiml", "evograd", "es-maml", "ntk-ridge", "meta-rkhs-2"], ids=lambda name: name
)
def test_other_draws_are_refused_wherever_two_looks_at_a_network_are_compared(row):
    """With other masks on each side evolution strategies gave noise over sigma, and a line search another line."""
    net = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Tanh(), torch.nn.Dropout(0.5), torch.nn.Linear(8, 1))
    learner = ALGORITHMS[row].build(Model(net.double(), torch.nn.functional.mse_loss))
    with pytest.raises(ValueError, match="net: expected a network and a loss that draw no random numbers"):
        learner.meta_gradient(sine_tasks())
    net.eval()
    assert all(g.isfinite().all() for g in learner.meta_gradient(sine_tasks()))


@pytest.mark.parametrize("last", [0, -1, 1.0, True, ALL])
def test_bad_last(last):
    with pytest.raises(ValueError, match="last: expected a whole number of steps of at least 1"):
        Truncated(last)
