"""The experiment on memory: its command, and what is stored."""

import json

import pytest
import torch

from experiments import memory as experiment
from mamlbook.pages import recall, recall_sweep


def test_the_command_runs_every_method(tmp_path, capsys):
    experiment.main(["--seeds", "1", "--iterations", "2", "--results", str(tmp_path)])
    assert str(tmp_path / "sweep-memory.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "sweep-memory.json").read_text())
    assert list(stored["runs"]) == list(experiment.OPTIONS)
    curves = [run["error"]["0"]["new"] for run in stored["runs"].values()]
    assert {len(curve) for curve in curves} == {experiment.TEST_STEPS + 1}
    untrained = experiment.run("maml", 0, 2, torch.device("cpu"))
    assert curves[0] == pytest.approx(untrained.tolist(), rel=1e-4)


def test_local_rounds_use_as_many_points():
    """Two local steps a round, one point each: half the rounds, and not one more point."""
    local = experiment.OPTIONS["local-moml"]["local_steps"]
    assert experiment.ITERATIONS % local == 0
    assert recall("sweep-memory")["training"]["iterations"] == experiment.ITERATIONS


def test_what_is_stored_says_what_the_page_says():
    errors = recall_sweep("memory")
    assert {e.shape for e in errors.values()} == {(experiment.SEEDS, experiment.TEST_STEPS + 1)}
    # Seed by seed, after one step and after ten.
    assert (errors["moml"][:, [1, 10]] < errors["maml"][:, [1, 10]]).all()
