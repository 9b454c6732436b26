"""The comparison of inner loops: its command, how it chooses rates, and what is stored measured again."""

import json

import pytest
import torch

from experiments import inner_loops as experiment
from mamlbook.pages import RESULTS, recall

STORED = [part for part in experiment.PARTS if (RESULTS / f"inner-loops-{part}.json").is_file()]


@pytest.fixture
def small(monkeypatch):
    loops = [experiment.Inner("1", 0.01, 1), experiment.Inner("2", 0.01, 2)]
    monkeypatch.setitem(experiment.PARTS, "steps", loops)
    monkeypatch.setattr(experiment, "TEST_TASKS", 3)


def words(folder):
    return f"--parts steps --seeds 2 --iterations 2 --betas 0.01 0.02 --results {folder}".split()


def test_equal_arithmetic_is_equal_counts_of_gradients():
    for steps in (1, 3, 10):
        found = experiment.budgets("steps", steps, 310)
        assert found["meta-steps"] == 310
        assert found["arithmetic"] * (3 * steps + 1) == pytest.approx(310 * 31, rel=0.01)
    assert experiment.budgets("rules", 3, 310) == {"meta-steps": 310, "arithmetic": 310}


def test_the_command_stores_every_rate_and_the_chosen_ones(small, tmp_path):
    experiment.main(words(tmp_path))
    stored = json.loads((tmp_path / "inner-loops-steps.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["inner-loops-steps.json"]
    assert list(stored["compared"]) == ["1", "2"]
    for name, budgets in stored["compared"].items():
        run = stored["runs"][f"{name}, alpha 0.01"]
        for budget, chosen in budgets.items():
            assert chosen["new"] == run[budget][chosen["beta"]]["test"]
            assert torch.tensor(chosen["new"]).shape == (2, 11)
    # One inner step had more meta-steps where arithmetic is equal; the longest loop had as many.
    one, two = (stored["runs"][f"{name}, alpha 0.01"] for name in ("1", "2"))
    assert one["meta-steps"] != one["arithmetic"]
    assert two["meta-steps"] == two["arithmetic"]


def test_an_interrupted_comparison_goes_on_where_it_stopped(small, tmp_path, monkeypatch):
    train, trained = experiment.train, []

    def interrupted(inner, *rest):
        if trained:
            raise KeyboardInterrupt
        trained.append(inner.name)
        return train(inner, *rest)

    monkeypatch.setattr(experiment, "train", interrupted)
    with pytest.raises(KeyboardInterrupt):
        experiment.main(words(tmp_path))
    monkeypatch.setattr(experiment, "train", lambda inner, *rest: trained.append(inner.name) or train(inner, *rest))
    experiment.main(words(tmp_path))
    assert trained == ["1", "2"]


def test_rates_are_chosen_on_validation_waves_and_a_lost_seed_rules_one_out():
    def ends(*errors):
        return {"validation": [[None] * 10 + [error] for error in errors]}

    found = {"0.01": {"0.1": ends(0.1, None), "0.2": ends(0.4, 0.6)}, "0.02": {"0.1": ends(0.5, 0.7)}}
    assert experiment.choose(found) == ("0.01", "0.2")


def test_a_lost_learner_drops_out_and_the_others_are_as_without_it(small):
    inner, device = experiment.Inner("2", 0.01, 2), torch.device("cpu")
    meta_steps = {"meta-steps": 3, "arithmetic": 5}
    both = experiment.train(inner, meta_steps, (1e-2, 1e18), 1, device)
    alone = experiment.train(inner, meta_steps, (1e-2,), 1, device)
    for budget in meta_steps:
        assert both[budget]["1e+18"]["test"] == [[None] * 11]
        found, expected = (torch.tensor(run[budget]["0.01"]["test"]) for run in (both, alone))
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize("part", STORED)
def test_what_is_stored_belongs_to_the_experiment(part):
    stored = recall(f"inner-loops-{part}")
    assert stored["training"]["seeds"] == experiment.SEEDS
    assert list(stored["compared"]) == list(dict.fromkeys(inner.name for inner in experiment.PARTS[part]))
    assert list(stored["runs"]) == list(stored["training"]["configuration"])
    assert stored["compared"] == experiment.compare(part, stored["runs"])
    for inner in experiment.PARTS[part]:
        key = f"{inner.name}, alpha {inner.alpha:g}"
        assert stored["training"]["configuration"][key] == str(inner.learner(0))


def test_a_stored_number_is_measured_again():
    if "steps" not in STORED:
        pytest.fail("inner-loops-steps is not stored")
    stored = recall("inner-loops-steps")
    inner, beta = experiment.PARTS["steps"][0], 1e-2
    meta_steps = {"meta-steps": stored["training"]["iterations"]}
    fresh = experiment.train(inner, meta_steps, (beta,), 1, torch.device("cpu"))["meta-steps"]["0.01"]["test"][0]
    kept = stored["runs"]["1, alpha 0.01"]["meta-steps"]["0.01"]["test"][0]
    assert fresh == pytest.approx(kept, rel=0.1)
