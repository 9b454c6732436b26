"""What ``fit`` and ``evaluate`` are given, a learner and a source of tasks: anything else is refused in a sentence."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from mamlbook.checks import takes
from mamlbook.devices import on_cpu
from mamlbook.learner import MetaLearner
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.distribution import TaskDistribution, is_fixed
from mamlbook.tasks.preparation import prepared


def require_learner(learner: Any) -> None:
    """Refuse what is no learner.

    Raises:
        TypeError: it is something else, such as the model that a learner is made from.
    """
    if not isinstance(learner, MetaLearner):
        raise TypeError(
            f"learner: expected a MetaLearner, as maml(model, alpha=0.01, steps=5) makes one, got {_named(learner)}"
        )


def require_distribution(distribution: Any, learner: MetaLearner) -> None:
    """Refuse what cannot draw tasks, or draws them for another learner.

    Raises:
        TypeError: it has no method ``draw``, or is a class and not an object of it.
        ValueError: it says by a method ``serves(learner)`` that its tasks are those of another one.
    """
    if isinstance(distribution, type):
        hint = f"make one: {distribution.__name__}(...)"
    elif isinstance(distribution, Tasks):
        hint = "FixedTasks(tasks) draws the same tasks every time"
    elif not callable(getattr(distribution, "draw", None)):
        hint = "write a class with that one method, which returns Tasks"
    elif not takes(distribution.draw, 2):
        hint = f"its draw is called otherwise, draw{inspect.signature(distribution.draw)}"
    else:
        serves = getattr(distribution, "serves", None)
        if callable(serves) and not serves(learner):
            raise ValueError(
                f"distribution: expected tasks of this learner, got {_named(distribution)} of another one; make one of "
                "this learner, and train several learners one by one"
            )
        return
    raise TypeError(f"distribution: expected an object with draw(tasks, generator), got {_named(distribution)}; {hint}")


def drawn(
    distribution: TaskDistribution, tasks: int, generator: torch.Generator, weight: Tensor
) -> Tasks | list[Tasks]:
    """Fresh tasks, or a list with one batch for each size of task, on the device and in the precision of ``weight``.

    Raises:
        TypeError: ``draw`` returned something else than Tasks or a list of Tasks.
        ValueError: it returned another number of tasks than was asked for. ``FixedTasks`` alone may, which says so.
    """
    with on_cpu():
        batch = distribution.draw(tasks, generator)
    parts = batch if isinstance(batch, list) else [batch]
    for part in parts:
        if not isinstance(part, Tasks):
            raise TypeError(
                f"distribution: expected draw to return Tasks(support, query, index), or a list of Tasks with one for "
                f"each size of task, got {_named(part)} from {_named(distribution)}"
            )
    parts = [prepared(part, weight) for part in parts]
    count = sum(part.size for part in parts)
    if count != tasks and not (is_fixed(distribution) and count):
        raise ValueError(
            f"distribution: expected draw({tasks}, generator) to return {tasks} tasks, got {count} from "
            f"{_named(distribution)}; ask for tasks={max(count, 1)}, or give a fixed collection as FixedTasks"
        )
    return parts if isinstance(batch, list) else parts[0]


def _named(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"the function {value.__name__}" if hasattr(value, "__name__") else type(value).__name__
