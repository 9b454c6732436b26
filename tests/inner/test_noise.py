"""The noise on inner gradients: its moments, its independence, and when it is silent."""

import pytest
import torch

from battery import seeded, sine_model, sine_tasks
from mamlbook import distance, maml
from mamlbook.algorithms import dropgrad
from mamlbook.inner import DropGrad, Place

PLACE = Place(("w",), 0, 0.01, None)
noises = pytest.mark.parametrize("noise", ["binary", "gaussian"])


@noises
def test_mean_one_and_variance_p_over_one_minus_p(noise):
    torch.manual_seed(0)
    (n,) = DropGrad(0.2, noise)([torch.ones(500, 400, dtype=torch.float64)], PLACE)
    # 200,000 draws: four standard errors of the mean, and of the variance.
    assert n.mean().item() == pytest.approx(1, abs=4 * 0.5 / 200_000**0.5)
    assert n.var().item() == pytest.approx(0.25, abs=0.005)
    if noise == "binary":
        assert n.unique().tolist() == [0, 1.25]


@noises
def test_every_weight_and_task_has_a_draw_of_its_own(noise):
    torch.manual_seed(0)
    (n,) = DropGrad(0.5, noise)([torch.ones(2000, 3, dtype=torch.float64)], PLACE)
    correlations = torch.corrcoef(n.T) - torch.eye(3, dtype=torch.float64)
    assert correlations.abs().max() < 4 / 2000**0.5
    assert not torch.equal(n[:1000], n[1000:])


def test_it_is_silent_in_testing_and_without_p():
    g = [torch.randn(3, 2), None]
    assert DropGrad(0.5).eval()(g, PLACE) is g
    kept, none = DropGrad(0.0)(g, PLACE)
    assert torch.equal(kept, g[0])
    assert none is None


def test_the_mask_is_a_constant_and_the_graph_goes_through_the_gradient():
    # d phi / d theta = I - alpha n H: with the same draws, a loop that is spelled out gives the same meta-gradient.
    model, tasks = sine_model(), sine_tasks()
    got = seeded(dropgrad(model, 0.1, 2, p=0.3), tasks, seed=3)
    torch.manual_seed(3)
    phi = tuple(t.expand(5, *t.shape) for t in model.theta)
    for _ in range(2):
        loss = model.losses(model(phi, tasks.support.x), tasks.support.y).sum()
        g = torch.autograd.grad(loss, phi, create_graph=True)
        masks = [(torch.rand_like(part) >= 0.3).double() / 0.7 for part in g]
        phi = tuple(p - 0.1 * mask * part for p, mask, part in zip(phi, masks, g, strict=True))
    loss = model.losses(model(phi, tasks.query.x), tasks.query.y).mean()
    assert distance(got, torch.autograd.grad(loss, model.theta)) < 1e-13


@noises
def test_adaptation_in_testing_is_that_of_maml(noise):
    model, tasks = sine_model(), sine_tasks()
    noisy = dropgrad(model, 0.1, 2, p=0.5, noise=noise)
    assert distance(noisy.adapt(tasks.support).phi, maml(model, 0.1, 2).adapt(tasks.support).phi) == 0
    assert noisy.training


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_bad_share(p):
    with pytest.raises(ValueError, match="p: expected a share of dropped entries"):
        DropGrad(p)


def test_bad_noise():
    with pytest.raises(ValueError, match="noise: expected 'binary' or 'gaussian', got 'uniform'"):
        DropGrad(noise="uniform")
