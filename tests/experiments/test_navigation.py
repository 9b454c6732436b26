"""Navigation in the plane: its command, how it chooses, and what is stored measured again."""

import json

import numpy as np
import pytest
import torch

from experiments import navigation as experiment
from mamlbook import Exact, GradientDescent, MetaLearner, fit
from mamlbook.pages import RESULTS, recall, recall_seeds, recall_weights
from mamlbook.reinforcement import OnPolicy, lvc, rollout


@pytest.fixture
def small(monkeypatch):
    for name, value in {"TEST_GOALS": 3, "TASKS": 2, "SHOTS": 4, "ITERATIONS": 1}.items():
        monkeypatch.setattr(experiment, name, value)
    for name in ("ALPHAS", "BETAS"):
        monkeypatch.setattr(experiment, name, (0.003,))


def test_the_command_keeps_what_an_interrupted_run_has_finished(tmp_path, monkeypatch, small):
    methods = {name: experiment.METHODS[name] for name in ("MAML, LVC", "joint training")}
    monkeypatch.setattr(experiment, "METHODS", methods)
    search, ran = experiment.search, []

    def interrupted(name, found):
        ran.append((name, len(found)))
        if len(ran) == 2:
            raise KeyboardInterrupt
        search(name, found)

    monkeypatch.setattr(experiment, "search", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiment.main(["--results", str(tmp_path)])
    experiment.main(["--results", str(tmp_path)])
    assert [name for name, _ in ran] == ["MAML, LVC", "joint training", "joint training"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["navigation.json", "navigation.npz"]
    runs = json.loads((tmp_path / "navigation.json").read_text())["runs"]
    assert list(runs) == list(methods)
    assert len(runs["MAML, LVC"]["error"]["0"]["3"]) == 4
    assert len(recall_weights("navigation", folder=tmp_path)) == 12


def test_rates_are_chosen_for_each_number_of_steps_and_followed_beyond_the_end(monkeypatch, small):
    def searched(name, alphas, betas):
        # After one step the larger alpha the better, up to 0.02; after three the smaller beta, down to 0.002.
        return [
            {"alpha": a, "beta": b, "returns": [0.0, -abs(a - 0.02), 0.0, -abs(b - 0.002)]}
            for a in alphas
            for b in betas
        ]

    monkeypatch.setattr(experiment, "ALPHAS", (0.003, 0.01))
    monkeypatch.setattr(experiment, "BETAS", (0.003, 0.01))
    monkeypatch.setattr(experiment, "searched", searched)
    found = []
    experiment.search("MAML, LVC", found)
    assert experiment.best(found, 1)["alpha"] == 0.03
    assert experiment.best(found, 3)["beta"] == pytest.approx(0.003)
    assert {one["beta"] for one in found} >= {0.001, 0.003, 0.01}


def test_a_lost_run_is_not_chosen():
    lost = {"alpha": 1.0, "beta": 1.0, "returns": [None] * 4}
    assert experiment.best([lost, {"alpha": 2.0, "beta": 1.0, "returns": [-9.0] * 4}], 1)["alpha"] == 2.0


def test_replicas_follow_their_own_gradients(small):
    """One replica of three is what Adam makes of the package's own meta-gradient on its block of tasks."""
    alpha, betas, seeds = 0.01, (0.003, 0.01, 0.002), (4, 5, 6)
    theta = experiment.train(experiment.Method(), alpha, betas, seeds)
    model, solver = experiment.model_of(), GradientDescent(alpha, 1)
    generator = torch.Generator().manual_seed(len(seeds))
    problems = experiment.WORLD.draw(3 * experiment.TASKS, generator)
    wide = experiment.each_for(experiment.drawn(seeds), experiment.TASKS)
    tasks = experiment.on_policy(model, solver, problems, experiment.SHOTS, experiment.SHOTS, generator, wide)
    own = tasks.pick(slice(experiment.TASKS, 2 * experiment.TASKS))
    model.net.load_state_dict(experiment.network(5).state_dict())
    gradients = MetaLearner(model, solver, Exact()).meta_gradient(own)
    adam = torch.optim.Adam(model.net.parameters(), lr=betas[1])
    for weight, gradient in zip(model.net.parameters(), gradients, strict=True):
        weight.grad = gradient
    adam.step()
    for found, expected in zip(theta, model.net.parameters(), strict=True):
        torch.testing.assert_close(found[1], expected, rtol=0, atol=1e-5)


def test_joint_training_follows_the_policy_gradient_of_all_goals(small):
    """One replica of two is what Adam makes of REINFORCE with the others' mean return, written out."""
    betas, seeds, tasks, shots = (0.003, 0.01), (4, 5), experiment.TASKS, experiment.SHOTS
    theta = experiment.train(experiment.METHODS["joint training"], 0.5, betas, seeds)
    generator = torch.Generator().manual_seed(len(seeds))
    problems = experiment.WORLD.draw(2 * tasks, generator)
    wide = experiment.each_for(experiment.drawn(seeds), tasks)
    data = rollout(experiment.model_of(), wide, problems, shots, generator)
    x, action, reward = (values[tasks:] for values in (data.x, data.y["action"], data.y["reward"]))
    net = experiment.network(5)
    log_probability = torch.distributions.Normal(net(x), experiment.STD).log_prob(action).sum(-1)
    later = torch.stack([reward[..., time:].sum(-1) for time in range(reward.shape[-1])], -1)
    others = (later.sum(1, keepdim=True) - later) / (shots - 1)
    adam = torch.optim.Adam(net.parameters(), lr=betas[1])
    (-(log_probability * (later - others)).sum(-1).mean()).backward()
    adam.step()
    for found, expected in zip(theta, net.parameters(), strict=True):
        torch.testing.assert_close(found[1], expected, rtol=0, atol=1e-5)


def test_longer_joint_training_draws_as_many_trajectories_as_the_others(monkeypatch, small):
    drawn = {}

    def counted(model, phi, problems, shots, generator):
        drawn[name] = drawn.get(name, 0) + problems.tasks * shots
        return rollout(model, phi, problems, shots, generator)

    monkeypatch.setattr(experiment, "rollout", counted)
    monkeypatch.setattr("mamlbook.reinforcement.rollouts.rollout", counted)
    for name, method in experiment.METHODS.items():
        experiment.train(method, 0.01, [0.003], [0])
        assert drawn.get(name, 0) == method.trajectories
    assert drawn["joint training, twice as long"] == drawn["MAML, LVC"] == 2 * drawn["joint training"]


def test_who_is_told_the_goal_is_below_the_best_and_far_above_staying():
    told = experiment.told()
    goals = experiment.WORLD.draw(200, torch.Generator().manual_seed(experiment.TEST)).goals
    staying = -10 * goals.norm(dim=1).mean().item()
    assert staying < told["with the same noise"] - 2
    assert told["with the same noise"] < told["without noise"]


# ---------------------------------------------------------------- what is stored


def test_what_is_stored_belongs_to_the_experiment():
    stored = recall("navigation")
    assert list(stored["runs"]) == list(experiment.METHODS)
    assert {"device", "versions", "seconds", "command", "seed"} <= set(stored)
    for name, run in stored["runs"].items():
        assert run["trajectories"] == experiment.METHODS[name].trajectories
        for steps in experiment.JUDGED:
            chosen = run["chosen"][str(steps)]
            assert chosen == experiment.best(run["search"], steps)
            for own, other in (("alpha", "beta"), ("beta", "alpha")):
                tried = {one[own] for one in run["search"] if one[other] == chosen[other]}
                assert tried == {0.0} or not experiment.beyond(tried, chosen[own]), (name, own)
        assert len(run["error"]) == experiment.SEEDS
    assert (RESULTS / "navigation.npz").stat().st_size < 200_000


def test_the_stored_starts_earn_again_what_is_stored():
    """On other goals, up to their spread: the mean over seeds after one step."""
    stored, weights = recall("navigation"), recall_weights("navigation")
    for name, theta in (("MAML, LVC", weights[:6]), ("joint training", weights[6:])):
        alpha = stored["runs"][name]["chosen"]["1"]["alpha"]
        found = experiment.returns(theta, alpha, seed=77).mean(0)
        expected = recall_seeds("navigation", "runs", "1")[name].mean(0)
        np.testing.assert_allclose(found, expected, atol=0.35)


def test_a_short_training_of_one_learner_by_fit_improves_the_return_after_a_step():
    learner = MetaLearner(experiment.model_of(lvc), GradientDescent(0.01, 1))
    losses = fit(learner, OnPolicy(learner, experiment.WORLD), steps=40, tasks=10, beta=3e-3, progress=False).losses
    assert sum(losses[-10:]) < sum(losses[:10]) - 4
