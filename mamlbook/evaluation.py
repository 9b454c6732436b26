"""How good the learned start is: a metric of fresh tasks after every inner step, and how sure its mean is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from mamlbook.arguments import drawn, require_distribution, require_learner
from mamlbook.checks import kind_of, seed_number, whole_number
from mamlbook.learner import MetaLearner
from mamlbook.network_errors import FAILURES, naming_missing_derivatives
from mamlbook.progress import progress_bar
from mamlbook.target_checks import Mismatch, refusing_broadcasts
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.distribution import TaskDistribution, is_fixed
from mamlbook.trees import Tree, first_leaf

Metric = Callable[[Any, Any], Tensor]
"""One task's predictions and targets to one number."""


def evaluate(
    learner: MetaLearner,
    distribution: TaskDistribution,
    *,
    tasks: int = 600,
    steps: int | None = None,
    seed: int = 1,
    metric: Metric | None = None,
    chunk: int = 100,
    progress: bool | None = None,
) -> Tensor:
    """The query metric of fresh tasks after 0, 1, ..., S inner steps: (tasks, S + 1).

    ``metric(y_hat, y)`` sees one task and returns one number; the default is the model's loss. ``steps`` may exceed the
    number used in training. ``confidence(result)`` turns it into means with 95 % intervals. ``chunk`` tasks are
    adapted at a time and are part of what the seed means. ``FixedTasks`` are measured once each, whatever ``tasks``.
    ``progress=None`` shows a bar in a terminal, and in a notebook that a person runs.

    >>> from torch.nn.functional import mse_loss
    >>> from mamlbook import Model, Sinusoids, evaluate, maml, mlp
    >>> learner = maml(Model(mlp(1, 8, 1, seed=0), mse_loss), alpha=0.01, steps=1)
    >>> evaluate(learner, Sinusoids(), tasks=4, steps=3).shape
    torch.Size([4, 4])

    Raises:
        TypeError: learner, distribution or metric is of another kind, or ``draw`` returned something else than Tasks.
        ValueError: a number out of range, fewer tasks than were asked for, or a metric that is not one number per task.
    """
    tasks, steps, seed, chunk = _numbers(learner, distribution, tasks, steps, seed, chunk)
    score = learner.model.losses if metric is None else _scorer(metric)
    generator, rows = torch.Generator().manual_seed(seed), []
    if is_fixed(distribution):
        chunk = tasks  # the same tasks in every chunk would count as so many fresh ones
    with progress_bar(tasks, progress, desc="evaluation", leave=False, unit="task") as bar:
        for first in range(0, tasks, chunk):
            count = min(chunk, tasks - first)
            batch = drawn(distribution, count, generator, next(learner.model.parameters()))
            rows += [_scores(learner, part, steps, score) for part in (batch if isinstance(batch, list) else [batch])]
            bar.update(count)
    return torch.cat(rows).cpu()


def _numbers(learner, distribution, tasks, steps, seed, chunk) -> tuple[int, int | None, int, int]:
    """The whole numbers as Python's, after what they are numbers of."""
    require_learner(learner)
    require_distribution(distribution, learner)
    return (
        whole_number("tasks", tasks, expected="a whole number of tasks"),
        None if steps is None else whole_number("steps", steps, 0, "a whole number of inner steps"),
        seed_number("seed", seed),
        whole_number("chunk", chunk, expected="a whole number of tasks"),
    )


def _scores(learner: MetaLearner, tasks: Tasks, steps: int | None, score: Metric) -> Tensor:
    """The score of every task after every inner step, (B, S + 1)."""
    support, query, _ = tasks
    path = learner.solver.path(learner.model, support, unroll=0, steps=steps)
    with torch.no_grad(), learner.testing(), naming_missing_derivatives():
        return torch.stack([score(adapted.predict(adapted.phi, query.x), query.y) for adapted in path], 1)


def _scorer(metric: Metric) -> Metric:
    """The metric of all tasks at once, (B,), which says so where it is not one number per task.

    Raises:
        TypeError: it cannot be called.
    """
    wanted = "metric: expected a function (y_hat, y) of one task that returns one number as a tensor, as accuracy does"
    if not callable(metric):
        raise TypeError(f"{wanted}, got {metric!r}")

    def measured(y_hat: Tree, y: Tree) -> Any:
        with refusing_broadcasts(y_hat, y):
            return metric(y_hat, y)

    def score(y_hat: Tree, y: Tree) -> Tensor:
        count = len(first_leaf(y_hat))
        try:
            values = vmap(measured)(y_hat, y)
        except Mismatch:
            raise
        except (*FAILURES, ValueError) as error:
            raise ValueError(
                f"{wanted}, got one that fails when all tasks are measured at once, where no value can be read "
                f"(.item(), float, NumPy): {str(error).splitlines()[0]}"
            ) from error
        if not isinstance(values, Tensor) or values.shape != (count,):
            found = f"shape {tuple(values.shape[1:])}" if isinstance(values, Tensor) else type(values).__name__
            raise ValueError(f"{wanted}, got {found} for one task; average over its examples, as .mean() does")
        return values if values.is_floating_point() else values.to(torch.get_default_dtype())

    return score


def accuracy(y_hat: Tensor, y: Tensor) -> Tensor:
    """The share of examples whose highest score is the right class: (K, N) and (K,) to a scalar.

    Raises:
        ValueError: y has another shape than the examples, as one-hot targets have.
    """
    if y.shape != y_hat.shape[:-1]:
        raise Mismatch(
            f"y: expected one class for each example, {tuple(y_hat.shape[:-1])}, got {tuple(y.shape)}; of scores or "
            "one-hot targets y.argmax(-1) is the class"
        )
    return (y_hat.argmax(-1) == y).to(y_hat.dtype).mean()


class Interval(NamedTuple):
    """A mean over tasks with the half-width of its 95 % confidence interval, both (...)."""

    mean: Tensor
    half: Tensor

    def __str__(self) -> str:
        pairs = zip(self.mean.reshape(-1).tolist(), self.half.reshape(-1).tolist(), strict=True)
        return "   ".join(f"{mean:.3f} ± {half:.3f}" for mean, half in pairs)


def confidence(values: Tensor | np.ndarray | Sequence[float]) -> Interval:
    """The mean over tasks, or over seeds (the first axis), with its 95 % interval: mean ± t s / sqrt(n).

    t is the 97.5 % point of Student's distribution with n - 1 degrees of freedom: 2.78 for five seeds, 1.96 for many
    tasks.

    Shapes: ``values`` is (n, ...), a tensor, an array or a list; both results are (...).

    Raises:
        TypeError: ``values`` are no numbers.
        ValueError: with fewer than two values there is no standard error.
    """
    values = _numbers_in(values)
    if not values.ndim or len(values) < 2:
        raise ValueError(f"values: expected at least 2 along the first axis, got {len(values) if values.ndim else 1}")
    return Interval(values.mean(0), _student(len(values) - 1) * values.std(0) / len(values) ** 0.5)


def _numbers_in(values: Any) -> Tensor:
    """Numbers in floating point, as a tensor."""
    try:
        found = torch.as_tensor(values)
        return found if found.is_floating_point() else found.to(torch.get_default_dtype())
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"values: expected a tensor or an array (n, ...) of numbers, got {kind_of(values)}; stack several tensors "
            "by torch.stack"
        ) from None


# The 97.5 % points for 1 to 9 degrees of freedom.
_FEW = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)


def _student(freedom: int) -> float:
    if freedom <= len(_FEW):
        return _FEW[freedom - 1]
    z = 1.959964
    # The expansion in 1 / freedom of Cornish and Fisher; from ten degrees on it is right to three digits.
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
