"""Solved inner loops and computed lengths: the command, what it is told, and what is stored."""

import pytest
import torch

from experiments import closed_form as experiment
from experiments import field_search
from experiments.worlds import waves
from mamlbook.pages import recall, recall_seeds

CPU = torch.device("cpu")


@pytest.fixture
def quick(monkeypatch):
    for place, name, value in (
        (experiment, "TASKS_JUDGED", 4),
        (field_search, "BETAS", (1e-3, 1e-2)),
        (field_search, "FURTHER", 0),
    ):
        monkeypatch.setattr(place, name, value)


def command(folder, *methods):
    experiment.main(["--methods", *methods, "--seeds", "2", "--steps", "2", "--results", str(folder)])


def test_the_command_records_a_method_with_settings_of_its_own_and_goes_on(tmp_path, capsys, quick):
    command(tmp_path, "kernel ridge")
    before = recall("closed-form", folder=tmp_path)
    command(tmp_path, "kernel ridge", "line search, damped")
    assert str(tmp_path / "closed-form.json") in capsys.readouterr().out
    stored = recall("closed-form", folder=tmp_path)["waves"]
    assert list(stored) == ["kernel ridge", "line search, damped"]
    assert stored["kernel ridge"] == before["waves"]["kernel ridge"]
    search = stored["line search, damped"]["search"]
    assert {setting["damping"] for setting in search} == {0, 0.5, 5, 50}
    assert min(min(tried["meta-steps"]) for tried in search) == min(
        min(tried["meta-steps"])
        for tried in search
        if (tried["beta"], tried["damping"]) == tuple(stored["line search, damped"][k] for k in ("beta", "damping"))
    )
    chosen, curves = (recall_seeds("closed-form", "waves", kind, folder=tmp_path) for kind in ("chosen", "new"))
    for name, run in stored.items():
        assert torch.equal(chosen[name][:, 0], curves[name][:, run["inner_steps"]])
        assert len(chosen[name]) == 2


def test_every_method_is_told_what_its_row_knows():
    for name, method in experiment.METHODS.items():
        search = field_search.Search(waves(), method.row, None, CPU)
        assert set(method.told) | set(method.knobs) <= set(search.defaults), name
    undamped, damped = (experiment.METHODS[f"line search, {word}"] for word in ("undamped", "damped"))
    assert undamped._replace(knobs=damped.knobs) == damped


def test_what_is_stored_belongs_to_the_table():
    stored = recall("closed-form")["waves"]
    assert list(stored) == list(experiment.METHODS)
    assert all(len(run["error"]) == experiment.SEEDS for run in stored.values())
    assert {run["meta_steps"] for run in stored.values()} == {experiment.META_STEPS}


def test_a_stored_run_is_measured_again():
    method, run = experiment.METHODS["kernel ridge"], recall("closed-form")["waves"]["kernel ridge"]
    search = field_search.Search(waves(), method.row, None, CPU, experiment.META_STEPS)
    search.knobs, search.judged = {}, experiment.TASKS_JUDGED
    ((_, (learner,)),) = search.train({}, [run["beta"]], [0], [experiment.META_STEPS])
    assert search.judge(learner, field_search.TEST)[1] == pytest.approx(run["error"]["0"]["chosen"][0], rel=0.25)
