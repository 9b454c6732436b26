"""The remedies, each with rates of its own: its command, its learners against the package's rows, what is stored."""

import math

import pytest
import torch
from torch.nn.functional import mse_loss

from experiments import stability as experiment
from experiments.stability import REMEDIES, ClippedAdam, train, unfit
from mamlbook import Model, Sinusoids, distance, fit, mlp
from mamlbook.algorithms import maml_plus_plus
from mamlbook.inner import LearnedRates
from mamlbook.pages import recall

CPU = torch.device("cpu")


def test_all_four_side_by_side_are_the_row_of_the_table():
    """Two seeds at two outer rates, through all three schedules, against ``maml_plus_plus`` trained by ``fit``."""
    runs = [(0.01, 1e-3, 0), (0.03, 1e-2, 1)]
    found = train(REMEDIES["all four"], runs, 8, CPU)
    for (alpha, beta, seed), one in zip(runs, found, strict=True):
        fresh = Model(mlp(1, 40, 40, 1, seed=seed), mse_loss)
        learner = maml_plus_plus(fresh, alpha, experiment.STEPS, anneal=4, after=2)
        options = {"steps": 8, "tasks": experiment.TASKS, "seed": seed}
        fit(learner, Sinusoids(shots=10), beta=lambda step, beta=beta: experiment.cosine(beta, 8, step), **options)
        assert distance(one.model.theta, learner.model.theta) < 1e-5
        mine, theirs = (
            list(part.rates) for whole in (one, learner) for part in whole.modules() if isinstance(part, LearnedRates)
        )
        assert distance(mine, theirs) < 1e-5
        assert max((rate - 1).abs().max() for rate in mine) > 1e-3


def test_cosine_goes_from_the_rate_to_a_hundredth_of_it():
    rates = [experiment.cosine(1e-2, 10, step) for step in (0, 5, 10)]
    assert rates == pytest.approx([1e-2, (1e-2 + 1e-4) / 2, 1e-4])


def test_no_meta_gradient_is_followed_that_is_longer_than_the_limit():
    short, long = (torch.zeros(4, requires_grad=True) for _ in range(2))
    short.grad, long.grad = torch.full((4,), 0.1), torch.full((4,), 50.0)
    for weight in (short, long):
        ClippedAdam([weight]).step()
    assert short.grad.norm().item() == pytest.approx(0.2)
    assert long.grad.norm().item() == pytest.approx(experiment.OUTER_LIMIT, rel=1e-4)


def test_rates_that_lose_fewer_seeds_are_fitter_and_then_those_of_the_least_error():
    def curve(end):
        return [None] * experiment.STEPS + [end] + [None]

    whole, better, lost = [curve(2.0), curve(4.0)], [curve(1.0), curve(4.0)], [curve(0.1), curve(None)]
    assert unfit(whole) == (0, 3.0)
    assert sorted([lost, whole, better], key=unfit) == [better, whole, lost]
    assert unfit([curve(None)]) == (1, math.inf)


def test_the_command_records_every_remedy_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "TEST_TASKS", 5)
    monkeypatch.setattr(experiment, "BETAS", (1e-3, 1e-2))
    words = ["--seeds", "2", "--iterations", "2", "--results", str(tmp_path)]
    experiment.main([*words, "--remedies", "learned rates"])
    assert str(tmp_path / "stability.json") in capsys.readouterr().out
    first = recall("stability", folder=tmp_path)["runs"]
    assert list(first) == ["learned rates"]
    experiment.main([*words, "--remedies", "MAML", "learned rates"])
    both = recall("stability", folder=tmp_path)["runs"]
    assert list(both) == ["MAML", "learned rates"]
    assert both["learned rates"] == first["learned rates"]
    assert len(first["learned rates"]["rates"]) == 2
    for run in both.values():
        assert [(one["alpha"], one["beta"]) for one in run["search"]] == [
            (alpha, beta) for alpha in experiment.ALPHAS for beta in experiment.BETAS
        ]
        assert [len(curves["new"]) for curves in run["error"].values()] == [experiment.TEST_STEPS + 1] * 2


def test_what_is_stored_belongs_to_the_table():
    stored = recall("stability")
    assert stored["training"]["iterations"] == experiment.ITERATIONS
    assert list(stored["runs"]) == list(REMEDIES)
    for name, run in stored["runs"].items():
        assert len(run["error"]) == experiment.SEEDS
        assert len(run["search"]) == len(REMEDIES[name].alphas) * len(experiment.BETAS)
        chosen = min(run["search"], key=lambda one: unfit(one["new"]))
        assert (run["alpha"], run["beta"]) == (chosen["alpha"], chosen["beta"])


def test_no_rate_that_was_chosen_freely_is_the_last_that_was_tried():
    for name, run in recall("stability")["runs"].items():
        if REMEDIES[name].alphas == experiment.ALPHAS:
            assert min(experiment.BETAS) < run["beta"] < max(experiment.BETAS), name


def test_a_stored_number_is_found_again():
    """MAML from one seed, at the rates that were chosen: the error on the waves that it is reported on."""
    run = recall("stability")["runs"]["MAML"]
    (learner,) = train(REMEDIES["MAML"], [(run["alpha"], run["beta"], 0)], experiment.ITERATIONS, CPU)
    found = experiment.judge(learner, experiment.TEST)
    # Rounding differences grow over a training.
    assert found[experiment.STEPS] == pytest.approx(run["error"]["0"]["new"][experiment.STEPS], rel=0.3)
