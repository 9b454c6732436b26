"""The experiment on costs: its command, and what is stored, counted again."""

import json

import pytest

from experiments import cost as experiment
from experiments import race
from mamlbook.analysis.costs import cost, peak
from mamlbook.pages import recall


def test_the_command_counts_and_times(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(race, "LEAST", 0.001)
    monkeypatch.setattr(experiment, "TIMED_WIDTHS", [10])
    words = ["--rounds", "2", "--steps", "2", "--widths", "1", "--tasks", "2", "--results", str(tmp_path)]
    experiment.main(words)
    assert str(tmp_path / "cost.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "cost.json").read_text())
    assert stored["steps"] == [1, 2]
    assert set(stored["counted"]) == set(experiment.METHODS) == set(stored["timed"]["methods"]["times"])
    assert set(stored["timed"]["widths"]["10"]["times"]) == {"one by one", "all at once", "compiled"}
    for summary in stored["timed"]["methods"]["times"].values():
        low, high = summary["quartiles"]
        assert 0 < low <= summary["milliseconds"] <= high


@pytest.mark.parametrize("name", experiment.METHODS)
@pytest.mark.parametrize(("steps", "width"), [(1, 20), (10, 40), (64, 10)])
def test_what_is_stored_is_what_is_counted(name, steps, width):
    rows, place = recall("cost")["counted"][name][str(width)], experiment.STEPS.index(steps)
    learner, tasks = experiment.learner(name, width, steps), experiment.waves(8)
    now = cost(learner, tasks)
    assert now.operations == 8 * rows["operations"][place]
    # A mean over tasks keeps a number of its own.
    assert now.held == pytest.approx(8 * rows["held"][place], abs=16)
    assert peak(learner, tasks) == pytest.approx(8 * rows["peak"][place], abs=16)


def test_times_are_above_the_limit():
    timed = recall("cost")["timed"]
    for width in timed["widths"].values():
        limit = width["operations"] / timed["limit"]["gflops"] / 1e6
        times = {name: row["milliseconds"] for name, row in width["times"].items()}
        assert limit < min(times.values())
        assert times["compiled"] < times["all at once"] < times["one by one"]


def test_one_task_after_another_hardly_feels_the_width():
    widths = recall("cost")["timed"]["widths"]
    times = [row["times"]["one by one"]["milliseconds"] for row in widths.values()]
    assert max(times) < 5 * min(times)
    operations = [row["operations"] for row in widths.values()]
    assert max(operations) > 200 * min(operations)
