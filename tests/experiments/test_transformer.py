"""Tasks of words, the command, and what is stored."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments import transformer as experiment
from mamlbook import GradientDescent, MetaLearner, Model, accuracy, evaluate
from mamlbook.pages import load_theta, recall, recall_weights


def test_the_class_says_which_letter_stands_first():
    every = experiment.pairs()
    tasks = experiment.WhichIsFirst(every[0], shots=3, queries=4).draw(5, torch.Generator().manual_seed(0))
    for data, examples in ((tasks.support, 3), (tasks.query, 4)):
        assert data.x.shape == (5, examples, experiment.LENGTH)
        for words, classes, number in zip(data.x.tolist(), data.y.tolist(), tasks.index.tolist(), strict=True):
            one, other = every[0][number].tolist()
            assert [int(word.index(one) < word.index(other)) for word in words] == classes
            assert all(len(set(word)) == experiment.LENGTH for word in words)


def test_no_rule_is_in_two_sets_and_all_are_in_one():
    found = [tuple(pair) for part in experiment.pairs() for pair in part.tolist()]
    assert len(found) == len(set(found)) == experiment.LETTERS * (experiment.LETTERS - 1)


def test_both_classes_are_as_frequent():
    tasks = experiment.WhichIsFirst(experiment.pairs()[0]).draw(500, torch.Generator().manual_seed(1))
    assert tasks.query.y.float().mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.fixture
def small(monkeypatch):
    few = {"VALIDATION_TASKS": 3, "TEST_TASKS": 4, "TEST_STEPS": 2, "TASKS": 2, "TEST_ALPHAS": (0.1, 0.3)}
    for name, value in few.items():
        monkeypatch.setattr(experiment, name, value)
    for name, method in experiment.METHODS.items():
        monkeypatch.setitem(experiment.METHODS, name, method._replace(tried=method.tried[:1]))


def test_the_command_searches_each_method_and_keeps_the_weights(tmp_path, capsys, monkeypatch, small):
    monkeypatch.setattr(experiment, "beyond", lambda search: [])
    experiment.main(["--seeds", "2", "--iterations", "2", "--results", str(tmp_path)])
    assert str(tmp_path / "transformer.json") in capsys.readouterr().out
    runs = recall("transformer", folder=tmp_path)["runs"]
    assert [len(run["search"]) for run in runs.values()] == [1, 1, 1]
    assert [run["meta_steps"] for run in runs.values()] == [2, 2, 8]
    for run in runs.values():
        assert run["accuracy"] == max(tried["accuracy"] for tried in run["search"])
        assert [len(seed["new"]) for seed in run["error"].values()] == [3, 3]
    load_theta(experiment.Transformer(), recall_weights("transformer", folder=tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["transformer.json", "transformer.npz"]


def test_a_search_goes_beyond_the_ends_and_takes_up_what_is_known(monkeypatch):
    # The best inner rate is above what is tried at first, the best outer rate below.
    def judged(pair):
        return {"accuracy": -abs(math.log(pair[0] / 3)) - abs(math.log(pair[1] / 1e-3))}

    trained = []
    monkeypatch.setattr(experiment, "train", lambda name, pairs, *_: trained.extend(pairs) or pairs)
    monkeypatch.setattr(experiment, "judged", judged)
    known = [{"alpha": 0.1, "beta": 3e-3, **judged((0.1, 3e-3))}]
    experiment.search("MAML", 1, known)
    best = max(known, key=lambda one: one["accuracy"])
    assert (best["alpha"], best["beta"]) == (3.0, 1e-3)
    assert (0.1, 3e-3) not in trained
    assert len(set(trained)) == len(trained)
    assert {9.0, 1.0} <= {one["alpha"] for one in known if one["beta"] == 1e-3}
    assert {3e-4, 3e-3} <= {one["beta"] for one in known if one["alpha"] == 3.0}


def test_equal_arithmetic_is_counted_by_hand():
    """A gradient is three forward passes; a step differentiated twice is nine of the support set, half of the query."""
    forward = experiment.operations("joint") / 3
    half = experiment.SHOTS / experiment.QUERIES
    assert experiment.operations("MAML") / forward == pytest.approx(3 + experiment.STEPS * 9 * half, rel=0.01)
    assert experiment.meta_steps("joint", 300) == experiment.meta_steps("MAML", 300) == 300
    assert experiment.meta_steps("joint, equal arithmetic", 300) == 1200


def test_the_stored_start_is_measured_again():
    run = recall("transformer")["runs"]["MAML"]
    net = load_theta(experiment.Transformer(), recall_weights("transformer"))
    learner = MetaLearner(Model(net, cross_entropy), GradientDescent(run["test_alpha"], experiment.STEPS))
    fresh = experiment.WhichIsFirst(experiment.pairs()[2])
    found = evaluate(learner, fresh, tasks=150, steps=5, seed=11, metric=accuracy).mean(0)
    stored = run["error"]["0"]["new"]
    for steps in (0, 2, 5):
        assert found[steps].item() == pytest.approx(stored[steps], abs=0.04)


def test_what_is_stored_is_a_fair_search():
    stored = recall("transformer")
    assert list(stored["runs"]) == list(experiment.METHODS)
    for name, run in stored["runs"].items():
        tried = {(one["alpha"], one["beta"]) for one in run["search"]}
        assert tried >= set(experiment.METHODS[name].tried)
        assert not experiment.beyond(run["search"]), name  # the best rates are inside
        assert len(run["error"]) == experiment.SEEDS
        assert run["meta_steps"] == experiment.meta_steps(name, experiment.ITERATIONS)
    assert len({len(method.tried) for method in experiment.METHODS.values()}) == 1
    counts = [len(run["search"]) for run in stored["runs"].values()]
    assert max(counts) - min(counts) <= 1, "beyond its ends a search may go one setting further than another"
    spent = {name: run["operations"] for name, run in stored["runs"].items()}
    assert spent["joint, equal arithmetic"] == pytest.approx(spent["MAML"], rel=0.01)
    assert stored["training"]["iterations"] == experiment.ITERATIONS
