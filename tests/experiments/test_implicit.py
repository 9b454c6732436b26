"""Seven ways to differentiate one inner loop: their command, their gradients, and what is stored."""

import pytest
import torch
from torch.nn.functional import mse_loss

from experiments import implicit as experiment
from mamlbook import MetaLearner, Model, distance, mlp
from mamlbook.pages import recall, recall_sweep

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", list(experiment.READINGS))
def test_the_first_step_is_adam_on_the_package_s_meta_gradient(name):
    reading = experiment.READINGS[name]
    model = Model(mlp(1, 40, 40, 1, seed=0), mse_loss)
    tasks = experiment.draw([torch.Generator().manual_seed(0)], CPU)
    gradient = MetaLearner(model, reading.solver(), reading.metagradient).meta_gradient(tasks)
    optimizer = torch.optim.Adam(model.parameters(), lr=experiment.BETA)
    for weight, g in zip(model.parameters(), gradient, strict=True):
        weight.grad = g
    optimizer.step()
    (trained,) = experiment.train(reading, seeds=1, iterations=1, device=CPU)
    # Adam's first step is the sign of the gradient; where that is rounding, either sign is right.
    certain = [g.abs() > 1e-6 for g in gradient]
    pairs = zip(trained.theta, model.theta, certain, strict=True)
    assert max((a - b)[sure].abs().max().item() for a, b, sure in pairs if sure.any()) < 1e-6


def test_seeds_side_by_side_are_seeds_alone():
    reading = experiment.READINGS["first order"]
    together = experiment.train(reading, seeds=2, iterations=3, device=CPU)
    alone = experiment.train(reading, seeds=1, iterations=3, device=CPU)
    assert distance(together[0].theta, alone[0].theta) < 1e-5
    assert distance(together[1].theta, alone[0].theta) > 1e-2


def test_the_command_records_every_reading_and_seed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(experiment, "TEST_TASKS", 10)
    monkeypatch.setattr(experiment, "CURVATURE_TASKS", 2)
    experiment.main(["--seeds", "2", "--iterations", "2", "--results", str(tmp_path)])
    assert str(tmp_path / "sweep-implicit.json") in capsys.readouterr().out
    stored = recall_sweep("implicit", folder=tmp_path)
    assert list(stored) == list(experiment.READINGS)
    assert all(curves.shape == (2, experiment.TEST_STEPS + 1) for curves in stored.values())


def test_what_is_stored_belongs_to_the_table():
    training = recall("sweep-implicit")["training"]
    assert [training[key] for key in ("iterations", "steps", "lam", "products")] == [
        experiment.ITERATIONS,
        experiment.STEPS,
        experiment.LAM,
        experiment.PRODUCTS,
    ]
    stored = recall_sweep("implicit")
    assert list(stored) == list(experiment.READINGS)
    assert all(len(curves) == experiment.SEEDS for curves in stored.values())


def test_a_stored_training_is_measured_again():
    (model,) = experiment.train(experiment.READINGS["first order"], 1, experiment.ITERATIONS, CPU)
    found = experiment.errors(model, experiment.READINGS["first order"].solver())[[0, 4, 16]]
    torch.testing.assert_close(found, recall_sweep("implicit")["first order"][0, [0, 4, 16]], rtol=0.25, atol=0)
