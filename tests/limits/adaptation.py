"""Which weights adapt, when and how fast: every row against a loop that is spelled out, task by task."""

import torch
from torch.nn.functional import linear, mse_loss

from battery import model_for, relative, seeded, tasks_for
from mamlbook import ALGORITHMS, GradientDescent, MetaLearner, Model, distance, maml
from mamlbook import linear as linear_model
from mamlbook.inner import DropGrad
from mamlbook.tasks.base import Data, Tasks, never_again
from mamlbook.tasks.quadratic import half_squared_error

ALPHA, STEPS = 0.05, 3


def network(parameters, x):
    """Three layers and tanh, written out."""
    w1, b1, w2, b2, w3, b3 = parameters
    return linear(linear(linear(x, w1, b1).tanh(), w2, b2).tanh(), w3, b3)


def plain(model, tasks, rate):
    """The mean query loss after phi <- phi - rate(step, tensor) g; a rate of None leaves a tensor alone."""
    total = 0
    for b in range(len(tasks.index)):
        phi = list(model.theta)
        for step in range(STEPS):
            # A tensor that earlier steps left alone is theta itself, on which the others depend by now; what a step
            # follows is the partial derivative.
            phi = [p.view_as(p) for p in phi]
            loss = mse_loss(network(phi, tasks.support.x[b]), tasks.support.y[b])
            chosen = [i for i in range(6) if rate(step, i) is not None]
            gradients = torch.autograd.grad(loss, [phi[i] for i in chosen], create_graph=True)
            for i, g in zip(chosen, gradients, strict=True):
                phi[i] = phi[i] - rate(step, i) * g
        total = total + mse_loss(network(phi, tasks.query.x[b]), tasks.query.y[b])
    return total / len(tasks.index)


def agrees(name, rate, **options):
    model, tasks = model_for(name), tasks_for(name)
    learner = ALGORITHMS[name](model, alpha=ALPHA, steps=STEPS, **options)
    expected = torch.autograd.grad(plain(model, tasks, rate), model.theta)
    assert distance(learner.meta_gradient(tasks), expected) < 1e-12
    assert distance(maml(model, ALPHA, STEPS).meta_gradient(tasks), expected) > 1e-3  # which is something else


def anil():
    agrees("anil", lambda step, i: ALPHA if i >= 4 else None)


def boil():
    agrees("boil", lambda step, i: ALPHA if i < 4 else None)


def lambda_pattern():
    rows = ("101", "010")
    agrees("lambda-pattern", lambda step, i: ALPHA if rows[min(step, 1)][i // 2] == "1" else None, rows=rows)


def learned(name):
    """The gradients in the weights and in the factors s, at factors that are no longer 1; at 1 it is MAML."""
    model, tasks = model_for(name), tasks_for(name)
    learner = ALGORITHMS[name](model, alpha=ALPHA, steps=STEPS)
    assert distance(learner.meta_gradient(tasks), maml(model, ALPHA, STEPS).meta_gradient(tasks)) < 1e-13
    factors = list(learner.solver.transforms[0].rates)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for s in factors:
            s += 0.5 * torch.randn(s.shape, generator=generator, dtype=s.dtype)
    everything = (*model.theta, *factors)
    expected = plain(model, tasks, lambda step, i: ALPHA * factors[i][min(step, len(factors[i]) - 1)])
    got = torch.autograd.grad(learner(tasks)[0], everything)
    assert distance(got, torch.autograd.grad(expected, everything)) < 1e-12


def cavia():
    """A loop over the context alone, from zeros, whatever the network's own context is."""
    model, tasks = model_for("cavia"), tasks_for("cavia")
    with torch.no_grad():
        model.theta[0].fill_(3.0)
    total = 0
    for b in range(5):
        c = torch.zeros(5, dtype=torch.float64, requires_grad=True)
        for _ in range(STEPS):
            loss = mse_loss(with_context(model, c, tasks.support.x[b]), tasks.support.y[b])
            c = c - ALPHA * torch.autograd.grad(loss, c, create_graph=True)[0]
        total = total + mse_loss(with_context(model, c, tasks.query.x[b]), tasks.query.y[b]) / 5
    expected = torch.autograd.grad(total, model.theta[1:])
    own, *others = ALGORITHMS["cavia"](model, alpha=ALPHA, steps=STEPS).meta_gradient(tasks)
    assert not own.any()
    assert distance(others, expected) < 1e-12


def with_context(model, c, x):
    return network(model.theta[1:], torch.cat([x, c.expand(len(x), -1)], 1))


def dropgrad():
    """As p goes to 0 it is MAML; and on a bowl the mean loss has the penalty of the closed form."""
    model, tasks = model_for("dropgrad"), tasks_for("dropgrad")
    exact = maml(model, ALPHA, STEPS).meta_gradient(tasks)
    for noise in ("binary", "gaussian"):
        few, fewer = (
            relative(seeded(ALGORITHMS["dropgrad"](model, ALPHA, STEPS, p=p, noise=noise), tasks), exact)
            for p in (1e-6, 1e-14)
        )
        assert few < 1e-2
        assert fewer < 1e-5
        penalised(noise)


def penalised(noise, p=0.4, alpha=0.1, copies=40_000):
    """E L(e - alpha n u) - L(e - alpha u) = alpha^2 p / (2 (1 - p)) sum_j A_jj u_j^2, with u = A e, by Monte Carlo."""
    torch.manual_seed(0)
    x = torch.randn(6, 3, dtype=torch.float64)
    e = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    one = Data(x, torch.zeros(6, 1, dtype=torch.float64))  # the optimum is at zero, so that theta is e
    many = Data(one.x.expand(copies, 6, 3), one.y.expand(copies, 6, 1))
    tasks = Tasks(many, many, never_again(copies))
    learner = MetaLearner(Model(linear_model(e), half_squared_error), GradientDescent(alpha, 1, DropGrad(p, noise)))
    losses = learner(tasks)[1]
    a = x.T @ x
    u = a @ e
    after = e - alpha * u
    penalty = alpha**2 * p / (2 * (1 - p)) * (a.diagonal() * u**2).sum()
    error = losses.std() / copies**0.5
    assert penalty > 50 * error  # so that a wrong factor would be seen
    assert abs(losses.mean() - (after @ a @ after / 2 + penalty)) < 4 * error


LIMITS = {
    "anil": anil,
    "boil": boil,
    "lambda-pattern": lambda_pattern,
    "meta-sgd": lambda: learned("meta-sgd"),
    "lslr": lambda: learned("lslr"),
    "cavia": cavia,
    "dropgrad": dropgrad,
}
