"""Several random copies of every task, solved side by side."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.problem import Problem


def repeated(problem: Problem, copies: int) -> Problem:
    """Every task several times, the copies one whole batch after the other."""
    count = len(problem.tasks.index)
    tasks = problem.tasks.pick(torch.arange(count).repeat(copies))
    theta = tuple(t.repeat(copies, *[1] * (t.ndim - 1)) for t in problem.theta)
    return problem._replace(tasks=tasks, theta=theta)


def spread(values: Tensor, copies: int) -> Tensor:
    """What belongs to the copies, by copy: (copies B, ...) to (copies, B, ...)."""
    return values.unflatten(0, (copies, -1))
