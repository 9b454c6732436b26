"""The audit names every gradient rightly, and leaves the weights as they were."""

import pytest
import torch
from torch.nn.functional import mse_loss

from mamlbook import Model, Sinusoids, fomaml, joint, maml, mlp, reptile
from mamlbook.analysis.gradient_audit import gradient_check


def tasks(seed=0):
    return Sinusoids(shots=5).draw(4, torch.Generator().manual_seed(seed)).to(torch.float64)


def model():
    return Model(mlp(1, 8, 8, 1, activation=torch.nn.Tanh), mse_loss).double()


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(
    ("build", "verdict"), [(maml, "MAML"), (fomaml, "FOMAML"), (reptile, "neither")], ids=["maml", "fomaml", "reptile"]
)
def test_the_rows_of_the_table_are_named(build, verdict, steps):
    gradient = build(model(), 0.05, steps).meta_gradient(tasks())
    assert gradient_check(gradient, maml(model(), 0.05, steps), tasks()).verdict == verdict


def test_joint_training_is_neither():
    found = gradient_check(joint(model()).meta_gradient(tasks()), maml(model(), 0.05, 2), tasks())
    assert found.verdict == "neither"
    assert str(found).startswith("neither")


def test_a_gradient_in_the_wrong_scale_is_neither():
    gradient = [2 * g for g in maml(model(), 0.05, 2).meta_gradient(tasks())]
    assert gradient_check(gradient, maml(model(), 0.05, 2), tasks()).verdict == "neither"


def test_a_missing_gradient_is_named():
    gradient = [None] * 6
    assert gradient_check(gradient, maml(model(), 0.05, 1), tasks()).verdict == "no gradient"


def test_the_finite_difference_is_the_slope_of_the_objective():
    gradient = maml(model(), 0.05, 2).meta_gradient(tasks())
    found = gradient_check(gradient, maml(model(), 0.05, 2), tasks())
    assert found.gradient == pytest.approx(found.finite_difference, rel=1e-7)
    assert abs(found.fomaml - found.gradient) > 1e-2 * abs(found.gradient)


def test_the_weights_come_back_bit_for_bit():
    learner = maml(model(), 0.05, 1)
    before = [t.detach().clone() for t in learner.model.theta]
    gradient_check(learner.meta_gradient(tasks()), learner, tasks())
    assert all(torch.equal(a, b) for a, b in zip(before, learner.model.theta, strict=True))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="gradient: expected 6 tensors"):
        gradient_check([], maml(model()), tasks())
    single = Model(mlp(1, 4, 1), mse_loss)
    with pytest.raises(ValueError, match="double precision"):
        gradient_check([None] * 4, maml(single), tasks())
