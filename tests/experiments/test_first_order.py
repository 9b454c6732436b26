"""The comparison of MAML, FOMAML and Reptile: its gradients against the package's, how it chooses, what is stored."""

import json

import pytest
import torch
from torch.nn.functional import mse_loss

from experiments import first_order as experiment
from experiments.first_order import CONTENDERS, Contender, Run, directions
from mamlbook import Model, Sinusoids, distance, fit, mlp
from mamlbook.algorithms import ALGORITHMS
from mamlbook.numerics import expand_over_tasks
from mamlbook.pages import RESULTS, recall

CPU = torch.device("cpu")


@pytest.fixture
def small(monkeypatch):
    for name, value in {"META_STEPS": 4, "GRADIENTS": 8, "WINDOW": 2, "EVERY": 1, "TASKS": 3}.items():
        monkeypatch.setattr(experiment, name, value)
    for name, value in {
        "VALIDATION": (11, 3),
        "TEST": (12, 4),
        "ALPHAS": (0.01,),
        "BETAS": (1e-3, 1e-2),
        "SEARCH_SEEDS": (8, 9),
    }.items():
        monkeypatch.setattr(experiment, name, value)


@pytest.mark.parametrize("contender", CONTENDERS.values(), ids=list(CONTENDERS))
def test_the_directions_are_those_of_the_package(contender):
    model = Model(mlp(1, 6, 1, activation=torch.nn.Tanh, seed=0), mse_loss).double()
    tasks = Sinusoids().draw(4, torch.Generator().manual_seed(0)).to(torch.float64)
    rates = torch.tensor([0.1, 0.1, 0.2, 0.2], dtype=torch.float64)
    found, losses = directions(contender, model, expand_over_tasks(model.theta, 4), tasks, rates)
    for alpha, half in ((0.1, slice(0, 2)), (0.2, slice(2, 4))):
        learner = ALGORITHMS[contender.row].build(model, alpha=alpha, steps=contender.steps)
        expected, of_tasks = learner.gradients(tasks.pick(half))
        assert distance([g[half].mean(0) for g in found], expected) < 1e-12
        torch.testing.assert_close(losses[half], of_tasks)


def test_a_run_is_a_training_with_fit_whatever_runs_beside_it(small):
    contender, runs = Contender("fomaml", 5), [Run(0.01, 1e-2, 0), Run(0.02, 1e-3, 1)]
    together = experiment.train(contender, runs, (12, 4), CPU)
    for run, found in zip(runs, together, strict=True):
        model = Model(mlp(1, 40, 40, 1, seed=run.seed), mse_loss)
        learner = ALGORITHMS[contender.row].build(model, alpha=run.alpha, steps=contender.steps)
        history = fit(learner, Sinusoids(), steps=4, tasks=3, beta=run.beta, seed=run.seed, progress=False)
        assert found["losses"] == pytest.approx(history.smoothed(2)[1:].tolist(), rel=1e-3)
        assert found["errors"]["meta-steps"] == pytest.approx(experiment.error(model, run.alpha, (12, 4)), rel=1e-3)


def test_what_is_equal_is_meta_steps_or_gradients():
    assert [contender.gradients for contender in CONTENDERS.values()] == [4, 2, 16, 6, 5]
    for contender in CONTENDERS.values():
        ends = contender.ends()
        assert ends["meta-steps"] == experiment.META_STEPS
        assert ends["arithmetic"] * contender.gradients == pytest.approx(experiment.GRADIENTS, abs=contender.gradients)


def test_arriving_is_the_first_meta_step_with_a_mean_that_is_low_enough(monkeypatch):
    monkeypatch.setattr(experiment, "WINDOW", 2)
    monkeypatch.setattr(experiment, "TARGETS", {1: 1.0, 5: 0.5})
    means = experiment.running_means(torch.tensor([[3.0, 2.0, 1.0, 0.5, 0.5, 9.0]]))
    assert means.tolist() == [[2.5, 1.5, 0.75, 0.5, 4.75]]
    assert experiment.arrived(means[0], 1) == 4
    assert experiment.arrived(means[0], 5) == 5
    assert experiment.arrived(means[0] + 1, 1) is None
    assert experiment.arrived(torch.tensor([float("nan"), 0.5]), 1) == 3


def test_each_aim_has_its_own_rates_and_a_missing_seed_puts_a_setting_last():
    def tried(alpha, arrived, *errors):
        return {"alpha": alpha, "beta": 0.1, "arrived": arrived, "errors": dict(zip(("a", "b"), errors, strict=True))}

    found = experiment.choose(
        [
            tried(1, [10, None], [0.2, 0.3], [None, None]),
            tried(2, [30, 50], [0.3, 0.3], [0.1, None]),
            tried(3, [40, 60], [0.2, 0.2], [0.9, None]),
        ]
    )
    assert {aim: rates["alpha"] for aim, rates in found.items()} == {"soonest": 2, "a": 3, "b": 2}


def test_the_command_goes_on_where_it_stopped(small, tmp_path, monkeypatch, capsys):
    compete, done = experiment.compete, []
    monkeypatch.setattr(experiment, "compete", lambda c, *rest: done.append(c.name) or compete(c, *rest))
    for names in (["fomaml, S = 1"], ["fomaml, S = 1", "reptile, S = 5"]):
        experiment.main(["--seeds", "2", "--results", str(tmp_path), "--contenders", *names])
    assert done == ["fomaml, S = 1", "reptile, S = 5"]
    assert str(tmp_path / "first-order.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "first-order.json").read_text())["contenders"]
    for name, entry in stored.items():
        ends = CONTENDERS[name].ends()
        assert [len(tried["arrived"]) for tried in entry["search"]] == [2, 2]
        assert set(entry["chosen"]) == {"soonest", *ends}
        assert set(entry["chosen"].values()) == set(entry["runs"])
        for runs in entry["runs"].values():
            assert [len(run["losses"]) for run in runs] == [max(ends.values()) - 1] * 2


def test_what_is_stored_belongs_to_the_experiment():
    stored = recall("first-order")
    assert stored["protocol"] == experiment.PROTOCOL
    assert list(stored["contenders"]) == list(CONTENDERS)
    for name, entry in stored["contenders"].items():
        assert entry["ends"] == CONTENDERS[name].ends()
        assert {(tried["alpha"], tried["beta"]) for tried in entry["search"]} == {
            (alpha, beta) for alpha in experiment.ALPHAS for beta in experiment.BETAS
        }
        rates = {
            aim: f"alpha {r['alpha']:g}, beta {r['beta']:g}" for aim, r in experiment.choose(entry["search"]).items()
        }
        assert entry["chosen"] == rates
        assert all(len(runs) == experiment.SEEDS for runs in entry["runs"].values())


def test_a_stored_number_is_measured_again():
    if not (RESULTS / "first-order.json").is_file():
        pytest.fail("first-order is not stored")
    entry = recall("first-order")["contenders"]["fomaml, S = 1"]
    alpha, beta = (float(word.split()[1]) for word in entry["chosen"]["soonest"].split(", "))
    (fresh,) = experiment.train(CONTENDERS["fomaml, S = 1"], [Run(alpha, beta, 0)], experiment.TEST, CPU)
    kept = entry["runs"][entry["chosen"]["soonest"]][0]
    assert fresh["losses"][:10] == pytest.approx(kept["losses"][:10], rel=0.05)
    assert fresh["errors"]["meta-steps"] == pytest.approx(kept["errors"]["meta-steps"], rel=0.3)
