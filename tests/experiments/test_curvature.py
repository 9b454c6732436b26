"""The curvature experiment: its command, its measures against explicit matrices, and what is stored measured again."""

import json

import pytest
import torch
from torch import nn

from experiments import curvature
from mamlbook import Model, Sinusoids, linear, mlp
from mamlbook.pages import recall
from mamlbook.tasks.quadratic import Quadratics, half_squared_error


def test_the_command_records_every_start_and_seed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(curvature, "BATCHES", 2)
    monkeypatch.setattr(curvature, "TEST_TASKS", 20)
    curvature.main(["--seeds", "2", "--iterations", "2", "--results", str(tmp_path)])
    assert str(tmp_path / "curvature.json") in capsys.readouterr().out
    runs = json.loads((tmp_path / "curvature.json").read_text())["runs"]
    assert list(runs) == [f"{activation} {start}" for activation in ("ReLU", "tanh") for start in curvature.STARTS]
    assert all(set(seeds) == {"0", "1"} for seeds in runs.values())
    assert runs["ReLU MAML"]["0"]["new"] != runs["ReLU untrained"]["0"]["new"]


def test_bowls_have_no_network_curvature():
    """On a bowl of curvature h every measure is alpha h, or none of it."""
    bowls = Quadratics([2.0, 2.0], [0.0, 1.0]).all().support
    found = curvature.parts(Model(linear([0.3]), half_squared_error), bowls)
    assert found == pytest.approx({"gauss_newton": 0.02, "network": 0.0, "along_gradient": 0.02}, abs=1e-12)


def test_the_two_gradients_agree_without_curvature():
    """Linear in its weights and judged by a linear loss, a network has no Hessian: FOMAML is MAML."""
    model = Model(mlp(1, 1), lambda y_hat, y: (y_hat * y).sum())
    found = curvature.agreement(model, Sinusoids(), torch.Generator().manual_seed(0))
    assert found == pytest.approx({"cosine": 1.0, "difference": 0.0}, abs=1e-5)


def test_what_is_stored_belongs_to_the_table():
    stored = recall("curvature")
    assert stored["training"]["iterations"] == curvature.ITERATIONS
    assert len(stored["runs"]) == len(curvature.ACTIVATIONS) * len(curvature.STARTS)
    assert all(len(seeds) == curvature.SEEDS for seeds in stored["runs"].values())


@pytest.mark.parametrize(("activation", "kind"), [("ReLU", nn.ReLU), ("tanh", nn.Tanh)])
def test_untrained_networks_measure_the_same_again(activation, kind):
    stored = recall("curvature")["runs"][f"{activation} untrained"]["3"]
    learner = curvature.train(activation, "untrained", seed=3, iterations=0, device=torch.device("cpu"))
    assert isinstance(learner.model.net.activation1, kind)
    found = curvature.measure(learner)
    assert found.pop("new") == pytest.approx(stored["new"], rel=1e-3)
    assert found == pytest.approx({name: stored[name] for name in found}, rel=1e-2)


def test_a_shorter_training_from_another_seed_lies_between_the_start_and_the_stored_end():
    runs = recall("curvature")["runs"]
    learner = curvature.train("ReLU", "FOMAML", seed=77, iterations=1200, device=torch.device("cpu"))
    found = curvature.measure(learner)
    untrained, trained = (
        [seed["gauss_newton"] for seed in runs[f"ReLU {start}"].values()] for start in ("untrained", "FOMAML")
    )
    assert max(untrained) < found["gauss_newton"] < 1.3 * max(trained)
    # Both gradients train, and they point apart.
    assert found["cosine"] < min(seed["cosine"] for seed in runs["ReLU untrained"].values())
