"""Meta-RKHS-I: its gradient by another road, and that it knows no lower bound."""

import math

import pytest
from torch.func import functional_call, grad
from torch.nn.functional import mse_loss

from battery import relative, sine_model, sine_tasks
from mamlbook import ALGORITHMS, GradientDescent, MetaLearner, Model, Sinusoids, evaluate, fit, linear, mlp
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient import GradientEnergy
from mamlbook.tasks.quadratic import Quadratics, half_squared_error


@pytest.mark.parametrize("two_samples", [False, True])
def test_the_gradient_is_that_of_the_energy(two_samples):
    model, tasks = sine_model(), sine_tasks()
    theta = {name: t.detach() for name, t in model.net.named_parameters()}

    def energy(theta):
        total = 0.0
        for x, y, xq, yq in zip(*tasks.support, *tasks.query, strict=True):

            def loss(w, x, y):
                return (functional_call(model.net, w, x) - y).square().mean()

            query = grad(loss)(theta, xq, yq)
            other = grad(loss)(theta, x, y) if two_samples else query
            product = sum((a * b).sum() for a, b in zip(query.values(), other.values(), strict=True))
            total = total + (loss(theta, xq, yq) - 0.02 * product) / len(tasks.index)
        return total

    learner = MetaLearner(model, GradientDescent(0.01, 0), GradientEnergy(0.02, two_samples))
    assert relative(learner.meta_gradient(tasks), list(grad(energy)(theta).values())) < 1e-12


def test_steps_of_the_solver_play_no_part():
    model, tasks = sine_model(), sine_tasks()
    gradients = [
        MetaLearner(model, GradientDescent(0.01, s), GradientEnergy(0.02)).meta_gradient(tasks) for s in (0, 3)
    ]
    assert relative(*gradients) == 0


def test_on_a_bowl_the_energy_turns_over():
    """h e^2 / 2 (1 - 2 alpha h): with alpha h above 1/2 the outer loop runs uphill."""
    for h, sign in ((1.0, 1), (3.0, -1)):
        learner = MetaLearner(Model(linear([0.5]), half_squared_error), GradientDescent(0.1, 0), GradientEnergy(0.3))
        tasks = Quadratics([h], [0.0]).all()
        assert math.copysign(1, learner.meta_gradient(tasks)[0].item()) == sign
        batch = MetaBatch.of(learner.model, learner.solver, tasks)
        (energy,) = learner.metagradient.energies(batch)[1].tolist()
        assert energy == pytest.approx(h * 0.25 / 2 * (1 - 0.6 * h))


def test_the_default_is_harmless_on_waves():
    waves = Sinusoids(shots=10)
    ends = []
    for name in ("joint", "meta-rkhs-1"):
        learner = ALGORITHMS[name](Model(mlp(1, 40, 40, 1, seed=0), mse_loss))
        fit(learner, waves, steps=300, seed=0)
        ends.append(evaluate(learner, waves, tasks=100, steps=5)[:, -1].mean().item())
    assert ends[1] < 1.2 * ends[0]


def test_refusals():
    with pytest.raises(ValueError, match="alpha: expected a finite inner rate of at least 0, got -1"):
        GradientEnergy(-1)
    assert "two_samples=True" in repr(GradientEnergy(0.1, two_samples=True))
