"""The same meta-step without Python: traced once, and compiled for the processor at hand."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from mamlbook.execution.tracing import Tracer
from mamlbook.learner import MetaLearner
from mamlbook.metagradient.regions import region_runner
from mamlbook.numerics import Params
from mamlbook.tasks.base import Tasks


class Compiled:
    """A learner's meta-gradient as compiled code: the same numbers, and none of Python's time.

    Calling it on tasks gives the gradients of all that is ``learner.learned``, a tuple of (\\*shape), and the query
    losses, (B,). The first call with tasks of new shapes traces and compiles, which takes from seconds to minutes;
    ``seconds`` counts them, and ``announce`` is told before it begins. PyTorch keeps compiled code on disk, so that
    the same step of another process is traced again, in seconds, and not compiled.

    What is compiled is the whole meta-step, or, where the meta-gradient works in pieces (``Chunks``, ``Checkpointed``),
    each piece, which takes less memory and less time to compile.

    The weights may change between calls; anything else about the learner that changes needs a new ``Compiled``.

    Raises:
        NotTraceable: when called, on a meta-step that reads a tensor's value back into Python.
        RuntimeError: when called, without a C++ compiler.
    """

    def __init__(self, learner: MetaLearner, announce: Callable[[str], None] | None = None):
        self.learner = learner
        self._traced = Tracer(self.learner, announce)
        self._in_pieces = self.learner.metagradient.by_region

    @property
    def seconds(self) -> float:
        """The time spent on tracing and compiling so far."""
        return self._traced.seconds

    def __call__(self, tasks: Tasks) -> tuple[Params, Tensor]:
        if not self._in_pieces:
            return self._traced.run("meta-step", self.learner.gradients, tasks)
        with region_runner(self._traced.run):
            return self.learner.gradients(tasks)
