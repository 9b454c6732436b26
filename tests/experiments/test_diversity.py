"""The diversity dial: its command, its distributions, and what is stored measured again."""

import json
import math

import pytest
import torch

from experiments import diversity
from mamlbook import Sinusoids
from mamlbook.pages import recall
from mamlbook.pages.figures import recall_dial

CPU = torch.device("cpu")


@pytest.fixture
def small(monkeypatch):
    """Few tasks, few steps and two places of the dial."""
    for name, value in {"TEST_TASKS": 4, "CHOICE_TASKS": 3, "LONG_TASKS": 3, "LONG_STEPS": (0, 2)}.items():
        monkeypatch.setattr(diversity, name, value)
    monkeypatch.setattr(diversity, "DIAL", (diversity.ALL_WAVES, diversity.MIXTURE))


def test_the_command_records_every_place_role_and_seed(tmp_path, capsys, small):
    diversity.main(["--seeds", "2", "--iterations", "2", "--results", str(tmp_path)])
    assert str(tmp_path / "diversity.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "diversity.json").read_text())
    assert [place["position"] for place in stored["dial"]] == [1.0, 1.5]
    for kind in ("runs", "tuned"):
        assert list(stored[kind]) == list(diversity.ROLES)
        for places in stored[kind].values():
            assert [set(place["error"]) for place in places] == [{"0", "1"}] * 2
            assert all(len(curves["new"]) == 21 for place in places for curves in place["error"].values())
        dial = recall_dial(kind, folder=tmp_path)
        assert all(errors.shape == (2, 2, 21) for errors in dial.values())
        assert dial["maml"][1, 0].tolist() == pytest.approx(stored[kind]["maml"][1]["error"]["0"]["new"])
    # No meta-training in it: the same networks at both places, on other tasks.
    first, second = (place["error"]["0"]["new"] for place in stored["runs"]["scratch"])
    assert first != second
    assert set(stored["long"]["error"]["maml"]["0"]) == {"10", "100"}
    assert set(stored["families"]["1"]) == {"waves", "lines", "squares"}


def test_the_dial_goes_from_one_wave_to_all_and_beyond():
    places = {place.position: place for place in diversity.DIAL}
    assert list(places) == sorted(places)
    assert places[1.0].tasks() == Sinusoids()
    one = places[0.0].tasks(shots=500, queries=1).draw(3, torch.Generator().manual_seed(0)).support
    torch.testing.assert_close(one.y, 2.55 * torch.sin(one.x - math.pi / 2), rtol=0, atol=1e-5)
    assert places[1.5].tasks().shares == (0.5, 0.25, 0.25)


def test_power_and_spread_are_what_waves_have():
    power, spread = diversity.spread(diversity.DIAL[0], grid=201, tasks=2)
    # The mean of (2.55 cos x)^2 over -5..5, of one wave, which has no spread.
    assert power == pytest.approx(2.55**2 * (1 + math.sin(10) / 10) / 2, rel=0.02)
    assert spread == pytest.approx(0, abs=1e-6)
    _, spread = diversity.spread(diversity.ALL_WAVES)
    # E[A^2 sin^2] less the square of the average wave, -c cos x with c = (0.1 + 5) / pi.
    power = (5**3 - 0.1**3) / (3 * 4.9) / 2
    assert spread == pytest.approx(power - (5.1 / math.pi) ** 2 * (1 + math.sin(10) / 10) / 2, rel=0.03)


def test_the_best_rate_leaves_out_those_that_diverge():
    learner = diversity.trained("scratch", diversity.ALL_WAVES.tasks(), 0, 0, CPU)
    with torch.no_grad():
        learner.model.theta[-2].mul_(30)  # steep enough for all but the smaller rates
    assert diversity.best_rate(learner, diversity.ALL_WAVES.tasks(shots=10)) < max(diversity.RATES)


def test_what_is_stored_belongs_to_the_table():
    stored = recall("diversity")
    assert stored["training"]["iterations"] == diversity.ITERATIONS
    for place, described in zip(diversity.DIAL, stored["dial"], strict=True):
        assert (described["position"], described["label"]) == place
        assert described["distribution"] == repr(place.tasks(shots=diversity.SHOTS))
        assert (described["power"], described["spread"]) == pytest.approx(diversity.spread(place), rel=1e-3)
    for kind in ("runs", "tuned"):
        assert all(len(place["error"]) == diversity.SEEDS for role in stored[kind].values() for place in role)


@pytest.mark.parametrize("number", range(len(diversity.DIAL)))
def test_the_untrained_network_is_measured_again(number):
    stored = recall("diversity")["runs"]["scratch"][number]["error"]["0"]
    test = diversity.DIAL[number].tasks(shots=diversity.SHOTS, queries=diversity.TEST_POINTS)
    learner = diversity.at_rate(diversity.trained("scratch", test, 0, 0, CPU), diversity.ALPHA)
    fresh = diversity.curves(learner, test)
    assert fresh["new"][:6] == pytest.approx(stored["new"][:6], rel=1e-3)


def test_a_short_training_is_on_its_way_to_what_is_stored():
    """A tenth of the meta-steps from another seed lies between the stored start and the stored end."""
    stored = recall("diversity")["runs"]
    test = diversity.ALL_WAVES.tasks(shots=diversity.SHOTS, queries=diversity.TEST_POINTS)
    learner = diversity.trained("maml", diversity.ALL_WAVES.tasks(shots=diversity.SHOTS), 77, 500, CPU)
    fresh = diversity.curves(diversity.at_rate(learner, diversity.ALPHA), test)["new"][1]
    best, worst = (max(run["new"][1] for run in stored[role][4]["error"].values()) for role in ("maml", "scratch"))
    assert best < fresh < 0.8 * worst
