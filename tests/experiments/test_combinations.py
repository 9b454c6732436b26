"""The combinations of inner gradients: their command, their gradients against the package's, and what is stored."""

import json

import pytest
import torch
from torch.nn.functional import mse_loss

from experiments import combinations as experiment
from experiments.combinations import Combination, inner_gradients, mini_batches
from mamlbook import Model, Tasks, distance, fomaml, joint, mlp, reptile
from mamlbook.numerics import expand_over_tasks
from mamlbook.pages import recall

CPU = torch.device("cpu")


def small():
    return Model(mlp(1, 6, 1, activation=torch.nn.Tanh), mse_loss).double()


def batches(number, fresh=True):
    drawn = mini_batches(Combination((number - 1,), fresh), [torch.Generator().manual_seed(0)])
    return [batch.to(torch.float64) for batch in drawn]


def mean(gradient):
    return [g.mean(0) for g in gradient]


def test_the_combinations_are_the_algorithms_of_the_package():
    model, (one, two) = small(), batches(2)
    first, second = inner_gradients(model, expand_over_tasks(model.theta, experiment.TASKS), [one, two], alpha=0.1)
    tasks = Tasks(one, two, torch.full((experiment.TASKS,), -1))
    assert distance(mean(first), joint(model).meta_gradient(tasks._replace(query=one))) < 1e-12
    assert distance(mean(second), fomaml(model, 0.1, 1).meta_gradient(tasks)) < 1e-12
    repeated = inner_gradients(model, expand_over_tasks(model.theta, experiment.TASKS), [one, one], alpha=0.1)
    way = [0.1 * (a + b).mean(0) for a, b in zip(*repeated, strict=True)]
    assert distance(way, reptile(model, 0.1, 2).meta_gradient(tasks)) < 1e-12


def test_mini_batches_are_new_points_of_the_same_waves_or_the_same_points():
    assert [b.x.shape for b in batches(3)] == [(experiment.TASKS, experiment.POINTS, 1)] * 3
    one, two = batches(2)
    assert (one.x != two.x).all()
    one, two = batches(2, fresh=False)
    assert torch.equal(one.x, two.x)


def test_the_command_searches_then_trains_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    compete, done = experiment.compete, []
    monkeypatch.setattr(experiment, "VALIDATION", (11, 3))
    monkeypatch.setattr(experiment, "TEST", (12, 4))
    monkeypatch.setattr(experiment, "compete", lambda c, *rest: done.append(c) or compete(c, *rest))
    some = ["g1", "g0+g1, same"]
    for count in (1, 2):
        table = dict(zip(some[:count], (Combination((1,)), Combination((0, 1), False)), strict=False))
        monkeypatch.setattr(experiment, "COMBINATIONS", table)
        experiment.main(["--seeds", "2", "--meta_steps", "2", "--results", str(tmp_path)])
    assert done == [Combination((1,)), Combination((0, 1), False)]
    assert str(tmp_path / "combinations.json") in capsys.readouterr().out
    stored = json.loads((tmp_path / "combinations.json").read_text())["combinations"]
    for found in stored.values():
        assert found["search"][f"{found['beta']:g}"] == min(found["search"].values())
        assert torch.tensor(found["curves"]).shape == (2, 11)


def test_what_is_stored_belongs_to_the_table():
    stored = recall("combinations")
    assert stored["protocol"] == experiment.PROTOCOL
    assert list(stored["combinations"]) == list(experiment.COMBINATIONS)
    for found in stored["combinations"].values():
        assert list(found["search"]) == [f"{beta:g}" for beta in experiment.BETAS]
        assert len(found["curves"]) == experiment.SEEDS


@pytest.mark.parametrize("name", ["g0", "g1"])
def test_a_stored_number_is_measured_again(name):
    stored = recall("combinations")["combinations"][name]
    combination, steps = experiment.COMBINATIONS[name], experiment.META_STEPS
    (model,) = experiment.train(combination, [stored["beta"]], [0], steps, CPU)
    assert experiment.errors(model, experiment.TEST)[10] == pytest.approx(stored["curves"][0][10], rel=0.3)
