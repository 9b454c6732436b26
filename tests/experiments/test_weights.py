"""The experiment on weights: its command, its waves, and what is stored."""

import json
import math

import torch

from experiments import own_settings
from experiments import weights as experiment
from mamlbook.pages import recall, recall_chosen


def test_the_command_runs_every_weighting(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(experiment, "BETAS", (1e-3,))
    monkeypatch.setattr(own_settings, "FURTHER", 0)
    monkeypatch.setattr(experiment, "SEARCH_SEEDS", (100,))
    for name, (build, settings) in experiment.WEIGHTINGS.items():
        monkeypatch.setitem(experiment.WEIGHTINGS, name, (build, settings[:1]))
    experiment.main(["--seeds", "1", "--iterations", "2", "--results", str(tmp_path)])
    assert str(tmp_path / "weights.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "weights.json").read_text())
    assert set(stored["runs"]) == set(experiment.WEIGHTINGS)
    for criterion in experiment.CRITERIA:
        assert {e.shape for e in recall_chosen("weights", criterion, folder=tmp_path).values()} == {(1, 25)}
    # What is there is not run again.
    stored["runs"] = {name: "known" for name in stored["runs"]}
    (tmp_path / "weights.json").write_text(json.dumps(stored))
    experiment.main(["--results", str(tmp_path)])
    assert json.loads((tmp_path / "weights.json").read_text()) == stored


def test_the_last_five_waves_are_upside_down():
    support, _, index = experiment.waves(10).draw(25, torch.Generator().manual_seed(0))
    phase = (index % 5)[:, None, None] * math.pi / 10
    amplitude = torch.tensor(experiment.AMPLITUDES)[index // 5][:, None, None]
    torch.testing.assert_close(support.y, amplitude * torch.sin(support.x - phase), rtol=0, atol=1e-5)
    assert (amplitude[index >= 20] < 0).all()


def test_what_is_stored_is_whole():
    stored = recall("weights")
    assert stored["training"]["iterations"] == experiment.ITERATIONS
    assert set(stored["runs"]) == set(experiment.WEIGHTINGS)
    for criterion in experiment.CRITERIA:
        errors = recall_chosen("weights", criterion)
        assert {e.shape for e in errors.values()} == {(experiment.SEEDS, 25)}
    for name, (_, settings) in experiment.WEIGHTINGS.items():
        tried = [
            {k: v for k, v in entry.items() if k not in ("beta", "judged")} for entry in stored["runs"][name]["search"]
        ]
        assert all(setting in tried for setting in settings)
        assert {len(entry["judged"]) for entry in stored["runs"][name]["search"]} == {len(experiment.SEARCH_SEEDS)}
