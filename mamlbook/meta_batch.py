"""A meta-batch as a meta-gradient sees it: tasks to solve from theta, and query sets to be judged on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import torch
from torch import Tensor

from mamlbook.inner.base import Adapted, Solver
from mamlbook.model import Model
from mamlbook.numerics import Params, expand_over_tasks
from mamlbook.tasks.base import Tasks


class JudgedTasks(Protocol):
    """What a weighting may ask of the tasks whose surrogates it is given."""

    @property
    def index(self) -> Tensor:
        """The number of each task in a finite collection, or -1: (B,)."""
        ...

    def gradients(self, surrogates: Tensor) -> Params:
        """The meta-gradient of each task by itself, from its (B,) surrogates: a tuple of (B, \\*shape)."""
        ...


class MetaBatch(NamedTuple):
    """B tasks, the rule that solves them, and theta, of which every task has a copy of its own, (B, \\*shape).

    The copies are what is differentiated: the gradient of task b's loss is in copy b, and their sum is in the weights.
    """

    model: Model
    solver: Solver
    tasks: Tasks
    theta: Params

    @classmethod
    def of(cls, model: Model, solver: Solver, tasks: Tasks) -> Self:
        return cls(model, solver, tasks, expand_over_tasks(model.theta, tasks.size))

    @property
    def index(self) -> Tensor:  # type: ignore[override] # it hides tuple.index, which nobody asks of a batch
        return self.tasks.numbers

    def solve(self, *, unroll: float, theta: Params | None = None) -> Adapted:
        """The solutions, started at theta or at other weights, (B, \\*shape)."""
        theta = self.theta if theta is None else theta
        return self.solver(self.model, self.tasks.support, unroll=unroll, theta=theta)

    def path(self, *, unroll: float) -> Iterator[Adapted]:
        """Every intermediate solution."""
        return self.solver.path(self.model, self.tasks.support, unroll=unroll, theta=self.theta)

    def query(self, adapted: Adapted) -> Tensor:
        """The query losses of solutions, L_b(phi_b): (B,)."""
        x, y = self.tasks.query
        return self.model.losses(adapted.predict(adapted.phi, x), y)

    def gradients(self, surrogates: Tensor) -> Params:
        """The meta-gradient of each task by itself, from its (B,) surrogates: a tuple of (B, \\*shape)."""
        return task_gradients(surrogates, self.theta)


@dataclass(frozen=True)
class UnequalBatches:
    """Several meta-batches, one for each size of task, that are weighted as one."""

    parts: Sequence[MetaBatch]

    @property
    def index(self) -> Tensor:
        return torch.cat([part.index for part in self.parts])

    def gradients(self, surrogates: Tensor) -> Params:
        copies = [t for part in self.parts for t in part.theta]
        rows = task_gradients(surrogates, tuple(copies))
        count = len(self.parts[0].theta)
        return tuple(torch.cat(rows[number::count]) for number in range(count))


def task_gradients(surrogates: Tensor, theta: Params) -> Params:
    """The gradient of each task's surrogate in its own copy of theta."""
    return torch.autograd.grad(surrogates.sum(), theta, retain_graph=True, materialize_grads=True)
