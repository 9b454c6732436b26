"""iMAML's rows: with plain steps they have a closed form, and with their own they invert the Hessian where they end."""

from functools import partial

import torch
from torch.nn.functional import mse_loss

from battery import sine_model, sine_tasks
from mamlbook import ALGORITHMS, Model, distance, linear
from mamlbook.algorithms.linear_model import ClosedForm
from mamlbook.tasks.quadratic import LinearRegression, half_squared_error

ALPHA, LAM = 0.03, 5.0


def closed_form(name):
    theta = torch.tensor([0.5, -1.0, 2.0, 0.25], dtype=torch.float64)
    tasks = LinearRegression(4, shots=9, queries=7, noise=0.3).draw(6, torch.Generator().manual_seed(0))
    model = Model(linear(theta), half_squared_error)
    for steps in (1, 2, 5):
        learner = ALGORITHMS[name](model, ALPHA, steps, rule=torch.optim.SGD)
        exact = ClosedForm(tasks, ALPHA, steps).meta_gradient(name, theta)
        assert distance(learner.meta_gradient(tasks)[0], exact[None]) < 1e-10


def inverse(name, damping, **options):
    """Where the row's own rule ends, on a network: against the Hessian written out, one task at a time."""
    model, tasks = sine_model(), sine_tasks(2)
    learner = ALGORITHMS[name](model, ALPHA, 16, LAM, **options)
    phi = learner.adapt(tasks.support).phi
    sizes, shapes, expected = [t.numel() for t in model.theta], [t.shape for t in model.theta], 0

    def loss(vector, x, y):
        parts = [part.view(shape) for part, shape in zip(vector.split(sizes), shapes, strict=True)]
        return mse_loss(torch.func.functional_call(model.net, dict(zip(model.names, parts, strict=True)), x), y)

    for b in range(2):
        at = torch.cat([p[b].detach().flatten() for p in phi]).requires_grad_()
        h = torch.autograd.functional.hessian(partial(loss, x=tasks.support.x[b], y=tasks.support.y[b]), at)
        assert torch.linalg.eigvalsh(h)[0] > -LAM  # or conjugate gradients would stop
        (q,) = torch.autograd.grad(loss(at, tasks.query.x[b], tasks.query.y[b]), at)
        expected = expected + torch.linalg.solve((1 + damping) * torch.eye(len(h)) + h / LAM, q) / 2
    found = torch.cat([g.flatten() for g in learner.meta_gradient(tasks)])
    assert distance([found], [expected]) < 1e-10


def conjugate_gradients():
    closed_form("imaml")
    inverse("imaml", 1.0, iterations=97)


def neumann():
    closed_form("imaml-neumann")
    inverse("imaml-neumann", 0.0, iterations=3000, rate=None)  # that of the inner loop


LIMITS = {"imaml": conjugate_gradients, "imaml-neumann": neumann}
