"""Hierarchical Bayes on linear tasks, against integrals on a grid, NumPy, the package's own steps and simulation."""

import math

import numpy as np
import pytest
import torch

from mamlbook import ClosedForm, Data, Model, Tasks, half_squared_error, linear, maml
from mamlbook.analysis import (
    Belief,
    error_covariance,
    gain_of_prior,
    gain_of_steps,
    implied_prior,
    log_marginal,
    marginal_mean,
    mixture_posterior,
    posterior,
    posterior_of_steps,
    start_covariance,
)

DOUBLE = {"rtol": 0, "atol": 1e-10}
COVARIANCE = torch.tensor([[1.5, 0.4], [0.4, 0.5]], dtype=torch.float64)
MEAN = torch.tensor([0.3, -0.7], dtype=torch.float64)


def normal(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def some_tasks(tasks=3, shots=4, dimension=2, noise=0.6, seed=0):
    x = normal(tasks, shots, dimension, seed=seed)
    c = normal(tasks, dimension, 1, seed=seed + 1)
    return Data(x, x @ c + noise * normal(tasks, shots, 1, seed=seed + 2))


# ---- the prior that steps amount to ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("shots", "dimension"), [(2, 4), (6, 3), (5, 1)], ids=["fewer", "more", "one"])
@pytest.mark.parametrize("steps", [0, 1, 2, 7, 20])
def test_the_packages_steps_end_at_the_posterior_mean(shots, dimension, steps):
    support = some_tasks(5, shots, dimension)
    theta, alpha = normal(dimension, seed=9), 0.5 / torch.linalg.eigvalsh(support.x.mT @ support.x).max().item()
    learner = maml(Model(linear(theta), half_squared_error), alpha, steps)
    (phi,) = learner.adapt(support).phi
    believed = posterior(support, theta, implied_prior(support.x, alpha, steps, 0.6), 0.6)
    torch.testing.assert_close(phi.reshape(5, -1), believed.mean, **DOUBLE)


def test_the_implied_prior_is_that_of_its_definition_in_numpy():
    x, alpha, steps, noise = normal(1, 3, 4), 0.04, 6, 0.7
    q = implied_prior(x, alpha, steps, noise)[0].numpy()
    points = x[0].numpy()
    _, size, directions = np.linalg.svd(points)
    for number in range(4):
        h = size[number] ** 2 if number < 3 else 0.0
        expected = noise**2 * ((1 - alpha * h) ** -steps - 1) / h if h else alpha * steps * noise**2
        v = directions[number]
        np.testing.assert_allclose(q @ v, expected * v, rtol=0, atol=1e-10)


def test_the_steps_posterior_is_a_geometric_series():
    # noise^2 alpha (I + M + ... + M^{S-1}), which no inverse is needed for.
    x, alpha, steps, noise = normal(2, 3, 4), 0.04, 6, 0.7
    belief = posterior(Data(x, normal(2, 3, 1)), torch.zeros(4).double(), implied_prior(x, alpha, steps, noise), noise)
    one = torch.eye(4).double() - alpha * x.mT @ x
    series = sum(torch.linalg.matrix_power(one, s) for s in range(steps))
    torch.testing.assert_close(belief.covariance, noise**2 * alpha * series, **DOUBLE)


@pytest.mark.parametrize("steps", [0, 1, 6])
def test_the_posterior_of_steps_is_that_of_the_implied_prior(steps):
    support, theta = some_tasks(4, 3, 5), normal(5, seed=3)
    found = posterior_of_steps(support, theta, 0.04, steps, 0.7)
    expected = posterior(support, theta, implied_prior(support.x, 0.04, steps, 0.7), 0.7)
    torch.testing.assert_close(found, expected, **DOUBLE)


def test_after_many_steps_the_posterior_is_that_of_least_squares():
    support = some_tasks(4, 6, 3)
    found = posterior_of_steps(support, normal(3), 0.05, 3000, 0.7)
    x, y = (part.numpy() for part in support)
    for task in range(4):
        fit = np.linalg.lstsq(x[task], y[task], rcond=None)[0][:, 0]
        np.testing.assert_allclose(found.mean[task].numpy(), fit, rtol=0, atol=1e-9)
        np.testing.assert_allclose(found.covariance[task].numpy(), 0.49 * np.linalg.inv(x[task].T @ x[task]), atol=1e-9)
    with pytest.raises(ValueError, match="alpha: expected"):
        posterior_of_steps(support, normal(3), 5.0, 3, 0.7)


def test_beyond_one_over_the_curvature_there_is_a_prior_at_even_numbers_of_steps_only():
    x = torch.ones(1, 3, 1, dtype=torch.float64)  # curvature 3
    for steps in (1, 3):
        with pytest.raises(ValueError, match=rf"alpha: .* below 1, got 1\.5 with {steps} steps.* smaller alpha"):
            implied_prior(x, 0.5, steps, 1.0)
    assert implied_prior(x, 0.5, 2, 1.0).item() == pytest.approx(1.0)  # (0.25^-1 - 1) / 3
    with pytest.raises(ValueError, match=r"alpha: .* got 1 with 1 steps"):
        implied_prior(torch.ones(1, 2, 1), 0.5, 1, 1.0)
    with pytest.raises(ValueError, match=r"alpha: .* got 2\.4 with 2 steps"):
        implied_prior(torch.ones(1, 2, 1), 1.2, 2, 1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0.0}, "alpha: expected a finite inner rate above 0"),
        ({"steps": -1}, "steps: expected a whole number of inner steps of at least 0"),
        ({"noise": 0.0}, "noise: expected a finite standard deviation above 0"),
    ],
    ids=["alpha", "steps", "noise"],
)
def test_a_prior_of_nothing_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        implied_prior(torch.ones(1, 2, 1), **{"alpha": 0.1, "steps": 2, "noise": 1.0, **arguments})


def test_negative_noise_is_refused():
    with pytest.raises(ValueError, match="noise: expected a finite standard deviation of at least 0, got -1"):
        gain_of_prior(torch.ones(1, 2, 1), torch.eye(1), -1)


# ---- Bayes' rule, by integrals on a grid -----------------------------------------------------------------------------

AXIS = torch.linspace(-9, 9, 901, dtype=torch.float64)
GRID = torch.cartesian_prod(AXIS, AXIS)
CELL = (AXIS[1] - AXIS[0]) ** 2


def log_gauss(values, mean, covariance):
    return torch.distributions.MultivariateNormal(mean, covariance).log_prob(values)


def log_joint(data, task, log_prior, noise):
    """The log density of targets and weights at every point of the grid."""
    y_hat = GRID @ data.x[task].T
    likelihood = torch.distributions.Normal(y_hat, noise).log_prob(data.y[task].T).sum(1)
    return likelihood + log_prior


def test_posterior_and_marginal_equal_integrals():
    data, noise = some_tasks(), 0.6
    belief, marginal = posterior(data, MEAN, COVARIANCE, noise), log_marginal(data, MEAN, COVARIANCE, noise)
    for task in range(3):
        density = log_joint(data, task, log_gauss(GRID, MEAN, COVARIANCE), noise).exp() * CELL
        torch.testing.assert_close(density.sum().log(), marginal[task], rtol=0, atol=1e-8)
        density = density / density.sum()
        mean = density @ GRID
        torch.testing.assert_close(mean, belief.mean[task], rtol=0, atol=1e-8)
        off = GRID - mean
        torch.testing.assert_close((density[:, None] * off).T @ off, belief.covariance[task], rtol=0, atol=1e-8)


def test_the_posterior_of_two_modes_equals_integrals():
    data, noise = some_tasks(shots=2), 0.6
    means, weights = torch.tensor([[2.0, 1.0], [-2.0, 0.5]]).double(), torch.tensor([0.3, 0.7]).double()
    shares, modes = mixture_posterior(data, means, COVARIANCE, noise, weights)
    equal, _ = mixture_posterior(data, means, COVARIANCE, noise)
    assert shares.shape == (3, 2)
    assert modes.covariance.shape == (3, 2, 2, 2)
    parts = torch.stack([log_gauss(GRID, mean, COVARIANCE) for mean in means], 1)
    for task in range(3):
        for found, w in ((shares, weights), (equal, torch.tensor([0.5, 0.5]).double())):
            prior = (parts + w.log()).logsumexp(1)
            density = log_joint(data, task, prior, noise).exp()
            expected = torch.distributions.MixtureSameFamily(
                torch.distributions.Categorical(found[task]),
                torch.distributions.MultivariateNormal(modes.mean[task], modes.covariance[task]),
            ).log_prob(GRID)
            torch.testing.assert_close(density / density.sum() / CELL, expected.exp(), rtol=0, atol=1e-8)


def test_predictions_are_those_of_drawn_weights():
    belief = Belief(MEAN[None], COVARIANCE[None])
    x = normal(1, 3, 2)
    mean, variance = belief.predict(x, noise=0.5)
    drawn = torch.distributions.MultivariateNormal(MEAN, COVARIANCE).sample((200_000,)) @ x[0].T
    drawn = drawn + 0.5 * normal(200_000, 3, seed=3)
    torch.testing.assert_close(drawn.mean(0), mean[0], rtol=0, atol=0.02)
    torch.testing.assert_close(drawn.var(0), variance[0], rtol=0.02, atol=0)


# ---- the start -------------------------------------------------------------------------------------------------------


def test_the_marginal_mean_has_the_largest_marginal_likelihood():
    data = some_tasks(6, 3)
    found = marginal_mean(data, COVARIANCE, 0.6)
    at = found.mean[0].clone().requires_grad_()
    total = log_marginal(data, at, COVARIANCE, 0.6).sum()
    (slope,) = torch.autograd.grad(total, at)
    torch.testing.assert_close(slope, torch.zeros(2).double(), **DOUBLE)
    # The covariance of the error is the inverse of the curvature.
    curvature = torch.autograd.functional.hessian(lambda m: -log_marginal(data, m, COVARIANCE, 0.6).sum(), at.detach())
    torch.testing.assert_close(torch.linalg.inv(curvature), found.covariance[0], **DOUBLE)


def by_unit_targets(x, xq, alpha, steps, covariance, noise):
    """The error covariance of MAML's fixed point from the fixed points of targets that are 1 in one place."""
    tasks, points = len(x), x.shape[1]
    every = x if xq is None else torch.cat([x, xq], 1)
    total = 0
    for b in range(tasks):
        columns = []
        for point in range(every.shape[1]):
            y = torch.zeros(tasks, every.shape[1], 1, dtype=x.dtype)
            y[b, point] = 1
            support = Data(x, y[:, :points])
            batch = Tasks(support, support if xq is None else Data(xq, y[:, points:]))
            columns.append(ClosedForm(batch, alpha, steps).fixed_point("maml"))
        weights = torch.stack(columns, 1)
        total = (
            total
            + weights @ (every[b] @ covariance @ every[b].T + noise**2 * torch.eye(len(every[b])).double()) @ weights.T
        )
    return total


@pytest.mark.parametrize("split", [True, False], ids=["split", "unsplit"])
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_the_error_of_mamls_start_equals_that_of_its_fixed_points(split, steps):
    x, xq = normal(4, 3, 2), normal(4, 2, 2, seed=1) if split else None
    found = start_covariance(x, xq, 0.1, steps, COVARIANCE, 0.6)
    torch.testing.assert_close(found, by_unit_targets(x, xq, 0.1, steps, COVARIANCE, 0.6), **DOUBLE)


def test_no_start_is_surer_than_that_of_empirical_bayes():
    x = normal(5, 6, 2)
    best = marginal_mean(Data(x, x[..., :1]), COVARIANCE, 0.6).covariance[0]
    for steps in (0, 1, 5):
        for found in (
            start_covariance(x, None, 0.05, steps, COVARIANCE, 0.6),
            start_covariance(x[:, :3], x[:, 3:], 0.05, steps, COVARIANCE, 0.6),
        ):
            assert torch.linalg.eigvalsh(found - best).min() > -1e-12


# ---- the error after adaptation --------------------------------------------------------------------------------------


def test_the_gain_of_steps_is_what_the_package_does():
    support, theta = some_tasks(4, 3, 2), normal(2, seed=8)
    (phi,) = maml(Model(linear(theta), half_squared_error), 0.07, 5).adapt(support).phi
    moved = gain_of_steps(support.x, 0.07, 5) @ (support.y - support.x @ theta[:, None])
    torch.testing.assert_close(phi.reshape(4, -1), theta + moved[..., 0], **DOUBLE)
    assert not gain_of_steps(support.x, 0.07, 0).any()


@pytest.mark.parametrize("kind", ["steps", "prior"])
def test_the_expected_error_is_that_of_simulated_tasks(kind):
    x, noise, many = normal(1, 3, 2), 0.6, 400_000
    gain = gain_of_steps(x, 0.1, 4) if kind == "steps" else gain_of_prior(x, COVARIANCE, noise)
    c = torch.distributions.MultivariateNormal(MEAN, COVARIANCE).sample((many,))
    y = c @ x[0].T + noise * normal(many, 3, seed=5)
    off = MEAN + (y - MEAN @ x[0].T) @ gain[0].T - c
    torch.testing.assert_close(off.T @ off / many, error_covariance(x, gain, COVARIANCE, noise)[0], rtol=0, atol=0.01)


def test_nothing_has_a_smaller_error_than_the_posterior_mean():
    x, noise = normal(3, 4, 2), 0.6
    best = error_covariance(x, gain_of_prior(x, COVARIANCE, noise), COVARIANCE, noise)
    belief = posterior(Data(x, x[..., :1]), MEAN, COVARIANCE, noise)
    torch.testing.assert_close(best, belief.covariance, **DOUBLE)
    for alpha, steps in ((0.01, 1), (0.1, 3), (0.05, 20)):
        other = error_covariance(x, gain_of_steps(x, alpha, steps), COVARIANCE, noise)
        assert torch.linalg.eigvalsh(other - best).min() > -1e-12
    assert math.isfinite(best.sum())
