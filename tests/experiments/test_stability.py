"""The ablation of MAML++: its command, its side-by-side rates against the package's row, and what is stored."""

import math

import pytest
import torch
from torch.nn.functional import mse_loss

from experiments import stability as experiment
from experiments.stability import SETTINGS, train
from mamlbook import Model, Sinusoids, distance, fit, mlp
from mamlbook.algorithms import maml_plus_plus
from mamlbook.pages import recall, recall_sweep

CPU = torch.device("cpu")


def test_all_parts_together_are_the_row_of_the_table():
    """Both seeds and their rates, through all three schedules, against ``maml_plus_plus`` trained by ``fit``."""
    models, rates, _ = train(SETTINGS["all four"], seeds=2, iterations=8, device=CPU)
    for seed, (model, found) in enumerate(zip(models, rates, strict=True)):
        fresh = Model(mlp(1, 40, 40, 1, seed=seed), mse_loss)
        learner = maml_plus_plus(fresh, experiment.ALPHA, experiment.STEPS, anneal=4, after=2)
        learner.metagradient.until = math.inf  # in the experiment the weights stay where they have arrived
        options = {"steps": 8, "tasks": experiment.TASKS, "beta": experiment.cosine(8), "seed": seed}
        fit(learner, Sinusoids(shots=experiment.SHOTS), **options)
        (expected,) = (change.rates for change in learner.solver.transforms if hasattr(change, "rates"))
        assert distance(model.theta, learner.model.theta) < 1e-5
        assert distance([*found.rates], [*expected]) < 1e-5
        assert max((rate - 1).abs().max() for rate in found.rates) > 1e-3


def test_cosine_goes_from_the_first_rate_to_the_last():
    rate = experiment.cosine(10)
    assert [rate(0), rate(5), rate(10)] == pytest.approx([1e-3, (1e-3 + 1e-5) / 2, 1e-5])


def test_the_command_records_every_setting_and_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "TEST_TASKS", 10)
    experiment.main(["--seeds", "2", "--iterations", "2", "--results", str(tmp_path)])
    assert str(tmp_path / "sweep-stability.json") in capsys.readouterr().out
    stored = recall_sweep("stability", folder=tmp_path)
    assert list(stored) == list(SETTINGS)
    assert all(curves.shape == (2, 21) for curves in stored.values())


def test_what_is_stored_belongs_to_the_table():
    stored = recall("sweep-stability")
    assert stored["training"]["iterations"] == experiment.ITERATIONS
    assert list(stored["runs"]) == list(SETTINGS)
    for name, run in stored["runs"].items():
        assert len(run["error"]) == len(run["loss"]) == experiment.SEEDS
        assert ("rates" in run) == SETTINGS[name].rates


@pytest.mark.parametrize("name", ["MAML", "learned rates"])
def test_a_training_begins_as_the_stored_one_did(name):
    # The same seeds, the same waves, and no schedule that would know how long the training is to be.
    iterations = 60
    *_, losses = train(SETTINGS[name], seeds=1, iterations=iterations, device=CPU)
    window = experiment.ITERATIONS // 100
    found = losses[0].view(-1, window).mean(1)
    stored = torch.tensor(recall("sweep-stability")["runs"][name]["loss"][0][: len(found)])
    torch.testing.assert_close(found, stored, rtol=0.02, atol=0)
