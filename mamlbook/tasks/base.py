"""A batch of tasks, and what a distribution over tasks has to offer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Data(NamedTuple):
    """Examples of several tasks: what goes in and what should come out.

    Shapes: ``x`` is (B, K, ...) and ``y`` is (B, K, ...), the task axis first.
    """

    x: Tensor
    y: Tensor

    def pick(self, index: Tensor | Sequence[int] | slice) -> Data:
        """The examples of the tasks with these positions in the batch, in this order; repetition is allowed."""
        return Data(self.x[index], self.y[index])

    def to(self, place: torch.device | torch.dtype | str) -> Data:
        """On another device, or in another precision; labels stay whole numbers."""
        return Data(*(t if isinstance(place, torch.dtype) and not t.is_floating_point() else t.to(place) for t in self))


class Tasks(NamedTuple):
    """B tasks: each has a support set to learn from and a query set to be judged on.

    Shapes: ``support`` and ``query`` hold (B, K, ...) tensors with their own K; ``index`` is (B,), the number
    of each task in a finite collection, or -1 for a task that is drawn once and never met again.
    """

    support: Data
    query: Data
    index: Tensor

    def pick(self, index: Tensor | Sequence[int] | slice) -> Tasks:
        """The tasks with these positions in the batch, in this order; repetition is allowed."""
        return Tasks(self.support.pick(index), self.query.pick(index), self.index[index])

    def to(self, place: torch.device | torch.dtype | str) -> Tasks:
        """On another device, or in another precision."""
        index = self.index if isinstance(place, torch.dtype) else self.index.to(place)
        return Tasks(self.support.to(place), self.query.to(place), index)

    def like(self, tensor: Tensor) -> Tasks:
        """On the device and in the precision of ``tensor``, usually a weight of the model."""
        return self.to(tensor.device).to(tensor.dtype)


class TaskDistribution(Protocol):
    """Where tasks come from: ``draw`` is the whole contract.

    Drawing happens on the CPU from an explicit generator, so that every device sees the same tasks.
    """

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks: ...


class FixedTasks:
    """The same tasks at every draw, however many are asked for: a collection small enough to be memorised."""

    def __init__(self, tasks: Tasks):
        self.tasks = tasks

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        return self.tasks

    def __repr__(self) -> str:
        return f"Fixed({len(self.tasks.index)} tasks)"


class SupportAsQuery:
    """Another distribution's tasks with the support set as the query set: judged on what was just learnt.

    The mistake that the query set exists to prevent, as an object, so that it can be measured.
    """

    def __init__(self, distribution: TaskDistribution):
        self.distribution = distribution

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        drawn = self.distribution.draw(tasks, generator)
        return drawn._replace(query=drawn.support)

    def __repr__(self) -> str:
        return f"SupportOnly({self.distribution!r})"


def never_again(tasks: int) -> Tensor:
    """The ``index`` of tasks that come from an unlimited distribution: (B,) times -1."""
    return torch.full((tasks,), -1)


def known_index(tasks: Tasks, size: int) -> Tensor:
    """The number of each task in a finite collection of that size, (B,).

    Raises:
        RuntimeError: some task has no number, or one that is not in the collection. The device itself checks, so that
            no meta-step has to wait for the answer.
    """
    torch._assert_async(
        ((tasks.index >= 0) & (tasks.index < size)).all(),
        f"tasks: expected numbers from 0 to {size - 1} in tasks.index; what is kept for each task needs a finite "
        "collection of tasks that come back, as WaveCollection draws them",
    )
    return tasks.index


def require_tasks(tasks: Tasks) -> None:
    """Refuse a batch whose tensors do not agree on the number of tasks or of examples.

    Raises:
        ValueError: names the tensor, the shape that was expected and the shape that came.
    """
    count = len(tasks.support.x)
    for name, data in (("support", tasks.support), ("query", tasks.query)):
        if data.x.ndim < 2 or data.y.ndim < 2 or data.x.shape[:2] != data.y.shape[:2]:
            raise ValueError(
                f"{name}: expected x and y to begin with the same (tasks, examples), got x {tuple(data.x.shape)} "
                f"and y {tuple(data.y.shape)}; a single task needs a leading axis of 1, as in x[None]"
            )
    if len(tasks.query.x) != count:
        raise ValueError(
            f"query: expected as many tasks as support has, {count}, got {len(tasks.query.x)}; "
            "draw both sets of a task together"
        )
    if tasks.index.shape != (count,):
        raise ValueError(f"index: expected one number per task, shape ({count},), got {tuple(tasks.index.shape)}")
