"""FIML's learned support loss: its shapes, and that the outer loop learns all of it."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from battery import Blobs, sine_model, sine_tasks
from mamlbook import ALGORITHMS, GradientDescent, Model, distance, fit, mlp
from mamlbook.inner import ResidualLoss, SquaredParameter
from mamlbook.inner.head_weights import numeric_targets


def scores():
    y_hat = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0)).double()
    return y_hat, torch.tensor([[0, 1, 2, 1], [2, 2, 0, 1]])


def test_slope_one_is_least_squares():
    y_hat, y = scores()
    goal = 5 * (2 * numeric_targets(y_hat, y) - 1)
    expected = 4 * (goal - y_hat).square().sum((1, 2)) / 2
    assert distance([ResidualLoss(target=5, weight=2, slope=1).double()(y_hat, y)], [expected]) < 1e-12


def test_slope_zero_is_a_squared_hinge():
    y_hat, y = scores()
    signs = 2 * numeric_targets(y_hat, y) - 1
    expected = (0.5 - signs * y_hat).clamp(min=0).square().sum((1, 2)) / 2
    assert distance([ResidualLoss(target=0.5, slope=0).double()(y_hat, y)], [expected]) < 1e-12


def test_right_and_wrong_classes_have_numbers_of_their_own():
    y_hat, y = scores()
    loss = ResidualLoss(target=0.1, slope=0.5).double()
    gradients = torch.autograd.grad(loss(y_hat, y).sum(), tuple(loss.parameters()))
    assert all((g != 0).all() and g[0] != g[1] for g in gradients)


def test_numbers_have_weighted_squares():
    y_hat, _ = scores()
    expected = 9 * (y_hat - 1).square().sum((1, 2)) / 2
    assert distance([ResidualLoss(weight=3).double()(y_hat, torch.ones_like(y_hat))], [expected]) < 1e-12
    with pytest.raises(ValueError, match=r"y: expected the shape of the predictions, \(2, 4, 3\)"):
        ResidualLoss()(y_hat, y_hat[..., :1])


def test_a_learned_pull_is_a_pull():
    model, tasks = sine_model(), sine_tasks()
    fixed = GradientDescent(0.01, 3, lam=0.25)(model, tasks.support, unroll=0)
    learned = GradientDescent(0.01, 3, lam=SquaredParameter(0.5).double())(model, tasks.support, unroll=0)
    assert distance(fixed.phi, learned.phi) < 1e-14


def test_the_outer_loop_learns_everything():
    learner = ALGORITHMS["fiml"](Model(mlp(2, 8, 3, seed=0), cross_entropy))
    own = {name: p.clone() for name, p in learner.solver.named_parameters()}
    assert {name.split(".")[0] for name in own} == {"lam", "start", "loss"}
    fit(learner, Blobs(), steps=3, tasks=4, seed=0)
    moved = {name for name, p in learner.solver.named_parameters() if not torch.equal(p, own[name])}
    assert moved == set(own)
