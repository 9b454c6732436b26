"""Meta-gradients of random solutions: independent sums, their noise, and their errors."""

import pytest
import torch

from battery import sine_model, sine_tasks
from mamlbook import GradientDescent, MetaLearner, Model, distance, linear
from mamlbook.inner import LangevinNoise, Place
from mamlbook.metagradient import EvoGrad, EvolutionStrategies, Exact, PathwiseGradient, ScoreFunction
from mamlbook.tasks import Quadratics, half_squared_error


def sine_learner(metagradient, lam=0.5, temperature=0.01, steps=3, alpha=0.05):
    solver = GradientDescent(alpha, steps, LangevinNoise(temperature), lam=lam)
    return MetaLearner(sine_model(), solver, metagradient)


def seeded(learner, tasks, seed=0):
    torch.manual_seed(seed)
    return learner.meta_gradient(tasks)


def test_pathwise_is_the_recursion_for_the_jacobian():
    """Z <- (I - alpha (H + lam I)) Z + alpha lam I on bowls, summed over the last two steps, with the same noise."""
    a, c, lam, alpha, temperature = 2.0, -0.5, 0.7, 0.1, 0.3
    solver = GradientDescent(alpha, 4, LangevinNoise(temperature), lam=lam)
    learner = MetaLearner(Model(linear([0.9]), half_squared_error), solver, PathwiseGradient(last=2))
    got = seeded(learner, Quadratics([a], [c]).all())[0].item()
    torch.manual_seed(0)
    phi = theta = torch.tensor(0.9, dtype=torch.float64)
    z, parts = 1.0, []
    for _ in range(4):
        noise = torch.randn(1, 1, 1, dtype=torch.float64).squeeze()
        phi = phi - alpha * (a * (phi - c) + lam * (phi - theta)) + (2 * alpha * temperature) ** 0.5 * noise
        z = (1 - alpha * (a + lam)) * z + alpha * lam
        parts.append(z * a * (phi - c))
    assert got == pytest.approx((sum(parts[-2:]) / 2).item(), abs=1e-14)


def test_pathwise_averages_what_there_is():
    learner, exact = sine_learner(PathwiseGradient(9), temperature=0.0), sine_learner(Exact(), temperature=0.0)
    tasks = sine_tasks()
    each = []
    for steps in (1, 2, 3):
        exact.solver.steps = steps
        each.append(exact.meta_gradient(tasks))
    assert (
        distance(learner.meta_gradient(tasks), [torch.stack(parts).mean(0) for parts in zip(*each, strict=True)])
        < 1e-14
    )
    learner.solver.steps = exact.solver.steps = 0
    assert distance(learner.meta_gradient(tasks), exact.meta_gradient(tasks)) < 1e-14


def test_score_is_the_covariance_of_what_it_drew():
    learner, tasks = sine_learner(ScoreFunction(paths=4)), sine_tasks()
    got = seeded(learner, tasks)
    torch.manual_seed(0)
    many = tasks.pick(list(range(5)) * 4)
    adapted = learner.solver(learner.model, many.support, unroll=0)
    losses = learner.model.losses(learner.model(adapted.phi, many.query.x), many.query.y).detach()
    for g, phi in zip(got, adapted.phi, strict=True):
        expected = torch.zeros_like(g)
        for b in range(5):
            pair = torch.stack([losses[b::5], *phi[b::5].flatten(1).T.detach()])
            expected += 0.5 / 0.01 * torch.cov(pair)[0, 1:].view_as(g) / 5
        assert distance([g], [expected]) < 1e-10


def test_testing_is_without_noise_and_noise_differs_between_tasks():
    learner = sine_learner(PathwiseGradient(), temperature=0.1)
    tasks = sine_tasks().pick([0, 0])
    still = learner.adapt(tasks.support).phi[0]
    assert torch.equal(still[0], still[1])
    shaken = learner.solver(learner.model, tasks.support, unroll=0).phi[0]
    assert not torch.equal(shaken[0], shaken[1])


def test_langevin_leaves_alone_what_does_not_adapt():
    noise = LangevinNoise(1.0)
    kept = noise([None, torch.zeros(2, 3)], Place((), 0, 0.1, None))
    assert kept[0] is None
    assert kept[1].abs().sum() > 0
    assert str(noise) == "LangevinNoise(temperature=1)"


def test_evograd_is_felt_through_the_weights_of_its_candidates_alone():
    """The chain rule by hand: d v_k / d theta = v_k lam / tau ((phi_k - theta) - sum_j v_j (phi_j - theta))."""
    a, c, lam, alpha, sigma, tau = 2.0, -0.5, 0.7, 0.1, 0.3, 0.2
    learner = MetaLearner(
        Model(linear([0.9]), half_squared_error), GradientDescent(alpha, 1, lam=lam), EvoGrad(5, sigma, tau)
    )
    got = seeded(learner, Quadratics([a], [c]).all())[0].item()
    torch.manual_seed(0)
    signs = torch.randn(5, 1, 1, dtype=torch.float64).sign().flatten()
    theta = 0.9
    candidates = theta - alpha * a * (theta - c) + sigma * signs
    v = torch.softmax(-(a / 2 * (candidates - c) ** 2 + lam / 2 * (candidates - theta) ** 2) / tau, 0)
    mixed = v @ candidates
    expected = a * (mixed - c) * lam / tau * (v @ (candidates - mixed) ** 2)
    assert got == pytest.approx(expected.item(), abs=1e-14)


def test_evograd_needs_a_pull():
    with pytest.raises(ValueError, match="expected one with a proximal term"):
        MetaLearner(sine_model(), GradientDescent(0.05, 1), EvoGrad())


def test_evolution_follows_any_inner_loop():
    """The differences of the loss itself, pair by pair, with the directions that it drew."""
    learner, tasks = sine_learner(EvolutionStrategies(3, 0.1), temperature=0.0), sine_tasks()
    got = seeded(learner, tasks)
    torch.manual_seed(0)
    theta = learner.model.theta
    e = torch.randn(5, sum(t.numel() for t in theta), 3, dtype=torch.float64)
    expected = torch.zeros(e.shape[1], dtype=torch.float64)
    for b in range(5):
        for k in range(3):
            ends = [loss_at(learner, tasks.pick([b]), sign * 0.1 * e[b, :, k]) for sign in (1, -1)]
            expected += (ends[0] - ends[1]) / 0.2 / 3 * e[b, :, k] / 5
    assert distance([torch.cat([g.flatten() for g in got])], [expected]) < 1e-10


def loss_at(learner, task, shift):
    parts = shift.split([t.numel() for t in learner.model.theta])
    theta = tuple((t + part.view_as(t)).detach()[None] for t, part in zip(learner.model.theta, parts, strict=True))
    phi = learner.solver(learner.model, task.support, unroll=0, theta=theta).phi
    return learner.model.losses(learner.model(phi, task.query.x), task.query.y).item()


def test_orthogonal_directions_are_orthogonal_and_as_long_as_gaussian_ones():
    model = sine_model()
    evolution = EvolutionStrategies(4, 0.1, orthogonal=True)
    theta = tuple(t.expand(8, *t.shape) for t in model.theta)
    e = torch.cat([part.flatten(2) for part in evolution._directions(theta, 3)], 2)
    total = e.shape[2]
    torch.testing.assert_close(e[:, 1] @ e[:, 1].T, total * torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: LangevinNoise(-1.0), "temperature: expected"),
        (lambda: PathwiseGradient(0), "last: expected"),
        (lambda: ScoreFunction(1), "paths: expected"),
        (lambda: EvoGrad(1), "candidates: expected"),
        (lambda: EvoGrad(sigma=0.0), "sigma: expected"),
        (lambda: EvolutionStrategies(0, 0.1), "pairs: expected"),
        (lambda: EvolutionStrategies(1, 0.0), "sigma: expected"),
    ],
)
def test_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_there_are_only_so_many_orthogonal_directions():
    learner = MetaLearner(
        Model(linear([0.9, 1.0]), half_squared_error),
        GradientDescent(0.1, 1),
        EvolutionStrategies(3, 0.1, orthogonal=True),
    )
    with pytest.raises(ValueError, match="at most the 2 weights"):
        learner(Quadratics(torch.eye(2)[None], torch.ones(1, 2)).all())
