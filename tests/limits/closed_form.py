"""Solved inner loops: their meta-gradients on linear models, and the limits that tie them to gradient descent."""

import torch
from torch.autograd.functional import jacobian

from battery import Blobs, model_for, relative, sine_model, sine_tasks
from mamlbook import ALGORITHMS, GradientDescent, MetaLearner, Model, distance, linear
from mamlbook.algorithms.linear_model import ClosedForm
from mamlbook.metagradient import GradientEnergy
from mamlbook.tasks.quadratic import LinearRegression, half_squared_error

THETA = torch.tensor([0.5, -1.0, 2.0, 0.25], dtype=torch.float64)


def regression():
    """Six noisy linear regressions, and a linear model for them."""
    tasks = LinearRegression(4, shots=9, queries=7, noise=0.3).draw(6, torch.Generator().manual_seed(0))
    return Model(linear(THETA), half_squared_error), tasks


def affine(tasks, jacobian_of, offset_of):
    """The mean of J^T g(J theta + k), if phi = J theta + k."""
    exact = ClosedForm(tasks, 0.0, 0)
    x, y = tasks.support
    curvature, pull = x.mT @ x, x.mT @ y
    j, k = jacobian_of(curvature), offset_of(curvature, pull)
    phi = (j @ THETA[:, None] + k)[..., 0]
    return (j.mT @ exact.query_gradient(phi)[..., None])[..., 0].mean(0)


def ntk_ridge():
    """On a linear model phi = (A + n lam I)^-1 (X^T y + n lam theta), the ridge estimate around theta."""
    model, tasks = regression()
    ridge = 0.1 * 9 * torch.eye(4, dtype=torch.float64)
    got = ALGORITHMS["ntk-ridge"](model, lam=0.1).meta_gradient(tasks)
    expected = affine(
        tasks, lambda a: ridge @ torch.linalg.inv(a + ridge), lambda a, r: torch.linalg.solve(a + ridge, r)
    )
    assert distance(got, [expected[None]]) < 1e-10


def meta_rkhs_2():
    """On a linear model phi = exp(-t A / n) (theta - c) + c with the least-squares solution c."""
    model, tasks = regression()
    got = ALGORITHMS["meta-rkhs-2"](model, time=0.7).meta_gradient(tasks)

    def flow(a):
        values, vectors = torch.linalg.eigh(a)
        return vectors @ torch.diag_embed(torch.exp(-0.7 / 9 * values)) @ vectors.mT

    expected = affine(tasks, flow, lambda a, r: (torch.eye(4) - flow(a)) @ torch.linalg.solve(a, r))
    assert distance(got, [expected[None]]) < 1e-10


def kernel_ridge():
    """The same head as ``lstsq`` finds on the stacked system, and the derivative of that, task by task."""
    model, tasks, lam, one = sine_model(), sine_tasks(), 0.05, torch.ones(10, 1, dtype=torch.float64)
    learner = ALGORITHMS["kernel-ridge"](model, lam=lam)
    theta = tuple(t.detach() for t in model.theta)

    def loss(*theta):
        total = 0.0
        for x, y, xq, yq in zip(*tasks.support, *tasks.query, strict=True):
            h, hq = (torch.cat([model.features([t[None] for t in theta], z[None])[0], one], 1) for z in (x, xq))
            w = torch.cat([theta[-2][0], theta[-1]])[:, None]
            rows = torch.cat([h, (lam * 10) ** 0.5 * torch.eye(9).double()])
            w = torch.linalg.lstsq(rows, torch.cat([y, (lam * 10) ** 0.5 * w])).solution
            total = total + (hq @ w - yq).square().mean() / len(tasks.index)
        return total

    assert distance(learner.meta_gradient(tasks), jacobian(loss, theta)) < 1e-10


def meta_rkhs_1():
    """On a linear model (I - 2 reward Q) g; and, with two samples, one step of MAML up to terms in reward^2."""
    model, tasks = regression()
    exact = ClosedForm(tasks, 0.0, 0)
    g = exact.query_gradient(THETA)
    expected = (g - 2 * 0.03 * (exact.query_curvature @ g[..., None])[..., 0]).mean(0)
    assert distance(ALGORITHMS["meta-rkhs-1"](model, reward=0.03).meta_gradient(tasks), [expected[None]]) < 1e-10

    model, tasks = sine_model(), sine_tasks()
    apart = []
    for alpha in (1e-3, 1e-4):
        energy = MetaLearner(model, GradientDescent(alpha, 0), GradientEnergy(alpha, two_samples=True)).meta_gradient(
            tasks
        )
        apart.append(distance(energy, ALGORITHMS["maml"](model, alpha=alpha, steps=1).meta_gradient(tasks)))
    assert 98 < apart[0] / apart[1] < 102
    assert (
        distance(
            ALGORITHMS["meta-rkhs-1"](model, reward=0.0).meta_gradient(tasks),
            ALGORITHMS["joint"](model).meta_gradient(tasks),
        )
        == 0
    )


def line_search():
    """On a linear model the step is a(phi) = g.g / g.A g, whose derivative is written out."""
    model, tasks = regression()
    x, y = tasks.support
    curvature = x.mT @ x
    exact = ClosedForm(tasks, 0.0, 0)
    phi, way = THETA.expand(6, 4), torch.eye(4, dtype=torch.float64).expand(6, 4, 4)
    for _ in range(3):
        g = (curvature @ phi[..., None]) - x.mT @ y
        ag = curvature @ g
        top, bottom = (g.mT @ g), (g.mT @ ag)
        slope = (2 * ag * bottom - top * 2 * (curvature @ ag)) / bottom**2
        way = (torch.eye(4) - top / bottom * curvature - g @ slope.mT) @ way
        phi = phi - (top / bottom * g)[..., 0]
    expected = (way.mT @ exact.query_gradient(phi)[..., None])[..., 0].mean(0)
    got = ALGORITHMS["line-search"](model, steps=3, damping=0.0).meta_gradient(tasks)
    assert distance(got, [expected[None]]) < 1e-10


def fiml():
    """With the residuals y - f and many steps it is ridge regression of the head around theta's head."""
    model, tasks = sine_model(), sine_tasks()
    few = ALGORITHMS["fiml"](model, steps=60, damping=0.0, pull=6.0)
    # ||r||^2 / 2 + pull^2 / 2 ||w||^2 is K / 2 times the ridge objective with lam = pull^2 / K.
    ridge = ALGORITHMS["kernel-ridge"](model, lam=36 / 10)
    assert relative(few.meta_gradient(tasks), ridge.meta_gradient(tasks)) < 1e-8


def protomaml():
    """Without steps it is a prototypical network, whose scores are squared distances to the class means."""
    model = model_for("protomaml")
    tasks = Blobs().draw(5, torch.Generator().manual_seed(0)).to(torch.float64)
    got = ALGORITHMS["protomaml"](model, steps=0).meta_gradient(tasks)
    theta = tuple(t.detach() for t in model.theta)

    def loss(*theta):
        total = 0.0
        for b in range(5):
            h, hq = (model.features([t[None] for t in theta], d.x[b : b + 1])[0] for d in tasks[:2])
            means = torch.stack([h[tasks.support.y[b] == c].mean(0) for c in range(3)])
            total = total + model.loss(-torch.cdist(hq, means).square(), tasks.query.y[b]) / 5
        return total

    expected = jacobian(loss, theta)
    assert distance(got, expected) < 1e-10


LIMITS = {
    "kernel-ridge": kernel_ridge,
    "ntk-ridge": ntk_ridge,
    "meta-rkhs-2": meta_rkhs_2,
    "meta-rkhs-1": meta_rkhs_1,
    "line-search": line_search,
    "fiml": fiml,
    "protomaml": protomaml,
}
