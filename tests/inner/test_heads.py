"""Heads computed from the support set: against the definitions they come from."""

import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss

from battery import Blobs, sine_model, sine_tasks
from mamlbook import ALL, GradientDescent, Model, distance, mlp
from mamlbook.inner import MinimumNormHead, PrototypeHead
from mamlbook.numerics import expand_over_tasks


def drawn():
    tasks = Blobs().draw(4, torch.Generator().manual_seed(0)).to(torch.float64)
    return Model(mlp(2, 8, 3, activation=torch.nn.Tanh, seed=0), cross_entropy).double(), tasks


def test_prototypes_score_by_distance():
    model, (support, query, _) = drawn()
    theta = expand_over_tasks(model.theta, 4)
    phi = PrototypeHead()(model, support, theta)
    h, hq = (model.features(theta, d.x) for d in (support, query))
    means = torch.stack([torch.stack([h[b][support.y[b] == c].mean(0) for c in range(3)]) for b in range(4)])
    distances = (hq[:, :, None] - means[:, None]).square().sum(-1)
    assert distance([model(phi, query.x)], [hq.square().sum(-1, keepdim=True) - distances]) < 1e-12
    assert distance(phi[:-2], theta[:-2]) == 0


def test_a_step_treats_head_and_body_as_separate_weights():
    """The head was computed from the body; the step's gradient by the body is that at the head as it stands."""
    model, (support, *_) = drawn()
    first, second = GradientDescent(0.1, 1, start=PrototypeHead()).path(model, support, unroll=ALL)
    at = tuple(p.detach().requires_grad_() for p in first.phi)
    gradient = torch.autograd.grad(model.losses(model(at, support.x), support.y).sum(), at)
    assert distance(second.phi, [p - 0.1 * g for p, g in zip(at, gradient, strict=True)]) < 1e-12


def test_the_shortest_head_gives_both_means_their_scores():
    model, (support, *_) = drawn()
    theta = expand_over_tasks(model.theta, 4)
    phi = MinimumNormHead(high=2.0, low=-0.5).double()(model, support, theta)
    h = torch.cat([model.features(theta, support.x), torch.ones(4, 12, 1).double()], 2)
    for b in range(4):
        for c in range(3):
            own = support.y[b] == c
            rows = torch.stack([h[b][own].mean(0), h[b][~own].mean(0)])
            # The minimum-norm solution of two equations is the pseudo-inverse's.
            shortest = torch.linalg.pinv(rows) @ torch.tensor([2.0, -0.5]).double()
            assert distance([phi[-2][b, c], phi[-1][b, c]], [shortest[:-1], shortest[-1]]) < 1e-8


def test_a_class_without_examples_is_finite():
    model, (support, *_) = drawn()
    support = support._replace(y=support.y.clamp(max=1))
    theta = expand_over_tasks(model.theta, 4)
    for start in (PrototypeHead(), MinimumNormHead().double()):
        assert all(p.isfinite().all() for p in start(model, support, theta))


def test_numbers_are_no_classes():
    model, (support, *_) = sine_model(), sine_tasks()
    theta = expand_over_tasks(model.theta, 5)
    assert MinimumNormHead()(model, support, theta) is theta
    with pytest.raises(ValueError, match="y: expected classes, whole numbers"):
        PrototypeHead()(model, support, theta)


def test_a_prototype_needs_a_bias():
    net = mlp(2, 4, 3, seed=0)
    net.head = torch.nn.Linear(4, 3, bias=False)
    _, (support, *_) = drawn()
    model = Model(net.double(), mse_loss)
    with pytest.raises(ValueError, match="net: expected a head with a bias"):
        PrototypeHead()(model, support, expand_over_tasks(model.theta, 4))
