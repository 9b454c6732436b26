"""How good the learned start is: a metric of fresh tasks after every inner step, and how sure its mean is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap
from tqdm import tqdm

from mamlbook.learner import MetaLearner
from mamlbook.tasks.base import TaskDistribution


def evaluate(
    learner: MetaLearner,
    distribution: TaskDistribution,
    *,
    tasks: int = 600,
    steps: int | None = None,
    seed: int = 1,
    metric: Callable[[Tensor, Tensor], Tensor] | None = None,
    chunk: int = 100,
    progress: bool | None = None,
) -> Tensor:
    """The query metric of fresh tasks after 0, 1, ..., S inner steps: (tasks, S + 1).

    ``metric(y_hat, y)`` sees one task and returns one number; the default is the model's loss. ``steps`` may exceed the
    number used in training. ``confidence(result)`` turns it into means with 95 % intervals. ``chunk`` tasks are
    adapted at a time and are part of what the seed means. ``progress=None`` shows a bar in a terminal only.

    Raises:
        ValueError: a number out of range.
    """
    if min(tasks, chunk) < 1:
        raise ValueError(f"tasks, chunk: expected at least 1 each, got {tasks}, {chunk}")
    generator = torch.Generator().manual_seed(seed)
    score = learner.model.losses if metric is None else vmap(metric)
    rows = []
    disable = None if progress is None else not progress
    for first in tqdm(range(0, tasks, chunk), "evaluation", disable=disable, leave=False):
        support, query, _ = distribution.draw(min(chunk, tasks - first), generator).like(learner.model.theta[0])
        path = learner.solver.path(learner.model, support, unroll=0, steps=steps)
        with torch.no_grad(), learner.testing():
            rows.append(torch.stack([score(adapted.predict(adapted.phi, query.x), query.y) for adapted in path], 1))
    return torch.cat(rows).cpu()


def accuracy(y_hat: Tensor, y: Tensor) -> Tensor:
    """The share of examples whose highest score is the right class: (K, N) and (K,) to a scalar."""
    return (y_hat.argmax(-1) == y).to(y_hat.dtype).mean()


class Interval(NamedTuple):
    """A mean over tasks with the half-width of its 95 % confidence interval, both (...)."""

    mean: Tensor
    half: Tensor

    def __str__(self) -> str:
        pairs = zip(self.mean.reshape(-1).tolist(), self.half.reshape(-1).tolist(), strict=True)
        return "   ".join(f"{mean:.3f} ± {half:.3f}" for mean, half in pairs)


def confidence(values: Tensor) -> Interval:
    """The mean over tasks, or over seeds (the first axis), with its 95 % interval: mean ± t s / sqrt(n).

    t is the 97.5 % point of Student's distribution with n - 1 degrees of freedom: 2.78 for five seeds, 1.96 for many
    tasks.

    Shapes: ``values`` is (n, ...), both results are (...).

    Raises:
        ValueError: with fewer than two values there is no standard error.
    """
    if len(values) < 2:
        raise ValueError(f"values: expected at least 2 along the first axis, got {len(values)}")
    return Interval(values.mean(0), _student(len(values) - 1) * values.std(0) / len(values) ** 0.5)


# The 97.5 % points for 1 to 9 degrees of freedom.
_FEW = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)


def _student(freedom: int) -> float:
    if freedom <= len(_FEW):
        return _FEW[freedom - 1]
    z = 1.959964
    # The expansion in 1 / freedom of Cornish and Fisher; from ten degrees on it is right to three digits.
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
