"""Evaluation after every inner step, and the interval of a mean."""

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

from mamlbook import Data, Model, Sinusoids, Tasks, accuracy, confidence, evaluate, maml, mlp

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


@pytest.mark.parametrize("y", [torch.eye(3), torch.zeros(3, 1), torch.tensor(1)])
def test_accuracy_is_of_one_class_for_each_example(y):
    with pytest.raises(ValueError, match=r"^y: expected one class for each example, \(3,\), got .*y.argmax\(-1\)"):
        accuracy(torch.eye(3), y)


@pytest.mark.parametrize(
    "values", [[1, 2, 4], np.array([1.0, 2, 4]), torch.tensor([1, 2, 4])], ids=["list", "array", "tensor"]
)
def test_confidence_of_numbers_of_any_kind(values):
    # Student's 97.5 % point for two degrees of freedom is 4.302653, and the standard deviation divides by n - 1.
    mean, half = confidence(values)
    assert mean.item() == pytest.approx(7 / 3)
    assert half.item() == pytest.approx(4.302653 * np.std([1, 2, 4], ddof=1) / 3**0.5, rel=1e-4)


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        (torch.tensor(1.0), ValueError, "expected at least 2 along the first axis, got 1"),
        ("ab", TypeError, "expected a tensor or an array .* of numbers, got str"),
        ([torch.ones(2), torch.ones(2)], TypeError, "got list; stack several tensors by torch.stack"),
    ],
)
def test_what_has_no_confidence(values, kind, said):
    with pytest.raises(kind, match=f"^values: .*{said}"):
        confidence(values)


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
    with pytest.raises(ValueError, match="tasks: expected a whole number of tasks of at least 1, got 0"):
        evaluate(learner(), WAVES, tasks=0)


@pytest.mark.parametrize("name", ["tasks", "chunk", "steps", "seed"])
@pytest.mark.parametrize("value", [-1, 2.0, "2", True])
def test_what_is_no_whole_number_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name}: expected a whole number .*of at least [01], got {value!r}"):
        evaluate(learner(), WAVES, **{name: value})


def test_numbers_may_be_those_of_numpy():
    found = evaluate(learner(), WAVES, tasks=np.int64(5), steps=np.int32(3), seed=np.int64(2), chunk=np.uint8(2))
    assert torch.equal(found, evaluate(learner(), WAVES, tasks=5, steps=3, seed=2, chunk=2))


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (lambda y_hat, y: (y_hat - y).square().mean(-1), r"got shape \(5,\) for one task; average over its examples"),
        (lambda y_hat, y: (y_hat - y).square(), r"got shape \(5, 1\) for one task"),
        (lambda y_hat, y: 1.0, "got one that fails when all tasks are measured at once"),
        (lambda y_hat, y: (y_hat - y).abs().max().item(), r"no value can be read \(.item\(\), float, NumPy\)"),
        (lambda y_hat, y: float((y_hat - y).abs().max()), "no value can be read"),
        (lambda y_hat, y: None, "got one that fails"),
        (lambda y_hat, y: y_hat @ y, "Expected size"),
        (lambda y_hat: y_hat.mean(), "takes 1 positional argument but 2 were given"),
    ],
)
def test_a_metric_that_is_not_one_number_per_task_is_refused_by_name(metric, message):
    with pytest.raises(ValueError, match=rf"^metric: expected a function \(y_hat, y\) of one task .*{message}"):
        evaluate(learner(), WAVES, tasks=3, metric=metric)


class Named:
    """Waves whose targets have a name, and no axis for their size."""

    def draw(self, tasks, generator):
        drawn = WAVES.draw(tasks, generator)
        return Tasks(*(Data(data.x, {"wave": data.y[..., 0]}) for data in drawn[:2]))


def of_names(loss):
    model = Model(mlp(1, 8, 1, seed=0), lambda y_hat, y: loss(y_hat[:, 0], y["wave"]))
    return maml(model, alpha=0.01, steps=2)


def test_a_metric_of_targets_with_names():
    found = evaluate(of_names(mse_loss), Named(), tasks=3, metric=lambda y_hat, y: mse_loss(y_hat[:, 0], y["wave"]))
    assert torch.equal(found, evaluate(of_names(mse_loss), Named(), tasks=3))


def test_a_metric_does_not_broadcast():
    with pytest.raises(ValueError, match=r"^y: expected targets that match the predictions, got \(5,\) for \(5, 1\)"):
        evaluate(of_names(mse_loss), Named(), tasks=3, metric=lambda y_hat, y: (y_hat - y["wave"]).abs().mean())


def test_a_metric_has_to_be_a_function():
    with pytest.raises(TypeError, match=r"metric: expected a function .*, got 'accuracy'"):
        evaluate(learner(), WAVES, tasks=3, metric="accuracy")


def test_a_metric_may_count():
    right = lambda y_hat, y: ((y_hat > 0) == (y > 0)).all()  # noqa: E731
    found = evaluate(learner(), WAVES, tasks=9, metric=right)
    assert set(found.unique().tolist()) <= {0.0, 1.0}
    assert confidence(found).mean.shape == (3,)


def test_the_network_keeps_its_mode_whatever_happens():
    one = learner()
    for mode in (True, False):
        one.train(mode)
        evaluate(one, WAVES, tasks=2)
        assert one.training is mode
        with pytest.raises(ValueError, match="metric"):
            evaluate(one, WAVES, tasks=2, metric=lambda y_hat, y: y)
        assert one.training is mode


class Sizes:
    """Waves of three points and of seven, half of each."""

    def draw(self, tasks, generator):
        sizes = [Sinusoids(shots=shots, queries=shots) for shots in (3, 7)]
        return [waves.draw(tasks // 2, generator) for waves in sizes]


def test_tasks_of_several_sizes_are_measured_in_the_order_of_the_draw():
    one = learner(alpha=0.05)
    found = evaluate(one, Sizes(), tasks=8, chunk=4, seed=3)
    generator, rows = torch.Generator().manual_seed(3), []
    for _ in range(2):
        for support, query, _ in Sizes().draw(4, generator):
            path = [one.adapt(support, steps=step).phi for step in range(3)]
            rows.append(torch.stack([one.model.losses(one.model(phi, query.x), query.y) for phi in path], 1))
    torch.testing.assert_close(found, torch.cat(rows).detach())
    assert found.shape == (8, 3)


def test_evaluation_shows_a_bar_when_asked_for(capsys):
    evaluate(learner(), WAVES, tasks=4, progress=True)
    assert "evaluation" in capsys.readouterr().err
    evaluate(learner(), WAVES, tasks=4)
    assert capsys.readouterr().err == ""
