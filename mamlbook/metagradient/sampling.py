"""Several random copies of every task, solved side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.meta_batch import MetaBatch


def repeated(batch: MetaBatch, copies: int) -> MetaBatch:
    """Every task several times, the copies one whole batch after the other."""
    count = batch.tasks.size
    tasks = batch.tasks.pick(torch.arange(count, device=batch.theta[0].device).repeat(copies))
    theta = tuple(t.repeat(copies, *[1] * (t.ndim - 1)) for t in batch.theta)
    return batch._replace(tasks=tasks, theta=theta)


def spread(values: Tensor, copies: int) -> Tensor:
    """What belongs to the copies, by copy: (copies B, ...) to (copies, B, ...)."""
    return values.unflatten(0, (copies, -1))
