"""The gallery of failures: its cases, its command, and that what is stored shows what the figure says of it."""

import math

import pytest
import torch

from experiments import failures as experiment
from experiments.failures import CASES, measure, summed
from mamlbook import FirstOrder
from mamlbook.pages import recall
from mamlbook.pages.figures import failure_diagnosis
from mamlbook.pages.figures.widgets.diagnosis import HEALTHY, TEXTS
from shown import payload

CPU = torch.device("cpu")


def test_each_case_has_one_thing_wrong_and_the_figure_has_words_for_it():
    healthy = CASES[HEALTHY]
    assert set(CASES) == {HEALTHY, *TEXTS}
    for name, case in CASES.items():
        changed = [field for field in case._fields if getattr(case, field) != getattr(healthy, field)]
        # Four tasks are a meta-batch of four as well.
        assert changed == ([] if name == HEALTHY else changed[:1]) or changed == ["tasks", "distribution"], name
    assert CASES["create_graph forgotten"].metagradient is FirstOrder


def test_a_sum_is_the_mean_times_the_number_of_examples():
    y_hat, y = torch.arange(10.0), torch.ones(10)
    assert summed(y_hat, y).item() == pytest.approx(10 * ((y_hat - y) ** 2).mean().item())


def test_the_command_records_every_case(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "TEST_TASKS", 5)
    experiment.main(["--seeds", "2", "--iterations", "5", "--results", str(tmp_path)])
    assert str(tmp_path / "failures.json") in capsys.readouterr().out
    stored = recall("failures", folder=tmp_path)
    assert list(stored["cases"]) == list(CASES)
    for case in stored["cases"].values():
        assert torch.tensor(case["loss"]).shape == (2, 1)
        assert len(case["error"]) == 2
    assert payload(failure_diagnosis(stored).html)["iterations"] == 5


@pytest.mark.parametrize("name", [HEALTHY, "one task per meta-step"])
def test_a_training_begins_as_the_stored_one_did(name, monkeypatch):
    monkeypatch.setattr(experiment, "TEST_TASKS", 2)
    found = torch.tensor(measure(CASES[name], seeds=1, iterations=50, device=CPU)["loss"][0])
    stored = torch.tensor(recall("failures")["cases"][name]["loss"][0][:10])
    torch.testing.assert_close(found, stored, rtol=0.02, atol=0)


def ends(name: str) -> tuple[float, float, list[float]]:
    """First and last training loss, and the error on new tasks, of the seed that the figure shows."""
    case = recall("failures")["cases"][name]
    loss, error = ([math.inf if v is None else v for v in case[kind][0]] for kind in ("loss", "error"))
    return sum(loss[:4]) / 4, sum(loss[-8:]) / 8, error


def test_the_symptoms_are_what_the_figure_says():
    (begin, end, new), at = ends(HEALTHY), {name: ends(name) for name in TEXTS}
    assert end < begin / 2
    name = "outer rate a hundred times too large"
    ours, healthy = (recall("failures")["cases"][case]["loss"][0] for case in (name, HEALTHY))
    assert sum(ours[5:15]) < sum(healthy[5:15])
    assert max(v or math.inf for v in ours) > 1e6
    name = "four episodes, again and again"
    assert at[name][1] < 0.7 * end
    assert all(a > b for a, b in zip(at[name][2], new, strict=True))
    assert at[name][2][0] / new[0] == max(a / b for a, b in zip(at[name][2], new, strict=True))
    name = "inner rate ten times too large"
    assert at[name][1] > 0.7 * at[name][0]
    assert min(at[name][2]) > 3
    name = "create_graph forgotten"
    assert end < at[name][1] < 0.7 * at[name][0]
    assert new[12] < at[name][2][12] < 2 * new[12]
    name = "outer rate a hundred times too small"
    assert at[name][1] > 0.8 * at[name][0]
    assert min(at[name][2]) > 3.5
    name = "loss summed over the examples"
    assert 7 < at[name][0] / begin < 15
    assert at[name][2][12] > 100
    name = "one task per meta-step"
    loss = recall("failures")["cases"][name]["loss"][0]
    assert max(loss) / min(loss) > 5
    assert at[name][2][12] > 0.8 * at[name][2][0]
    name = "inner rate ten times too small"
    assert at[name][2][12] > 0.8 * at[name][2][0]
