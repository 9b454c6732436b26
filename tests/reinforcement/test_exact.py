"""Surrogates in expectation, against sums over all trajectories in NumPy and derivatives without differences."""

from itertools import product

import numpy as np
import pytest
import torch

import decision_oracle as oracle
from mamlbook import FirstOrder, GradientDescent, MetaLearner, Model, maml
from mamlbook.numerics import expand_over_tasks
from mamlbook.reinforcement import (
    SURROGATES,
    DecisionProblems,
    SoftmaxPolicy,
    TrajectoryLoss,
    enumerated,
    expected_meta_gradient,
    maze,
    multisets,
    support_sets,
    tabular,
)
from mamlbook.tasks.base import Data

every_surrogate = pytest.mark.parametrize("name", list(SURROGATES))
ALPHA = 0.7


def network(theta):
    """The network whose logits these are."""
    net = tabular(*theta.shape)
    with torch.no_grad():
        net.weight.copy_(torch.from_numpy(theta).mT)
    return net


def model(theta, name, **options):
    return Model(network(theta), TrajectoryLoss(SoftmaxPolicy(), SURROGATES[name], **options))


def close(found, expected, within=1e-10):
    np.testing.assert_allclose(found.detach().mT.numpy(), expected, rtol=0, atol=within)


def problem_of(seed):
    start, transition, reward = oracle.tables(seed)
    return start, transition, reward[0]


def derivatives(model, data):
    """The loss of all trajectories, its gradient and its Hessian in (state, action) order."""
    (theta,) = expand_over_tasks(model.theta, 1)

    def loss(rows):
        return model.losses(model((rows.mT[None],), data.x), data.y)[0]

    at = theta[0].mT.detach()
    gradient = torch.autograd.functional.jacobian(loss, at)
    hessian = torch.autograd.functional.hessian(loss, at).reshape(at.numel(), at.numel())
    return loss(at).item(), gradient.numpy(), hessian.numpy()


# ---------------------------------------------------------------- returns


def test_the_oracles_policy_gradient_is_the_derivative_of_its_return():
    theta, problem = oracle.logits(0), problem_of(0)
    found = oracle.complex_step(lambda at: oracle.expected_return(at, problem), theta)
    np.testing.assert_allclose(oracle.policy_gradient(theta, problem), found, rtol=0, atol=1e-13)


def test_the_return_backwards_in_time_is_the_sum_over_all_trajectories():
    theta = oracle.logits(1)
    found = oracle.problems(1, tasks=3).expected_return(torch.from_numpy(theta))
    start, transition, reward = oracle.tables(1, 3)
    expected = [oracle.expected_return(theta, (start, transition, one)) for one in reward]
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-13)


def test_every_trajectory_that_is_possible_is_there_once():
    data = oracle.problems(2, tasks=2).trajectories()
    start, transition, reward = oracle.tables(2, 2)
    found = {
        (tuple(way.tolist()), tuple(acted.tolist())): (chance.item(), earned.tolist())
        for way, acted, chance, earned in zip(
            data.x[1].argmax(-1), data.y["action"][1], data.y["chance"][1], data.y["reward"][1], strict=True
        )
    }
    expected = {
        (way, acted): (chance, r) for way, acted, chance, r in oracle.trajectories(start, transition, reward[1])
    }
    assert len(found) == data.examples == len(expected)
    for key, (chance, r) in expected.items():
        assert found[key][0] == pytest.approx(chance, abs=1e-15)
        np.testing.assert_array_equal(found[key][1], r)


# ---------------------------------------------------------------- expectations of the surrogates


@every_surrogate
@pytest.mark.parametrize("baseline", [False, True], ids=["plain", "baseline"])
def test_value_and_first_derivative_are_those_of_the_return(name, baseline):
    theta, problem = oracle.logits(3), problem_of(3)
    data = oracle.problems(3).trajectories()
    value, gradient, _ = derivatives(model(theta, name, baseline=baseline), data)
    assert value == pytest.approx(-oracle.expected_return(theta, problem), abs=1e-12)
    np.testing.assert_allclose(gradient, -oracle.policy_gradient(theta, problem), rtol=0, atol=1e-10)


@every_surrogate
def test_the_second_derivative_is_the_one_that_is_written_out(name):
    theta, problem = oracle.logits(4), problem_of(4)
    _, _, hessian = derivatives(model(theta, name), oracle.problems(4).trajectories())
    np.testing.assert_allclose(hessian, -oracle.expected_hessian(name, theta, problem), rtol=0, atol=1e-10)


def true_hessian(theta, problem):
    rows = [
        oracle.complex_step(lambda at, place=place: oracle.policy_gradient(at, problem)[place], theta).reshape(-1)
        for place in np.ndindex(theta.shape)
    ]
    return np.array(rows)


@pytest.mark.parametrize("baseline", [False, True], ids=["plain", "baseline"])
def test_the_second_derivative_of_dice_is_that_of_the_return_and_no_other_is(baseline):
    theta, problem = oracle.logits(5), problem_of(5)
    data, truth = oracle.problems(5).trajectories(), true_hessian(theta, problem)
    apart = {
        name: np.abs(derivatives(model(theta, name, baseline=baseline), data)[2] + truth).max() for name in SURROGATES
    }
    assert apart["dice"] < 1e-10
    assert min(apart["naive"], apart["lvc"]) > 0.01


def test_what_naive_lacks_is_the_product_of_two_scores():
    theta, problem = oracle.logits(6), problem_of(6)
    product_of_scores = 0
    for way, acted, chance, r in oracle.trajectories(*problem):
        summed = oracle.scores(theta, way, acted).reshape(len(way), -1).cumsum(0)
        term = np.einsum("t,ti,tj->ij", r, summed, summed)
        product_of_scores = product_of_scores + oracle.probability(theta, way, acted, chance) * term
    _, _, hessian = derivatives(model(theta, "naive"), oracle.problems(6).trajectories())
    np.testing.assert_allclose(product_of_scores - hessian, true_hessian(theta, problem), rtol=0, atol=1e-10)


def test_with_one_decision_lvc_is_dice():
    theta = oracle.logits(7)
    problems = DecisionProblems(*oracle.tables(7), horizon=1)
    found = [derivatives(model(theta, name), problems.trajectories())[2] for name in ("lvc", "dice")]
    np.testing.assert_allclose(*found, rtol=0, atol=1e-15)


def test_dice_with_returns_from_each_time_on_is_the_papers():
    generator = torch.Generator().manual_seed(0)
    log_probability = torch.randn(5, 4, dtype=torch.float64, generator=generator, requires_grad=True)
    reward = torch.randn(5, 4, dtype=torch.float64, generator=generator)
    box = (log_probability.cumsum(-1) - log_probability.cumsum(-1).detach()).exp()
    ahead = reward.flip(-1).cumsum(-1).flip(-1)
    ours, paper = SURROGATES["dice"](log_probability, ahead), (box * reward).sum(-1)
    torch.testing.assert_close(ours + ahead[:, 0], paper, rtol=0, atol=1e-12)
    hessians = [
        torch.autograd.grad(first.square().sum(), log_probability) for first in gradients(log_probability, ours, paper)
    ]
    torch.testing.assert_close(*hessians, rtol=0, atol=1e-10)


def gradients(at, *values):
    return [torch.autograd.grad(value.sum(), at, create_graph=True)[0] for value in values]


# ---------------------------------------------------------------- the meta-gradient


def test_the_meta_gradient_of_dice_over_all_trajectories_is_the_true_one():
    theta, problem = oracle.logits(8), problem_of(8)
    (found,) = maml(model(theta, "dice"), ALPHA).meta_gradient(enumerated(oracle.problems(8)))
    close(found, oracle.meta_gradient(theta, problem, ALPHA))


def test_two_steps_over_all_trajectories_are_the_true_ones_too():
    theta, problem = oracle.logits(9), problem_of(9)
    (found,) = maml(model(theta, "dice"), ALPHA, steps=2).meta_gradient(enumerated(oracle.problems(9)))

    def objective(at):
        for _ in range(2):
            at = at + ALPHA * oracle.policy_gradient(at, problem)
        return -oracle.expected_return(at, problem)

    close(found, oracle.complex_step(objective, theta))


@every_surrogate
def test_the_meta_gradient_of_each_surrogate_has_its_own_hessian(name):
    theta, problem = oracle.logits(10), problem_of(10)
    outer = oracle.policy_gradient(theta + ALPHA * oracle.policy_gradient(theta, problem), problem).reshape(-1)
    hessian = oracle.expected_hessian(name, theta, problem)
    (found,) = maml(model(theta, name), ALPHA).meta_gradient(enumerated(oracle.problems(10)))
    close(found, -(outer + ALPHA * hessian @ outer).reshape(theta.shape))


@every_surrogate
def test_first_order_is_the_policy_gradient_at_phi_whatever_the_surrogate(name):
    theta, problem = oracle.logits(11), problem_of(11)
    learner = MetaLearner(model(theta, name), GradientDescent(ALPHA, 1), FirstOrder())
    (found,) = learner.meta_gradient(enumerated(oracle.problems(11)))
    phi = theta + ALPHA * oracle.policy_gradient(theta, problem)
    close(found, -oracle.policy_gradient(phi, problem))


def test_a_constant_added_to_every_reward_changes_naive_alone():
    start, transition, reward = oracle.tables(12)
    theta, found = oracle.logits(12), {}
    for shift in (0.0, 3.0):
        tasks = enumerated(DecisionProblems(start, transition, reward + shift, oracle.HORIZON))
        for name in SURROGATES:
            found[name, shift] = maml(model(theta, name), ALPHA).meta_gradient(tasks)[0]
    for name in ("dice", "lvc"):
        torch.testing.assert_close(found[name, 0.0], found[name, 3.0], rtol=0, atol=1e-10)
    assert (found["naive", 0.0] - found["naive", 3.0]).abs().max() > 0.1


# ---------------------------------------------------------------- a few trajectories


@every_surrogate
@pytest.mark.parametrize("shots", [1, 2, 3])
def test_the_expectation_over_support_sets_is_the_sum_over_ordered_ones(name, shots):
    """A maze of four ends: 4, 16, 64 ordered support sets, each differentiated by hand."""
    problems = maze([[1.0, -0.5, 2.0, 0.0]])
    tables = (problems.start.numpy(), problems.transition.numpy(), problems.reward[0].numpy(), problems.horizon)
    theta, expected = oracle.logits(13), 0
    ways = [way for way in oracle.trajectories(*tables)]
    assert len(ways) == 4
    for drawn in product(ways, repeat=shots):
        chance = np.prod([oracle.probability(theta, *one[:3]) for one in drawn])
        expected = expected + chance * oracle.estimate(name, theta, tables, ALPHA, drawn)
    close(expected_meta_gradient(maml(model(theta, name), ALPHA), problems, shots)[0], expected)


def test_many_trajectories_give_the_true_meta_gradient_for_dice_only():
    problems, theta = maze([[1.0, -0.5, 2.0, 0.0]]), oracle.logits(14)
    tables = (problems.start.numpy(), problems.transition.numpy(), problems.reward[0].numpy(), problems.horizon)
    truth = oracle.meta_gradient(theta, tables, ALPHA)
    away = {
        (name, shots): np.abs(
            expected_meta_gradient(maml(model(theta, name), ALPHA), problems, shots)[0].detach().mT.numpy() - truth
        ).max()
        for name in SURROGATES
        for shots in (10, 40)
    }
    assert away["dice", 40] == pytest.approx(away["dice", 10] / 4, rel=0.2)  # the bias is of order 1 / shots
    for name in ("naive", "lvc"):
        assert away[name, 40] > 0.9 * away[name, 10]


def test_a_baseline_of_the_other_trajectories_leaves_expectations_alone():
    """Of two trajectories, each pair with its probability: gradient of all, and Hessian of DiCE."""
    problems, theta = maze([[1.0, -0.5, 2.0, 0.0]]), oracle.logits(15)
    tables = (problems.start.numpy(), problems.transition.numpy(), problems.reward[0].numpy(), problems.horizon)
    everything, ways = problems.trajectories(), list(oracle.trajectories(*tables))
    for name in SURROGATES:
        gradient, hessian = 0, 0
        for pair in product(range(4), repeat=2):
            one = Data(everything.x[:, pair], {key: everything.y[key][:, pair] for key in ("action", "reward")})
            chance = np.prod([oracle.probability(theta, *ways[way][:3]) for way in pair])
            _, first, second = derivatives(model(theta, name, baseline=True), one)
            gradient, hessian = gradient + chance * first, hessian + chance * second
        np.testing.assert_allclose(gradient, -oracle.policy_gradient(theta, tables), rtol=0, atol=1e-10)
        away = np.abs(hessian + true_hessian(theta, tables)).max()
        assert away < 1e-10 if name == "dice" else away > 0.01


def test_support_sets_are_all_there_with_their_probabilities():
    problems, theta = maze([[1.0, 0.0, 0.0, 0.0]]), oracle.logits(16)
    tasks, probability = support_sets(maml(model(theta, "dice"), ALPHA), problems, 3)
    assert tasks.size == len(probability) == 20
    assert probability.sum().item() == pytest.approx(1, abs=1e-12)
    counts = multisets(4, 3)
    assert (counts.sum(1) == 3).all()
    assert len({tuple(row) for row in counts.tolist()}) == 20


# ---------------------------------------------------------------- what is refused


def test_tables_that_are_none_are_refused():
    start, transition, reward = oracle.tables(0)
    with pytest.raises(ValueError, match=r"reward: expected \(tasks, 3, 2\)"):
        DecisionProblems(start, transition, reward[0], 3)
    with pytest.raises(ValueError, match="transition: expected probabilities that add up to one"):
        DecisionProblems(start, transition * 2, reward, 3)
    with pytest.raises(ValueError, match=r"start: expected \(3,\)"):
        DecisionProblems(start[:2], transition, reward, 3)
    with pytest.raises(ValueError, match="horizon: expected a whole number of decisions of at least 1, got 0"):
        DecisionProblems(start, transition, reward, 0)
    with pytest.raises(ValueError, match=r"treasures: expected .* got \(1, 3\)"):
        maze([[1.0, 2.0, 3.0]])


def test_support_sets_of_several_problems_or_too_many_are_refused():
    learner = maml(model(oracle.logits(0), "dice"), ALPHA)
    with pytest.raises(ValueError, match="problems: expected one, got 2"):
        support_sets(learner, maze([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]), 2)
    with pytest.raises(ValueError, match="shots: expected at most 20000 sets"):
        support_sets(learner, maze([[1.0, 0, 0, 0]]), 100)


def test_a_baseline_needs_others():
    problems = maze([[1.0, 0.0, 0.0, 0.0]])
    learner = maml(model(oracle.logits(0), "dice", baseline=True), ALPHA)
    with pytest.raises(ValueError, match=r"baseline: expected at least two .* got given weights"):
        expected_meta_gradient(learner, problems, 2)
    one = problems.trajectories()
    alone = Data(one.x[:, :1], {key: one.y[key][:, :1] for key in ("action", "reward")})
    with pytest.raises(ValueError, match=r"baseline: expected at least two .* got one"):
        learner.adapt(alone)
