"""Sinusoids, bowls and linear regression: what they draw is what they say."""

import math

import pytest
import torch

from mamlbook import Model, Sinusoids, linear
from mamlbook.algorithms.linear_model import ClosedForm
from mamlbook.tasks.quadratic import LinearRegression, Quadratics, half_squared_error


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_sinusoids_follow_the_papers_protocol():
    support, query, index = Sinusoids(shots=10, queries=15).draw(4000, generator())
    assert support.x.shape == support.y.shape == (4000, 10, 1)
    assert query.x.shape == (4000, 15, 1)
    assert (index == -1).all()
    assert -5 <= query.x.min() < -4.9 < 4.9 < query.x.max() <= 5
    # y = A sin(x - p): the mean of y^2 is E[A^2] E[sin^2], with sin^2 nearly 1/2 over the domain.
    amplitudes = (5**3 - 0.1**3) / (3 * 4.9)
    assert query.y.square().mean().item() == pytest.approx(amplitudes * 0.5, rel=0.06)


def test_support_and_query_lie_on_one_wave():
    support, query, _ = Sinusoids(shots=200, queries=50).draw(3, generator())
    # y is in the span of sin x and cos x, with the same two coefficients in both sets.
    for b in range(3):
        basis, other = (torch.cat([data.x[b].sin(), data.x[b].cos()], 1) for data in (support, query))
        coefficients = torch.linalg.lstsq(basis, support.y[b]).solution
        torch.testing.assert_close(other @ coefficients, query.y[b], rtol=0, atol=1e-5)
        a, p = coefficients.norm().item(), math.atan2(-coefficients[1].item(), coefficients[0].item())
        assert 0.1 <= a <= 5.001
        assert -1e-4 <= p <= math.pi + 1e-4


def test_the_seed_decides_what_is_drawn():
    waves = Sinusoids()
    first, again, other = (waves.draw(2, generator(seed)).support.x for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "options", [{"shots": 0}, {"queries": -1}, {"amplitude": (5, 1)}, {"domain": (1, float("nan"))}]
)
def test_bad_sinusoids(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Sinusoids(**options)


def test_bowls_have_the_loss_they_promise():
    h = torch.tensor([[[2.0, 0.5], [0.5, 1.0]], [[1.0, 0.0], [0.0, 3.0]]], dtype=torch.float64)
    c = torch.tensor([[1.0, -1.0], [0.0, 2.0]], dtype=torch.float64)
    theta = torch.tensor([0.3, 0.7], dtype=torch.float64)
    tasks, model = Quadratics(h, c).all(), Model(linear(theta), half_squared_error)
    losses = model.losses(model(tuple(t.expand(2, *t.shape) for t in model.theta), tasks.query.x), tasks.query.y)
    expected = torch.einsum("bi,bij,bj->b", theta - c, h, theta - c) / 2
    torch.testing.assert_close(losses.detach(), expected, rtol=1e-12, atol=0)
    exact = ClosedForm(tasks, 0.1, 2)
    torch.testing.assert_close(exact.support_curvature, h, rtol=1e-12, atol=1e-14)


def test_bowls_are_drawn_without_repetition():
    bowls = Quadratics([1.0, 2.0, 3.0], [0.0, 1.0, 2.0])
    for seed in range(5):
        assert sorted(bowls.draw(3, generator(seed)).index.tolist()) == [0, 1, 2]
    with pytest.raises(ValueError, match="tasks: expected between 1 and the 3 tasks"):
        bowls.draw(4, generator())


@pytest.mark.parametrize(
    ("h", "c", "message"),
    [
        ([1.0, 2.0], [0.0], "expected .T, d, d. with .T, d."),
        ([1.0, -2.0], [0.0, 1.0], "symmetric positive definite"),
        ([[[1.0, 2.0], [0.0, 1.0]]], [[0.0, 0.0]], "symmetric positive definite"),
    ],
)
def test_bad_bowls(h, c, message):
    with pytest.raises(ValueError, match=message):
        Quadratics(h, c)


def test_linear_regression_recovers_its_coefficients():
    support, query, _ = LinearRegression(3, shots=20, queries=5, centre=2.0, spread=0.5).draw(500, generator())
    solved = torch.linalg.lstsq(support.x, support.y).solution
    torch.testing.assert_close(query.x @ solved, query.y, rtol=0, atol=1e-10)
    assert solved.mean().item() == pytest.approx(2.0, abs=0.05)
    assert solved.std().item() == pytest.approx(0.5, abs=0.03)


def test_noise_has_its_size():
    support = LinearRegression(1, shots=50, queries=1, spread=0.0, noise=0.7).draw(400, generator()).support
    assert support.y.std().item() == pytest.approx(0.7, rel=0.05)
    with pytest.raises(ValueError, match="dimension: expected a whole number of at least 1, got 0"):
        LinearRegression(0)


def test_half_squared_error():
    assert half_squared_error(torch.tensor([[1.0], [3.0]]), torch.tensor([[0.0], [1.0]])).item() == 2.5


def test_there_is_no_closed_form_for_an_unknown_algorithm():
    with pytest.raises(ValueError, match="algorithm: expected one of"):
        ClosedForm(Quadratics([1.0], [0.0]).all(), 0.1, 1).meta_gradient("sgd", torch.zeros(1, dtype=torch.float64))
