"""What a distribution over tasks has to offer, and two that any can be turned into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch

from mamlbook.checks import kind_of, whole_number
from mamlbook.tasks.base import Tasks, list_of_batches
from mamlbook.tasks.preparation import as_data


class TaskDistribution(Protocol):
    """Where tasks come from: ``draw`` is the whole contract.

    Drawing happens on the CPU from an explicit generator, so that every device sees the same tasks. One that is changed
    by drawing offers ``state_dict`` and ``load_state_dict`` as PyTorch's objects do, so that a training can be resumed.
    """

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks: ...


@runtime_checkable
class Stateful(Protocol):
    """Can be put back to where it was."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...


def stateful_parts(distribution: Any) -> Iterator[Stateful]:
    """What drawing changes: the distribution itself, or those that it is made of."""
    if isinstance(distribution, Stateful):
        yield distribution
        return
    for value in getattr(distribution, "__dict__", {}).values():
        for part in value if isinstance(value, tuple | list) else (value,):
            if callable(getattr(part, "draw", None)):
                yield from stateful_parts(part)


class FixedTasks:
    """The same tasks at every draw, however many are asked for: a collection small enough to be memorised.

    Tasks of unequal size are a list of ``Tasks``, one for each size.

    Raises:
        TypeError: they are no tasks.
    """

    def __init__(self, tasks: Tasks | Sequence[Tasks]):
        self.tasks = tasks if isinstance(tasks, Tasks) else list(list_of_batches(tasks))

    def draw(self, tasks: int, generator: torch.Generator) -> Any:
        return self.tasks

    def __repr__(self) -> str:
        parts = [self.tasks] if isinstance(self.tasks, Tasks) else self.tasks
        return f"FixedTasks({sum(as_data(part.support).tasks for part in parts)} tasks)"


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
        return f"SupportAsQuery({self.distribution!r})"


def is_fixed(distribution: Any) -> bool:
    """Whether every draw has the same tasks, however many are asked for."""
    if isinstance(distribution, SupportAsQuery):
        return is_fixed(distribution.distribution)
    return isinstance(distribution, FixedTasks)


def require_draw(tasks: int, generator: torch.Generator) -> None:
    """Refuse what no tasks can be drawn with.

    Raises:
        ValueError: ``tasks`` is no whole number of at least 1.
        TypeError: ``generator`` is no generator, but a seed for instance.
    """
    whole_number("tasks", tasks)
    if not isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator: expected a torch.Generator, got {kind_of(generator)}; write torch.Generator().manual_seed(0)"
        )
