"""Tasks of words, the command, and what is stored."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from experiments import transformer as experiment
from mamlbook import GradientDescent, MetaLearner, Model, accuracy, evaluate
from mamlbook.analysis.costs import cost
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


def test_the_command_searches_each_method_and_keeps_the_weights(tmp_path, capsys, monkeypatch):
    small = {"VALIDATION_TASKS": 3, "TEST_TASKS": 4, "TEST_STEPS": 2, "TASKS": 2, "BETAS": (1e-3,)}
    for name, value in {**small, "TEST_ALPHAS": (0.1, 0.3)}.items():
        monkeypatch.setattr(experiment, name, value)
    monkeypatch.setitem(experiment.METHODS, "MAML", (experiment.METHODS["MAML"][0], (0.1, 0.3)))
    experiment.main(["--seeds", "2", "--iterations", "2", "--results", str(tmp_path)])
    assert str(tmp_path / "transformer.json") in capsys.readouterr().out
    runs = recall("transformer", folder=tmp_path)["runs"]
    assert [len(run["search"]) for run in runs.values()] == [2, 1]
    for run in runs.values():
        assert run["accuracy"] == max(tried["accuracy"] for tried in run["search"])
        assert [len(seed["new"]) for seed in run["error"].values()] == [3, 3]
    load_theta(experiment.Transformer(), recall_weights("transformer", folder=tmp_path))


def test_a_meta_step_of_maml_takes_four_times_the_arithmetic_of_one_of_joint_training():
    tasks = experiment.WhichIsFirst(experiment.pairs()[0]).draw(experiment.TASKS, torch.Generator().manual_seed(0))
    spent = {
        name: cost(method(Model(experiment.Transformer(), cross_entropy), 0.1), tasks).operations
        for name, (method, _) in experiment.METHODS.items()
    }
    # A gradient is three passes forward, a step that is differentiated twice nine, on half as many words.
    expected = (3 + experiment.STEPS * 9 * experiment.SHOTS / experiment.QUERIES) / 3
    assert expected == 4
    assert spent["MAML"] / spent["joint"] == pytest.approx(expected, rel=1e-3)


def test_the_stored_start_is_measured_again():
    run = recall("transformer")["runs"]["MAML"]
    net = load_theta(experiment.Transformer(), recall_weights("transformer"))
    learner = MetaLearner(Model(net, cross_entropy), GradientDescent(run["test_alpha"], experiment.STEPS))
    fresh = experiment.WhichIsFirst(experiment.pairs()[2])
    found = evaluate(learner, fresh, tasks=150, steps=5, seed=11, metric=accuracy).mean(0)
    stored = run["error"]["0"]["new"]
    for steps in (0, 2, 5):
        assert found[steps].item() == pytest.approx(stored[steps], abs=0.04)


def test_what_is_stored_has_settings_of_its_own_for_each_method():
    stored = recall("transformer")
    for name, run in stored["runs"].items():
        tried = {(one["alpha"], one["beta"]) for one in run["search"]}
        assert tried == {(a, b) for a in experiment.METHODS[name][1] for b in experiment.BETAS}
        assert len(run["error"]) == experiment.SEEDS
    assert stored["training"]["iterations"] == experiment.ITERATIONS
