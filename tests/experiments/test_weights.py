"""The experiment on weights: its command, its waves, and what is stored."""

import json
import math

import pytest
import torch

from experiments import weights as experiment
from mamlbook.pages import recall


def test_the_command_runs_every_weighting(tmp_path, capsys):
    experiment.main(["--seeds", "1", "--iterations", "2", "--results", str(tmp_path)])
    assert str(tmp_path / "weights.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "weights.json").read_text())
    assert list(stored["runs"]) == list(experiment.WEIGHTINGS)
    assert {torch.tensor(rows).shape for rows in stored["runs"].values()} == {(1, 25)}
    fresh = experiment.run("mean", 0, 2, torch.device("cpu"))
    assert stored["runs"]["mean"][0] == pytest.approx(fresh.tolist(), rel=1e-4)


def test_the_last_five_waves_are_upside_down():
    support, _, index = experiment.waves(10).draw(25, torch.Generator().manual_seed(0))
    phase = (index % 5)[:, None, None] * math.pi / 10
    amplitude = torch.tensor(experiment.AMPLITUDES)[index // 5][:, None, None]
    torch.testing.assert_close(support.y, amplitude * torch.sin(support.x - phase), rtol=0, atol=1e-5)
    assert (amplitude[index >= 20] < 0).all()


def test_what_is_stored_is_whole():
    stored = recall("weights")
    assert stored["training"]["iterations"] == experiment.ITERATIONS
    for rows in stored["runs"].values():
        assert torch.tensor(rows).shape == (experiment.SEEDS, 25)
