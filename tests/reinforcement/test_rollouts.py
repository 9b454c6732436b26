"""Trajectories that are drawn: as often as they should be, at the weights of that moment, and in the plane."""

import math

import numpy as np
import pytest
import torch

import decision_oracle as oracle
from mamlbook import GradientDescent, MetaLearner, Model, evaluate, fit, fit_replicas, maml, mlp
from mamlbook.numerics import expand_over_tasks
from mamlbook.reinforcement import (
    GaussianPolicy,
    Navigation,
    OnPolicy,
    SoftmaxPolicy,
    TrajectoryLoss,
    dice,
    enumerated,
    fresh_steps,
    lvc,
    maze,
    on_policy,
    rollout,
    tabular,
    to_go,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tabular_model(seed=None, **options):
    return Model(tabular(3, 2, seed=seed), TrajectoryLoss(SoftmaxPolicy(), dice, **options))


def walker(seed=0):
    return Model(mlp(2, 16, 2, seed=seed), TrajectoryLoss(GaussianPolicy(0.1), lvc, baseline=True))


def test_trajectories_are_drawn_as_often_as_they_should_be():
    problems, shots, model = oracle.problems(0, tasks=2), 20_000, tabular_model(seed=1)
    data = rollout(model, expand_over_tasks(model.theta, 2), problems, shots, seeded())
    theta = model.net.weight.detach().mT.numpy()
    start, transition, reward = oracle.tables(0, 2)
    drawn = [
        (tuple(way), tuple(acted))
        for way, acted in zip(data.x[1].argmax(-1).tolist(), data.y["action"][1].tolist(), strict=True)
    ]
    for way, acted, chance, _ in oracle.trajectories(start, transition, reward[1]):
        expected = oracle.probability(theta, way, acted, chance)
        spread = math.sqrt(expected * (1 - expected) / shots)
        assert abs(drawn.count((way, acted)) / shots - expected) < 5 * spread + 2e-4
    for k in range(5):
        (way, acted) = drawn[k]
        np.testing.assert_allclose(data.y["reward"][1, k], [reward[1, s, a] for s, a in zip(way, acted, strict=True)])


def test_the_return_from_each_time_on():
    assert to_go(torch.tensor([[1.0, 2.0, 4.0]])).tolist() == [[7.0, 6.0, 4.0]]


def test_the_loss_of_drawn_trajectories_is_minus_their_mean_return():
    model, problems = tabular_model(seed=1), oracle.problems(0)
    data = rollout(model, expand_over_tasks(model.theta, 1), problems, 50, seeded())
    loss = model.losses(model(expand_over_tasks(model.theta, 1), data.x), data.y)
    assert loss.item() == pytest.approx(-data.y["reward"].sum(-1).mean().item(), abs=1e-12)


def test_the_query_set_is_drawn_at_phi():
    """With a rate that decides everything, the query trajectories go where the support set found the treasure."""
    model = tabular_model()
    tasks = on_policy(model, GradientDescent(200.0, 1), maze([[0, 0, 1.0, 0]] * 5), 30, 30, seeded())
    assert (tasks.support.y["reward"].sum(-1).mean(1) < 0.6).all()
    assert (tasks.query.y["reward"].sum(-1).mean(1) > 0.99).all()


def test_fit_raises_the_exact_return_after_adaptation():
    treasures = torch.eye(4)[[0, 1]].tolist()  # both on the left: a start may learn the first turn
    problems, learner = maze(treasures), maml(tabular_model(baseline=True), alpha=2.0)
    before = learner(enumerated(problems))[1].mean().item()
    fit(learner, OnPolicy(learner, problems, shots=10, queries=10), steps=60, tasks=10, beta=0.05, progress=False)
    after = learner(enumerated(problems))[1].mean().item()
    assert -after > -before + 0.15
    left = learner.model.net.weight.detach()[:, 0].softmax(0)[0]
    assert left > 0.8


def test_fresh_steps_follow_one_step_of_the_solver_after_the_other():
    model, problems, solver = (
        tabular_model(baseline=True),
        maze([[0, 0, 1.0, 0]]).pick([0] * 200),
        GradientDescent(2.0, 1),
    )
    returns = fresh_steps(model, solver, problems, 4, 30, seeded()).mean(0)
    exact = enumerated(maze([[0, 0, 1.0, 0]]))
    expected = []
    for steps in range(5):
        at = maml(tabular_model(), 2.0, steps=steps)
        expected.append(-at(exact)[1].item())
    assert returns[0].item() == pytest.approx(0.25, abs=0.02)
    assert (returns.diff() > 0).all()
    np.testing.assert_allclose(returns.numpy(), expected, atol=0.06)  # 30 trajectories are nearly all


def test_drawing_again_from_the_same_seed_is_the_same():
    model, problems = walker(), Navigation(horizon=5).draw(3, seeded())
    one, other = (on_policy(model, GradientDescent(0.1, 1), problems, 4, 4, seeded(1)) for _ in range(2))
    torch.testing.assert_close(one.query.x, other.query.x, rtol=0, atol=0)


# ---------------------------------------------------------------- the plane


def test_a_point_goes_as_far_as_it_may_and_is_paid_for_being_near():
    problems = Navigation(torch.tensor([[0.3, -0.2]]), horizon=3)
    state, reward = problems.step(torch.zeros(1, 2, 2), torch.tensor([[[0.5, -0.05], [-2.0, 0.0]]]), seeded())
    np.testing.assert_allclose(state, [[[0.1, -0.05], [-0.1, 0.0]]], atol=1e-7)
    np.testing.assert_allclose(reward, [[-math.hypot(0.2, 0.15), -math.hypot(0.4, 0.2)]], atol=1e-6)


def test_who_knows_the_goal_earns_the_best_return_and_nobody_more():
    problems = Navigation(horizon=12).draw(20, seeded(3))
    state, earned = problems.begin(1, seeded()), 0
    for _ in range(12):
        state, reward = problems.step(state, problems.goals[:, None] - state, seeded())
        earned = earned + reward[:, 0]
    torch.testing.assert_close(earned, problems.best_return(), rtol=0, atol=1e-5)
    model = walker()
    data = rollout(model, expand_over_tasks(model.theta, 20), problems, 10, seeded())
    assert (data.y["reward"].sum(-1) <= problems.best_return()[:, None] + 1e-6).all()


def test_goals_lie_in_the_square():
    goals = Navigation(half=0.5).draw(2000, seeded()).goals
    assert goals.abs().max() <= 0.5
    assert goals.abs().max() > 0.49
    assert goals.mean(0).abs().max() < 0.03


def test_the_log_probabilities_are_those_of_pytorchs_distributions():
    y_hat, generator = torch.randn(4, 5, 2, generator=seeded()), seeded(1)
    action = GaussianPolicy(0.3).sample(y_hat, generator)
    expected = torch.distributions.Normal(y_hat, 0.3).log_prob(action).sum(-1)
    torch.testing.assert_close(GaussianPolicy(0.3).log_probability(y_hat, action), expected)
    action = SoftmaxPolicy().sample(y_hat, generator)
    expected = torch.distributions.Categorical(logits=y_hat).log_prob(action)
    torch.testing.assert_close(SoftmaxPolicy().log_probability(y_hat, action), expected)


# ---------------------------------------------------------------- what is refused


def test_more_inner_steps_than_trajectories_for_them_are_refused():
    learner = maml(tabular_model(), steps=2)
    with pytest.raises(ValueError, match=r"solver: expected one inner step, .* got steps=2; .* fresh_steps"):
        OnPolicy(learner, maze([[1.0, 0, 0, 0]])).draw(1, seeded())


def test_a_learner_without_trajectories_is_refused():
    learner = maml(Model(mlp(1, 4, 1), torch.nn.functional.mse_loss))
    with pytest.raises(TypeError, match=r"model: expected a loss of trajectories.* got 'mse_loss'"):
        OnPolicy(learner, Navigation())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Navigation(torch.zeros(3)), r"goals: expected numbers \(tasks, 2\), got torch.float32 \(3,\)"),
        (lambda: Navigation(longest=0), "longest: expected a finite longest step above 0, got 0"),
        (lambda: Navigation(horizon=1.5), "horizon: expected a whole number of decisions"),
        (lambda: GaussianPolicy(0), "std: expected a finite standard deviation of the actions above 0, got 0"),
        (lambda: OnPolicy(maml(walker()), Navigation(), shots=0), "shots: expected a whole number of at least 1"),
        (lambda: Navigation(torch.full((1, 2), math.nan)), "goals: expected finite numbers"),
        (lambda: maze([[math.inf, 0.0]]), "reward: expected finite numbers"),
        (lambda: SoftmaxPolicy().sample(torch.tensor([math.nan, 0]), seeded()), "y_hat: expected finite logits"),
    ],
    ids=["goals", "longest", "horizon", "std", "shots", "goals that are none", "no treasure", "no logits"],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class Bandit:
    """One decision, and what its problems show and pay."""

    def __init__(self, horizon=1, observe=None, pay=None):
        self.horizon, self.shown, self.pay, self.tasks = horizon, observe, pay, 2

    def draw(self, tasks, generator):
        return self

    def begin(self, shots, generator):
        return torch.zeros(self.tasks, shots, 1)

    def observe(self, state):
        return state if self.shown is None else self.shown(state)

    def step(self, state, action, generator):
        return state, action.float() if self.pay is None else self.pay(action)


@pytest.mark.parametrize(
    ("problems", "kind", "message"),
    [
        (
            Bandit(pay=lambda a: a[..., None]),
            ValueError,
            r"step to return rewards \(2, 3\), .* got \(2, 3, 1\); one for",
        ),
        (Bandit(pay=lambda a: a[:, 0]), ValueError, r"step to return rewards \(2, 3\), .* got \(2,\)"),
        (Bandit(pay=lambda a: 1.0), TypeError, "step to return rewards .* in a tensor, got float"),
        (Bandit(pay=lambda a: a * math.nan), ValueError, "step to return rewards .*, got nan"),
        (Bandit(observe=lambda s: s[..., 0]), ValueError, r"observe to return what .*, \(2, 3, ...\), .* got \(2, 3\)"),
        (Bandit(observe=lambda s: s.numpy()), TypeError, "observe to return .* in a tensor, got ndarray"),
        (Bandit(0), ValueError, "a whole number of decisions of at least 1, got 0"),
    ],
    ids=["axis", "no trajectories", "number", "nan", "states without axis", "array", "horizon"],
)
def test_problems_that_show_or_pay_something_else_are_refused(problems, kind, message):
    model = Model(torch.nn.Linear(1, 2), TrajectoryLoss(SoftmaxPolicy(), dice))
    phi = expand_over_tasks(model.theta, 2)
    assert rollout(model, phi, Bandit(), 3, seeded()).y["reward"].shape == (2, 3, 1)
    with pytest.raises(kind, match=f"^problems.*expected {message}"):
        rollout(model, phi, problems, 3, seeded())


@pytest.mark.parametrize(
    ("policy", "surrogate", "message"),
    [(SoftmaxPolicy, dice, "policy: .* got the class SoftmaxPolicy"), (SoftmaxPolicy(), "dice", "surrogate: .*'dice'")],
)
def test_what_is_no_policy_or_surrogate_is_refused(policy, surrogate, message):
    with pytest.raises(TypeError, match=message):
        TrajectoryLoss(policy, surrogate)


def test_trajectories_of_another_learner_are_refused():
    one, other = (MetaLearner(walker(seed), GradientDescent(0.1, 1)) for seed in range(2))
    source = OnPolicy(one, Navigation(horizon=2), shots=3)
    said = "^distribution: expected tasks of this learner, got OnPolicy of another one"
    for call in (
        lambda: fit(other, source, steps=1, tasks=2),
        lambda: evaluate(other, source, tasks=2),
        lambda: fit_replicas([one, other], source, steps=1, tasks=2),
    ):
        with pytest.raises(ValueError, match=said):
            call()
    assert evaluate(one, source, tasks=2).shape == (2, 2)


def test_the_pieces_say_what_they_are():
    learner = MetaLearner(walker(), GradientDescent(0.1, 1))
    source = OnPolicy(learner, Navigation(), shots=5)
    assert repr(source) == "OnPolicy(Navigation(horizon=20, half=0.5, longest=0.1), shots=5, queries=20)"
    assert "TrajectoryLoss(GaussianPolicy(std=0.1), lvc, baseline=True)" in repr(learner)
    assert repr(oracle.problems(0)) == "DecisionProblems(1 tasks, 3 states, 2 actions, horizon=3)"
