"""The experiment on memory: its command, and what it hands out."""

import json

from experiments import memory as experiment
from experiments import own_settings
from mamlbook.pages import recall_chosen


def test_the_command_runs_every_method(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(experiment, "BETAS", (1e-3,))
    monkeypatch.setattr(experiment, "TEST_TASKS", 4)
    monkeypatch.setattr(own_settings, "FURTHER", 0)
    for name, settings in experiment.SETTINGS.items():
        monkeypatch.setitem(experiment.SETTINGS, name, settings[:1])
    experiment.main(["--seeds", "1", "--iterations", "5", "--results", str(tmp_path)])
    assert str(tmp_path / "memory.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "memory.json").read_text())
    assert list(stored["runs"]) == list(experiment.SETTINGS)
    curves = recall_chosen("memory", "ten steps", folder=tmp_path)
    assert {e.shape for e in curves.values()} == {(1, experiment.TEST_STEPS + 1)}


def test_local_rounds_use_as_many_points():
    """Five local steps a round, one point each: a fifth of the rounds, and not one more point."""
    assert experiment.ITERATIONS % experiment.LOCAL_STEPS == 0
    learner = experiment.build("local-moml", 0, rate=0.3, beta=0.01)
    assert learner.metagradient.local_steps == experiment.LOCAL_STEPS
