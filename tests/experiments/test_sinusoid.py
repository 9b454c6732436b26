"""The sine experiments: their command, and the stored weights measured again on fresh waves."""

import json

import pytest
import torch

from experiments import sinusoid as experiment
from mamlbook import Sinusoids, confidence, evaluate, pretrained
from mamlbook.pages import recall, recall_curves


def test_the_command_records_every_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(experiment.RUNS, "maml", experiment.RUNS["maml"]._replace(iterations=3))
    experiment.main(["--runs", "maml", "--seeds", "2", "--results", str(tmp_path)])
    stored = json.loads((tmp_path / "sinusoid-maml.json").read_text())
    assert set(stored["error"]) == {"0", "1"}
    assert len(stored["error"]["0"]["new"]) == 11
    assert str(tmp_path / "sinusoid-maml.json") in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(experiment.RUNS))
def test_stored_weights_reach_the_stored_error_on_fresh_waves(name):
    run, stored = experiment.RUNS[name], recall(f"sinusoid-{name}")
    assert stored["training"]["iterations"] == run.iterations
    assert len(recall_curves(f"sinusoid-{name}")) == 5
    learner, record = pretrained(f"sinusoid-{name}")
    assert record == stored
    assert record["learner"] == experiment.settings(run)
    assert str(learner) == stored["training"]["configuration"]
    errors = evaluate(learner, Sinusoids(shots=run.shots, queries=100), tasks=600, steps=3, seed=99)
    mean, half = confidence(errors)
    expected = torch.tensor([stored["error"]["0"][key][:4] for key in ("new", "new_half")])
    # Two independent samples of waves: their difference stays within twice its own 95 % interval.
    assert ((mean - expected[0]).abs() < 2 * (half**2 + expected[1] ** 2).sqrt()).all()
