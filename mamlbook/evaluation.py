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
        path = learner.solver.path(learner.model, support, unroll=False, steps=steps)
        with torch.no_grad():
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
    """Mean over tasks (the first axis) and 1.96 standard errors: mean ± 1.96 s / sqrt(n).

    Shapes: ``values`` is (n, ...), both results are (...).

    Raises:
        ValueError: with fewer than two tasks there is no standard error.
    """
    if len(values) < 2:
        raise ValueError(f"values: expected at least 2 tasks along the first axis, got {len(values)}")
    return Interval(values.mean(0), 1.96 * values.std(0) / len(values) ** 0.5)
