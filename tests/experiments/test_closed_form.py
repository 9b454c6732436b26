"""Solved inner loops against steps: the command, and what is stored measured again."""

import json

import pytest
import torch

from experiments import closed_form as experiment
from mamlbook.pages import recall

CPU = torch.device("cpu")


def test_the_command_records_every_method_and_seed(tmp_path, capsys, monkeypatch):
    for name, value in {"TEST_TASKS": 4, "GLYPH_TEST_TASKS": 4, "EVERY": 1, "SUPPORTS": (2, 10)}.items():
        monkeypatch.setattr(experiment, name, value)
    experiment.main(["--seeds", "2", "--iterations", "2", "--letters", "1", "--results", str(tmp_path)])
    assert str(tmp_path / "closed-form.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "closed-form.json").read_text())
    assert list(stored["waves"]) == list(experiment.WAVES)
    assert list(stored["letters"]) == list(experiment.LETTERS)
    for name, run in stored["waves"].items():
        assert set(run["error"]) == {"0", "1"}
        for seed in run["error"].values():
            assert [len(seed[key]) for key in ("losses", "support", "beyond")] == [2, 2, len(experiment.BEYOND)]
            assert len(seed["new"]) == (11 if "step" in name else 2)
            assert seed["new"][-1] == seed["support"][-1]


def test_points_beyond_belong_to_the_same_wave():
    """Two evaluations of one wave determine it: y = a sin x + b cos x."""
    tasks = experiment.Outside((8.0, 10.0)).draw(3, torch.Generator().manual_seed(0)).to(torch.float64)
    assert (tasks.support.x.abs() <= 5).all()
    assert ((tasks.query.x >= 8) & (tasks.query.x <= 10)).all()
    waves = [torch.cat([d.x.sin(), d.x.cos()], 2) for d in tasks[:2]]
    found = torch.linalg.lstsq(waves[0], tasks.support.y).solution
    torch.testing.assert_close(waves[1] @ found, tasks.query.y, rtol=0, atol=1e-4)


def test_what_is_stored_belongs_to_the_tables():
    stored = recall("closed-form")
    assert stored["training"]["iterations"] == experiment.ITERATIONS
    assert stored["training"]["letters"] == experiment.GLYPH_ITERATIONS
    for part, table in (("waves", experiment.WAVES), ("letters", experiment.LETTERS)):
        assert list(stored[part]) == list(table)
        assert all(len(run["error"]) == experiment.SEEDS for run in stored[part].values())


@pytest.mark.parametrize("name", ["kernel ridge", "MAML, 1 step"])
def test_half_a_training_is_on_its_way_to_what_is_stored(name):
    fresh = experiment.wave_run(name, 77, 500, CPU)["new"][-1]
    stored = [run["new"][-1] for run in recall("closed-form")["waves"][name]["error"].values()]
    assert min(stored) / 1.5 < fresh < 6 * max(stored)


def test_a_quarter_of_the_training_on_letters_comes_close():
    fresh = experiment.letter_run("ProtoMAML", 77, 50, CPU)["new"][5]
    stored = [run["new"][5] for run in recall("closed-form")["letters"]["ProtoMAML"]["error"].values()]
    assert 0.8 * min(stored) < fresh < max(stored)
