"""A meta-batch as a meta-gradient sees it: tasks to solve from theta, and query sets to be judged on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mamlbook.inner.base import Adapted, Solver
from mamlbook.model import Model
from mamlbook.numerics import Params, expand_over_tasks
from mamlbook.tasks.base import Tasks


class MetaBatch(NamedTuple):
    """B tasks, the rule that solves them, and theta, of which every task has a copy of its own, (B, \\*shape).

    The copies are what is differentiated: the gradient of task b's loss is in copy b, and their sum is in the weights.
    """

    model: Model
    solver: Solver
    tasks: Tasks
    theta: Params

    @classmethod
    def of(cls, model: Model, solver: Solver, tasks: Tasks) -> MetaBatch:
        return cls(model, solver, tasks, expand_over_tasks(model.theta, len(tasks.index)))

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
        return torch.autograd.grad(surrogates.sum(), self.theta, retain_graph=True, materialize_grads=True)
