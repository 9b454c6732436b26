"""The ways to compute the same meta-gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.execution.compiled import Compiled
from mamlbook.learner import MetaLearner
from mamlbook.metagradient.chunks import TaskChunks
from mamlbook.numerics import Params
from mamlbook.tasks.base import Tasks

Gradients = Callable[[Tasks], tuple[Params, Tensor]]
"""Tasks to the gradients of all that is learned, and the query losses: ``learner.gradients`` or the like."""


class Execution(NamedTuple):
    """A way to compute meta-gradients: by Python or ``compiled``, and how many ``tasks`` at a time, None for all.

    >>> print(Execution(), "or", Execution(compiled=True, tasks=1))
    eager, all tasks at once or compiled, one task at a time
    """

    compiled: bool = False
    tasks: int | None = None

    def __str__(self) -> str:
        size = "all tasks at once" if self.tasks is None else f"{self.tasks} tasks at a time"
        return f"{'compiled' if self.compiled else 'eager'}, {'one task at a time' if self.tasks == 1 else size}"

    def of(self, learner: MetaLearner, announce: Callable[[str], None] | None = None) -> Gradients:
        """The learner's meta-gradients in this way; compiled, it is a ``Compiled``, which ``announce`` is for.

        Raises:
            ValueError: ``tasks`` is no whole number of at least 1, or this learner needs all tasks at once.
        """
        if self.tasks is not None:
            metagradient = TaskChunks(learner.metagradient, self.tasks)
            learner = MetaLearner(learner.model, learner.solver, metagradient, learner.weighting)
        return Compiled(learner, announce) if self.compiled else learner.gradients


EAGER, COMPILED = Execution(), Execution(compiled=True)


def execution_of(asked: str | Execution) -> Execution | None:
    """What ``fit(execution=...)`` asks for, None for 'auto'.

    Raises:
        TypeError, ValueError: it is neither 'auto', 'eager', 'compiled' nor an ``Execution``.
    """
    named = {"auto": None, "eager": EAGER, "compiled": COMPILED}
    if isinstance(asked, str) and asked in named:
        return named[asked]
    if not isinstance(asked, Execution):
        kind = ValueError if isinstance(asked, str) else TypeError
        raise kind(
            "execution: expected 'auto', 'eager', 'compiled', or Execution(compiled=..., tasks=...) for so many tasks "
            f"at a time, got {asked!r}"
        )
    if asked.tasks is not None:
        whole_number("execution", asked.tasks, 1, "a number of tasks at a time", ", or None for all")
    return asked
