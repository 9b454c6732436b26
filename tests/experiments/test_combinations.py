"""The combinations of inner gradients: their command, their gradients against the package's, and what is stored."""

import pytest
import torch
from torch.nn.functional import mse_loss

from experiments import combinations as experiment
from experiments.combinations import Combination, inner_gradients, mini_batches
from mamlbook import Model, Tasks, distance, fomaml, joint, mlp, reptile
from mamlbook.numerics import expand_over_tasks
from mamlbook.pages import recall, recall_sweep

CPU = torch.device("cpu")


def small():
    return Model(mlp(1, 6, 1, activation=torch.nn.Tanh), mse_loss).double()


def batches(number, fresh=True):
    drawn = mini_batches(Combination((number,), fresh), [torch.Generator().manual_seed(0)])
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


def test_seeds_side_by_side_are_seeds_alone():
    together = experiment.train(Combination((1, 2)), seeds=2, iterations=3, device=CPU)
    alone = experiment.train(Combination((1, 2)), seeds=1, iterations=3, device=CPU)
    assert distance(together[0].theta, alone[0].theta) < 1e-6
    assert distance(together[1].theta, alone[0].theta) > 1e-2


def test_the_command_records_every_combination_and_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "TEST_TASKS", 10)
    experiment.main(["--seeds", "2", "--iterations", "2", "--results", str(tmp_path)])
    assert str(tmp_path / "sweep-combinations.json") in capsys.readouterr().out
    stored = recall_sweep("combinations", folder=tmp_path)
    assert list(stored) == list(experiment.COMBINATIONS)
    assert all(curves.shape == (2, 11) and curves.isfinite().all() for curves in stored.values())


def test_what_is_stored_belongs_to_the_table():
    assert recall("sweep-combinations")["training"]["iterations"] == experiment.ITERATIONS
    stored = recall_sweep("combinations")
    assert list(stored) == list(experiment.COMBINATIONS)
    assert all(len(curves) == experiment.SEEDS for curves in stored.values())


@pytest.mark.parametrize("name", ["g1", "g2"])
def test_half_a_training_already_ranks_them(name):
    (model,) = experiment.train(experiment.COMBINATIONS[name], seeds=1, iterations=1000, device=CPU)
    found, stored = experiment.errors(model)[10], recall_sweep("combinations")[name][:, 10]
    assert stored.min() / 1.5 < found < 2.5 * stored.max()
