"""A meta-batch in parts: the memory of a few tasks for the meta-gradient of many."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.inner.base import Solver
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.regions import run_region
from mamlbook.numerics import Params, as_leaves, expand_over_tasks, with_gradient
from mamlbook.tasks.base import Tasks


class TaskChunks(MetaGradient):
    """Another meta-gradient, computed for a few tasks at a time: each chunk's graph is gone before the next is made.

    The gradients grad s_b of one chunk after another are kept, B times as many numbers as there are weights, and the
    surrogates made of them have the same values and gradients as ``metagradient`` would have given all at once.

    Shapes: the result is (B,).

    Raises:
        ValueError: ``tasks`` is no whole number of at least 1, or ``metagradient`` remembers tasks from one outer step
            to the next; when a learner is made with more than one task at a time, a solver or a meta-gradient with
            learned weights of its own, whose gradient is known for the chunk only and not for each task.
    """

    by_region = True

    def __init__(self, metagradient: MetaGradient, tasks: int = 1):
        super().__init__()
        if metagradient.remembers:
            raise ValueError(
                f"metagradient: expected one that computes each task from scratch, got {metagradient}, which remembers "
                "whole meta-batches"
            )
        self.metagradient, self.tasks = (
            metagradient,
            whole_number("tasks", tasks, 1, "a whole number of tasks at a time"),
        )

    def forward(self, batch: MetaBatch) -> Tensor:
        learned = self._learned(batch.solver)
        if learned and self.tasks > 1:
            raise ValueError(
                "metagradient: expected no learned weights beside theta for chunks of several tasks, got "
                f"{len(learned)} in the solver or the meta-gradient; use Chunks(..., tasks=1)"
            )

        def chunk(theta: Params, tasks: Tasks) -> tuple[Tensor, Params]:
            theta = as_leaves(theta)
            with torch.enable_grad():
                surrogates = self.metagradient(batch._replace(tasks=tasks, theta=theta))
                changing = (*theta, *self._learned(batch.solver))
                gradients = torch.autograd.grad(surrogates.sum(), changing, materialize_grads=True)
            return surrogates.detach(), (*gradients[: len(theta)], *(g[None] for g in gradients[len(theta) :]))

        count = batch.tasks.size
        parts = [slice(first, first + self.tasks) for first in range(0, count, self.tasks)]
        results = [
            run_region("chunk", chunk, tuple(t[part] for t in batch.theta), batch.tasks.pick(part)) for part in parts
        ]
        losses = torch.cat([losses for losses, _ in results])
        gradients = tuple(torch.cat(of_chunks) for of_chunks in zip(*(g for _, g in results), strict=True))
        return with_gradient(losses, (*batch.theta, *expand_over_tasks(learned, count)), gradients)

    def _learned(self, solver: Solver) -> Params:
        return tuple(p for part in (solver, self.metagradient) for p in part.parameters() if p.requires_grad)

    def extra_repr(self) -> str:
        return f"tasks={self.tasks}"
