"""Exact steps: the lowest point along the gradient, and what they do where there is none."""

from itertools import pairwise

import pytest
import torch
from torch.nn.functional import cross_entropy

from battery import sine_model, sine_tasks
from mamlbook import ALL, Data, GradientDescent, Model, distance, head, keep, linear
from mamlbook.inner import LineSearch
from mamlbook.tasks.quadratic import LinearRegression, half_squared_error


def regression(dimension=3):
    tasks = LinearRegression(dimension, shots=6).draw(4, torch.Generator().manual_seed(0))
    return Model(linear([0.5] * dimension), half_squared_error), tasks


def test_on_a_quadratic_the_step_ends_at_the_lowest_point():
    model, (support, *_) = regression()
    end = GradientDescent(1.0, 1, LineSearch())(model, support, unroll=ALL)
    # There the new gradient is perpendicular to the way.
    (gradient,) = torch.autograd.grad(end.inner(end.start, end.phi).sum(), end.phi)
    way = end.phi[0] - end.start[0]
    assert (gradient * way).sum((1, 2)).abs().max() < 1e-10


def test_in_one_dimension_one_step_solves():
    model, (support, *_) = regression(1)
    end = GradientDescent(1.0, 1, LineSearch())(model, support, unroll=0)
    assert (end.predict(end.phi, support.x) - support.y).abs().max() < 1e-12


def test_damping_is_the_same_as_more_curvature():
    model, (support, *_) = regression()
    (x, y), theta = support, model.theta[0]
    end = GradientDescent(1.0, 1, LineSearch(damping=0.5))(model, support, unroll=0)
    g = (x.mT @ (x @ theta.T - y))[..., 0]
    rate = (g * g).sum(1) / ((x @ g[..., None]).square().sum((1, 2)) + 0.5 * (g * g).sum(1))
    assert distance(end.phi, [(theta - rate[:, None] * g)[:, None]]) < 1e-12


def test_the_pull_counts_as_curvature():
    model, (support, *_) = regression()
    end = GradientDescent(1.0, 2, LineSearch(), lam=3.0)(model, support, unroll=ALL)
    (gradient,) = torch.autograd.grad(end.inner(end.start, end.phi).sum(), end.phi)
    before = GradientDescent(1.0, 1, LineSearch(), lam=3.0)(model, support, unroll=0)
    assert (gradient * (end.phi[0] - before.phi[0])).sum((1, 2)).abs().max() < 1e-10


def test_with_a_frozen_body_the_search_is_over_the_head():
    model, (support, *_) = sine_model(), sine_tasks()
    end = GradientDescent(1.0, 1, keep(head), LineSearch())(model, support, unroll=ALL)
    gradient = torch.autograd.grad(end.inner(end.start, end.phi).sum(), end.phi[-2:])
    way = [p - s for p, s in zip(end.phi[-2:], end.start[-2:], strict=True)]
    slope = sum((g * w).flatten(1).sum(1) for g, w in zip(gradient, way, strict=True))
    assert slope.abs().max() < 1e-10
    assert distance(end.phi[:-2], end.start[:-2]) == 0


def test_where_nothing_is_left_to_do_the_step_and_its_derivative_are_zero():
    model, tasks = regression()
    support = tasks.support._replace(y=tasks.support.x @ model.theta[0].detach().T)
    end = GradientDescent(1.0, 2, LineSearch())(model, support, unroll=ALL)
    assert distance(end.phi, end.start) == 0
    (gradient,) = torch.autograd.grad(end.phi[0].sum(), model.theta)
    assert gradient.isfinite().all()


def test_the_loss_may_be_any_that_curves_upwards():
    x = torch.randn(2, 6, 3, generator=torch.Generator().manual_seed(0)).double()
    y = torch.tensor([[0, 1, 2, 0, 1, 2]] * 2)
    model = Model(torch.nn.Linear(3, 3).double(), cross_entropy)
    losses = [
        at.inner(at.start, at.phi) for at in GradientDescent(1.0, 3, LineSearch()).path(model, Data(x, y), unroll=0)
    ]
    assert all((after < before).all() for before, after in pairwise(losses))


def test_refusals():
    with pytest.raises(ValueError, match="damping: expected a finite damping of at least 0, got -1"):
        LineSearch(-1)
