"""The cheapest way to adapt: which layers a learner can spare at which steps, and what that really saves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import product
from typing import NamedTuple

import torch

from mamlbook.analysis.costs import OperationCounter
from mamlbook.checks import whole_number
from mamlbook.devices import on_cpu
from mamlbook.inner import GradientDescent, LambdaPattern, layers
from mamlbook.learner import MetaLearner
from mamlbook.model import Model
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.distribution import TaskDistribution
from mamlbook.tasks.preparation import prepared

Rows = tuple[str, ...]

MOST = 1_000_000
"""So many patterns can be listed; nobody could try more."""


class MeasuredPattern(NamedTuple):
    """A pattern, the mean query loss after adapting by it, and the operations that adapting took."""

    rows: Rows
    loss: float
    operations: int


class SearchResult(NamedTuple):
    """What a search gave: everything measured, the cheapest first; the full pattern; and the best that is tolerated."""

    table: list[MeasuredPattern]
    full: MeasuredPattern
    best: MeasuredPattern


def candidates(model: Model, steps: int, rows: Sequence[str] | None = None) -> list[Rows]:
    """Every pattern of that many steps, each step one of ``rows``; without them one of all masks but the empty one.

    With L layers these are (2^L - 1)^steps: 343 for three layers and steps.

    Raises:
        ValueError: ``steps`` is no whole number of at least 1, or there are more than a million patterns.
    """
    whole_number("steps", steps)
    choices = 2 ** len(layers(model)) - 1 if rows is None else len(rows)
    if choices**steps > MOST:
        raise ValueError(f"rows: expected at most {MOST:,} patterns, got {choices}^{steps}; give the rows worth trying")
    if rows is None:
        rows = ["".join(row) for row in product("01", repeat=len(layers(model)))][1:]
    return list(product(rows, repeat=steps))


def restricted(learner: MetaLearner, *rows: str) -> MetaLearner:
    """The same learner, with the same weights, adapting by a pattern.

    Raises:
        TypeError: its solver does not take gradient steps.
        ValueError: ``rows`` is no pattern of the network.
    """
    old = learner.solver
    if not isinstance(old, GradientDescent):
        raise TypeError(f"learner: expected one that takes gradient steps, got the solver {type(old).__name__}")
    solver = old.with_transforms(LambdaPattern(learner.model, *rows))
    return MetaLearner(learner.model, solver, learner.metagradient, learner.weighting)


def search(
    learner: MetaLearner,
    distribution: TaskDistribution,
    patterns: Iterable[Rows],
    *,
    tolerance: float = 0.1,
    tasks: int = 200,
    seed: int = 1,
) -> SearchResult:
    """The cheapest pattern whose loss stays within a tolerance of adapting everything. A reconstruction.

    Lambda* = argmin operations(Lambda)  subject to  loss(Lambda) <= (1 + tolerance) loss(all ones),

    on the same tasks for all patterns, with the learner's own number of steps. The loss of the winner was chosen and is
    flattered by that; measure it again on tasks of another seed.

    Raises:
        ValueError: ``tolerance`` is negative, ``tasks`` no whole number of at least 1, or rows are no pattern.

    References: [Khabarlak, 2022](https://arxiv.org/abs/2206.05930), of which the abstract was available.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance: expected a share of the loss of at least 0, got {tolerance}")
    whole_number("tasks", tasks)
    generator = torch.Generator().manual_seed(seed)
    with on_cpu():
        drawn = distribution.draw(tasks, generator)
    validation = prepared(drawn, learner.model.theta[0])
    full = measure(learner, ("1" * len(layers(learner.model)),), validation)
    table = sorted((measure(learner, rows, validation) for rows in patterns), key=lambda m: (m.operations, m.loss))
    tolerated = [found for found in table if found.loss <= (1 + tolerance) * full.loss]
    return SearchResult(table, full, tolerated[0] if tolerated else full)


def measure(learner: MetaLearner, rows: Rows, tasks: Tasks) -> MeasuredPattern:
    """Adapt by a pattern: the mean query loss of these tasks, and the operations of the adaptation of them all."""
    adapting, tasks = restricted(learner, *rows), prepared(tasks, learner.model.theta[0])
    with OperationCounter() as counted:
        adapted = adapting.adapt(tasks.support)
    with adapting.testing(), torch.no_grad():
        losses = learner.model.losses(adapted.predict(adapted.phi, tasks.query.x), tasks.query.y)
    return MeasuredPattern(tuple(rows), losses.mean().item(), counted.total)
