"""The adaptation experiment: its command, what it measures, and what is stored measured again."""

import json

import pytest
import torch

from experiments import adaptation
from mamlbook.pages import recall


@pytest.fixture
def small(monkeypatch):
    for name, value in (("TEST_TASKS", 5), ("COMPARED_TASKS", 2), ("COMPARED_POINTS", 50)):
        monkeypatch.setattr(adaptation, name, value)


def test_the_command_records_every_run_and_seed_and_goes_on_after_an_interruption(tmp_path, capsys, monkeypatch, small):
    chosen = ("waves, maml", "few waves, dropgrad 0.1", "own, boil", "waves, lslr")
    monkeypatch.setattr(adaptation, "RUNS", {name: adaptation.RUNS[name] for name in chosen})
    known = adaptation.train("waves, maml", 0, 2, torch.device("cpu")) | {"new": [7.0]}
    (tmp_path / "sweep-adaptation.partial.json").write_text(json.dumps({"waves, maml, seed 0, 2 meta-steps": known}))
    adaptation.main(["--seeds", "2", "--iterations", "2", "--results", str(tmp_path)])
    assert str(tmp_path / "sweep-adaptation.json") in capsys.readouterr().out
    runs = json.loads((tmp_path / "sweep-adaptation.json").read_text())["runs"]
    assert tuple(runs) == chosen
    assert all(set(run["error"]) == {"0", "1"} for run in runs.values())
    assert runs["waves, maml"]["error"]["0"]["new"] == [7.0]  # taken from the interrupted run
    assert set(runs["waves, maml"]["error"]["1"]) == {"new", "new_median", "cka", "cca", "layers"}
    assert "seen" in runs["few waves, dropgrad 0.1"]["error"]["1"]
    assert not (tmp_path / "sweep-adaptation.partial.json").exists()


def test_rates_that_were_not_trained_are_one(small):
    run = adaptation.RUNS["waves, lslr"]
    found = adaptation.measure(run.learner(0), run)
    assert found["rates"] == [[1.0] * 3] * 6
    assert found["quantiles"] == [1.0] * len(adaptation.QUANTILES)


def test_what_anil_leaves_alone_is_alike_before_and_after(small):
    run = adaptation.RUNS["own, anil"]
    found = adaptation.measure(run.learner(0), run)
    assert found["cka"]["activation2"] == pytest.approx(1)
    assert found["cka"]["head"] < 1


def test_what_is_stored_belongs_to_the_table():
    stored = recall("sweep-adaptation")
    assert stored["training"]["iterations"] == adaptation.ITERATIONS
    assert list(stored["runs"]) == list(adaptation.RUNS)
    for name, run in stored["runs"].items():
        assert len(run["error"]) == adaptation.SEEDS
        assert run["configuration"] == str(adaptation.RUNS[name].learner(0))


def test_one_training_measured_again():
    """The same seed gives the same network, up to the rounding of another machine that 600 steps enlarge."""
    stored = recall("sweep-adaptation")["runs"]["own, anil"]["error"]["2"]
    found = adaptation.train("own, anil", 2, adaptation.ITERATIONS, torch.device("cpu"))
    assert found["new"][3] == pytest.approx(stored["new"][3], rel=0.1)
    assert found["cka"] == pytest.approx(stored["cka"], abs=0.1)
