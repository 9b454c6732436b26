"""Evaluation after every inner step, and the interval of a mean."""

import pytest
import torch
from torch.nn.functional import mse_loss

from mamlbook import Model, Sinusoids, accuracy, confidence, evaluate, maml, mlp

WAVES = Sinusoids(shots=5, queries=5)


def learner(alpha=0.01):
    return maml(Model(mlp(1, 8, 1), mse_loss), alpha, 2)


def test_evaluation_after_every_step():
    trained = learner(alpha=0.05)
    losses = evaluate(trained, WAVES, tasks=30, steps=4, seed=3)
    assert losses.shape == (30, 5)
    support, query, _ = WAVES.draw(30, torch.Generator().manual_seed(3))
    for step in (0, 2, 4):
        adapted = trained.adapt(support, steps=step)
        expected = trained.model.losses(trained.model(adapted.phi, query.x), query.y)
        torch.testing.assert_close(losses[:, step], expected.detach())
    assert evaluate(trained, WAVES, tasks=30, seed=3).shape == (30, 3)


def test_evaluation_with_a_metric():
    def worst(y_hat, y):
        return (y_hat - y).abs().max()

    assert (evaluate(learner(), WAVES, tasks=5, metric=worst) >= 0).all()


def test_accuracy():
    scores = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])
    assert accuracy(scores, torch.tensor([1, 1, 1])).item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("size", [2, 3, 5, 10, 11, 20, 200])
def test_confidence_covers_the_mean_in_19_of_20_samples(size):
    generator = torch.Generator().manual_seed(0)
    mean, half = confidence(torch.randn(size, 20_000, generator=generator, dtype=torch.float64) + 3)
    # Four standard errors of a share of 0.95 in 20,000 samples.
    assert ((mean - 3).abs() < half).double().mean().item() == pytest.approx(0.95, abs=0.0062)


def test_confidence_is_printed_with_its_interval():
    assert str(confidence(torch.tensor([[1.0], [3.0]]))) == "2.000 ± 12.706"
    with pytest.raises(ValueError, match="at least 2 along the first axis"):
        confidence(torch.zeros(1, 3))


def test_evaluation_needs_tasks():
    with pytest.raises(ValueError, match="expected at least 1"):
        evaluate(learner(), WAVES, tasks=0)
