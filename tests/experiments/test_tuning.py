"""The step-size experiment: its command, its closed form against the package's inner loop, and what is stored."""

import json

import pytest
import torch

from experiments import tuning as experiment
from mamlbook import Model, linear, maml
from mamlbook.pages import recall
from mamlbook.tasks.quadratic import half_squared_error


def test_the_command_compares_both_ways(tmp_path, capsys):
    words = ["--seeds", "2", "--examples", "10", "60", "--tasks", "4", "--results", str(tmp_path)]
    experiment.main(words)
    assert str(tmp_path / "tuning.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "tuning.json").read_text())
    assert stored["examples"] == [10, 60]
    runs = {name: torch.tensor(rows) for name, rows in stored["runs"].items()}
    assert all(rows.shape == (2, 2) for rows in runs.values())
    assert (runs["best"] <= runs["train"]).all()
    assert (runs["best"] <= runs["validation"]).all()


@pytest.mark.parametrize("examples", [20, 80])
def test_the_closed_form_is_the_inner_loop(examples):
    tasks = experiment.regressions(examples).draw(3, torch.Generator().manual_seed(0))
    for rate in (0.01, 0.2):
        # The loss of the package is summed over the examples.
        learner = maml(Model(linear(torch.zeros(50)), half_squared_error), rate / examples, experiment.STEPS)
        expected = 2 * learner(tasks)[1].mean().item() / examples
        found = experiment.errors(tasks.support, tasks.query, torch.tensor([rate], dtype=torch.float64))
        assert found.item() == pytest.approx(expected, rel=1e-9)


def test_what_is_stored_is_measured_again():
    stored = recall("tuning")
    assert tuple(stored["examples"]) == experiment.EXAMPLES
    assert stored["seeds"] == list(range(experiment.SEEDS))
    for column in (0, 2):
        fresh = experiment.compare(experiment.EXAMPLES[column], 3, experiment.TASKS)
        assert {name: rows[3][column] for name, rows in stored["runs"].items()} == pytest.approx(fresh, rel=1e-4)
