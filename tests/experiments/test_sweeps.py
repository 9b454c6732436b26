"""The sweeps: their command, and what is stored measured again."""

import json
import math

import pytest
import torch

from experiments import sweeps
from mamlbook.pages import recall, recall_sweep


def test_the_command_records_every_setting_and_seed(tmp_path, capsys):
    words = ["--knobs", "tasks", "algorithm", "--seeds", "2", "--iterations", "2", "--results", str(tmp_path)]
    sweeps.main(words)
    assert str(tmp_path / "sweep-tasks.json") in capsys.readouterr().out
    stored = recall_sweep("tasks", folder=tmp_path)
    assert list(stored) == ["1", "4", "25", "100"]
    assert all(curves.shape == (2, 21) and curves.isfinite().all() for curves in stored.values())
    # Two knobs that share a setting measure the same.
    assert torch.equal(stored["25"], recall_sweep("algorithm", folder=tmp_path)["maml"])


def test_an_interrupted_sweep_goes_on_where_it_stopped(tmp_path, monkeypatch):
    words = ["--knobs", "tasks", "--seeds", "1", "--iterations", "2", "--results", str(tmp_path)]
    train, trained = sweeps.train, []

    def interrupted(setting, *rest):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(setting.tasks)
        return train(setting, *rest)

    monkeypatch.setattr(sweeps, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sweeps.main(words)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep-tasks.partial.json"]
    monkeypatch.setattr(sweeps, "train", lambda setting, *rest: trained.append(setting.tasks) or train(setting, *rest))
    sweeps.main(words)
    assert trained == [1, 4, 25, 100]
    assert [path.name for path in tmp_path.iterdir()] == ["sweep-tasks.json"]


def test_a_training_that_diverges_is_recorded_as_such(tmp_path, monkeypatch):
    wild = {"wild": sweeps.Setting(alpha=1e4, steps=5)}
    monkeypatch.setitem(sweeps.KNOBS, "alpha", wild)
    sweeps.main(["--knobs", "alpha", "--seeds", "1", "--iterations", "3", "--results", str(tmp_path)])
    run = json.loads((tmp_path / "sweep-alpha.json").read_text())["runs"]["wild"]["error"]["0"]
    assert "query loss became" in run["diverged"]
    assert recall_sweep("alpha", folder=tmp_path)["wild"].isnan().all()


@pytest.mark.parametrize("knob", list(sweeps.KNOBS))
def test_what_is_stored_belongs_to_the_table(knob):
    stored = recall(f"sweep-{knob}")
    assert stored["training"]["iterations"] == sweeps.ITERATIONS
    assert list(stored["runs"]) == list(sweeps.KNOBS[knob])
    for name, run in stored["runs"].items():
        assert run["configuration"] == str(sweeps.KNOBS[knob][name].learner(0))
        assert len(run["error"]) == sweeps.SEEDS


def test_a_stored_setting_is_reached_again_from_another_seed():
    """A fresh short-cut of one setting: half the iterations already beat the start, and not yet the full run."""
    name = "0.01"
    setting = sweeps.KNOBS["beta"][name]
    (fresh,) = sweeps.train(setting, [77], 1500, torch.device("cpu"))
    stored = recall_sweep("beta")[name][:, 10]
    assert stored.isfinite().all()
    assert stored.min() / 3 < fresh["new"][10] < 3 * math.sqrt(sweeps.ITERATIONS / 1500) * stored.max()
