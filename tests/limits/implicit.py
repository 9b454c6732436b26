"""iMAML's rows: with plain steps they have a closed form, and with their own they invert the Hessian where they end."""

import itertools
from functools import partial

import pytest
import torch
from torch.nn.functional import mse_loss

from battery import seeded, sine_model, sine_tasks
from mamlbook import ALGORITHMS, Model, distance, linear
from mamlbook.algorithms.linear_model import ClosedForm
from mamlbook.tasks.quadratic import LinearRegression, Quadratics, half_squared_error

ALPHA, LAM = 0.03, 5.0


def closed_form(name, formula, **options):
    theta = torch.tensor([0.5, -1.0, 2.0, 0.25], dtype=torch.float64)
    tasks = LinearRegression(4, shots=9, queries=7, noise=0.3).draw(6, torch.Generator().manual_seed(0))
    model = Model(linear(theta), half_squared_error)
    for steps in (1, 2, 5):
        learner = ALGORITHMS[name](model, ALPHA, steps, rule=torch.optim.SGD, **options)
        exact = ClosedForm(tasks, ALPHA, steps).meta_gradient(formula, theta)
        assert distance(learner.meta_gradient(tasks)[0], exact[None]) < 1e-10


def inverse(name, damping, within=1e-10, **options):
    """Where the row's own rule ends, on a network: against the Hessian written out, one task at a time."""
    model, tasks = sine_model(), sine_tasks(2)
    learner = ALGORITHMS[name](model, ALPHA, 16, LAM, **options)
    phi, expected = learner.adapt(tasks.support).phi, 0
    for b in range(2):
        h, q = hessian_and_gradient(model, tasks, phi, b)
        assert torch.linalg.eigvalsh(h)[0] > -LAM  # or conjugate gradients would stop
        expected = expected + torch.linalg.solve((1 + damping) * torch.eye(len(h)) + h / LAM, q) / 2
    found = torch.cat([g.flatten() for g in learner.meta_gradient(tasks)])
    assert distance([found], [expected]) < within


def hessian_and_gradient(model, tasks, phi, b):
    """The Hessian of a task's support loss at its phi, (P, P), and the gradient of its query loss there, (P,)."""
    sizes, shapes = [t.numel() for t in model.theta], [t.shape for t in model.theta]

    def loss(vector, x, y):
        parts = [part.view(shape) for part, shape in zip(vector.split(sizes), shapes, strict=True)]
        return mse_loss(torch.func.functional_call(model.net, dict(zip(model.names, parts, strict=True)), x), y)

    at = torch.cat([p[b].detach().flatten() for p in phi]).requires_grad_()
    h = torch.autograd.functional.hessian(partial(loss, x=tasks.support.x[b], y=tasks.support.y[b]), at)
    (q,) = torch.autograd.grad(loss(at, tasks.query.x[b], tasks.query.y[b]), at)
    return h, q


def conjugate_gradients():
    closed_form("imaml", "imaml")
    inverse("imaml", 1.0, iterations=97)


def neumann():
    closed_form("imaml-neumann", "imaml-neumann")
    inverse("imaml-neumann", 0.0, iterations=3000, rate=None)  # that of the inner loop


def columns():
    """All of the columns are the Hessian, and a Hessian of rank r is made of any r columns that are independent."""
    closed_form("imaml-nystrom", "imaml", columns=4)
    inverse("imaml-nystrom", 1.0, 1e-7, columns=97)  # what is below rounding is not inverted


def a_few_columns():
    """Three of the columns, against the approximation written out: C (C_K)^-1 C^T in the place of the Hessian."""
    model, tasks = sine_model(), sine_tasks(1)
    learner = ALGORITHMS["imaml-nystrom"](model, ALPHA, 16, LAM, columns=3)
    h, q = hessian_and_gradient(model, tasks, learner.adapt(tasks.support).phi, 0)
    torch.manual_seed(7)
    chosen = torch.rand(len(h), dtype=h.dtype).topk(3).indices
    near = h[:, chosen] @ torch.linalg.inv(h[chosen][:, chosen]) @ h[chosen]
    expected = torch.linalg.solve(2 * torch.eye(len(h)) + near / LAM, q)
    found = torch.cat([g.flatten() for g in seeded(learner, tasks)])
    assert distance([found], [expected]) < 1e-9
    assert distance([found], [torch.linalg.solve(2 * torch.eye(len(h)) + h / LAM, q)]) > 1e-3


def nystrom():
    columns()
    a_few_columns()


def random_directions():
    """From signs the mean over all 2^P of them is MAML's gradient, and the variance (P - 1) times its square."""
    curvatures = torch.tensor([[1.0, 3.0, 0.5], [0.2, 1.0, 2.0]], dtype=torch.float64).diag_embed()
    bowls = Quadratics(curvatures, [[0.0, 1.0, 2.0], [1.0, 0.0, -1.0]]).all()
    theta = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    model = Model(linear(theta), half_squared_error)
    exact = ALGORITHMS["maml"](model, 0.1, 3).meta_gradient(bowls)[0]
    torch.manual_seed(0)
    one = ALGORITHMS["random-forward"](model, 0.1, 3, directions=1)
    drawn = torch.stack([one.meta_gradient(bowls.pick([0]))[0] for _ in range(400)])
    alone = ALGORITHMS["maml"](model, 0.1, 3).meta_gradient(bowls.pick([0]))[0]
    # Each estimate is (g^T e) e, so that its squared length is P (g^T e)^2, of which there are four values here.
    signs = torch.tensor(list(itertools.product((1.0, -1.0), repeat=3)), dtype=torch.float64)
    possible = (signs @ alone.flatten())[:, None] * signs
    apart = (drawn.flatten(1)[:, None] - possible).norm(dim=2).amin(1)
    assert apart.max() < 1e-12
    assert ((possible - alone.flatten()).square().sum(1).mean() / alone.square().sum()) == pytest.approx(2.0)
    many = ALGORITHMS["random-forward"](model, 0.1, 3, directions=40_000).meta_gradient(bowls)[0]
    assert distance([many], [exact]) < 0.05


LIMITS = {
    "imaml": conjugate_gradients,
    "imaml-neumann": neumann,
    "imaml-nystrom": nystrom,
    "random-forward": random_directions,
}
