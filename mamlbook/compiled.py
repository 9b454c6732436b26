"""The same meta-step without Python: traced once, and compiled for the processor at hand."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from mamlbook.learner import MetaLearner
from mamlbook.metagradient import Chunks
from mamlbook.numerics import Params
from mamlbook.pieces import running
from mamlbook.tasks.base import Tasks, require_tasks
from mamlbook.tracing import Traced


class Compiled:
    """A learner's meta-gradient as compiled code: the same numbers, and none of Python's time.

    Calling it on tasks gives the gradients of ``learner.parameters()``, a tuple of (\\*shape), and the query losses,
    (B,). The first call with tasks of new shapes traces and compiles, which takes from seconds to minutes; ``seconds``
    counts them, and ``announce`` is told before it begins. PyTorch keeps compiled kernels on disk, so that the same
    step is compiled faster the next time.

    What is compiled is the whole meta-step, or, where the meta-gradient works in pieces (``Chunks``, ``Checkpointed``),
    each piece. A convolutional network on a CPU is given one task after another: there a convolution with the weights
    of one task is several times as fast as one with the weights of all.

    The weights may change between calls; anything else about the learner that changes needs a new ``Compiled``.

    Raises:
        NotTraceable: when called, on a meta-step that reads a tensor's value back into Python.
        RuntimeError: when called, without a C++ compiler.
    """

    def __init__(self, learner: MetaLearner, announce: Callable[[str], None] | None = None):
        self.learner = arranged(learner)
        self._traced = Traced(self.learner, announce)
        self._in_pieces = getattr(self.learner.metagradient, "in_pieces", False)

    @property
    def seconds(self) -> float:
        """The time spent on tracing and compiling so far."""
        return self._traced.seconds

    def __call__(self, tasks: Tasks) -> tuple[Params, Tensor]:
        require_tasks(tasks)
        if not self._in_pieces:
            return self._traced.run("meta-step", self.learner.gradients, tasks)
        with running(self._traced.run):
            return self.learner.gradients(tasks)


def arranged(learner: MetaLearner) -> MetaLearner:
    """The same learner, its tasks put together as they are fastest where its weights are.

    For convolutions on a CPU that is one by one; ``python -m benchmarks.execution`` measures it.
    """
    plain = not hasattr(learner.metagradient, "in_pieces") and not hasattr(learner.metagradient, "staged")
    if learner.model.theta[0].is_cpu and plain and _convolves(learner.model.net):
        return MetaLearner(learner.model, learner.solver, Chunks(learner.metagradient, 1), learner.weighting)
    return learner


def _convolves(net: nn.Module) -> bool:
    return any(isinstance(part, _ConvNd) for part in net.modules())
