"""What meta-training saw, and what it needs to go on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.execution.ways import Execution


class Continuation(NamedTuple):
    """Where a run ended: its learner's count of outer steps, its generator of tasks and its optimizer's memory.

    ``rates`` are those of its meta-steps, ``weights`` say which weights the optimizer has seen.
    """

    meta_steps: int
    seed: int
    generator: Tensor
    optimizer: str
    optimizer_state: dict[str, Any]
    rates: list[float]
    weights: str


@dataclass
class History:
    """What meta-training saw: the mean query loss after adaptation of every meta-step, and how it was run.

    ``interrupted`` says that it was stopped by hand before its last step. ``fit(..., after=history)`` goes on from it.
    ``execution`` is the way in which the meta-gradients were computed, as asked for or as measured; None stands for
    Python and all tasks at once, where nothing was asked for and the run was too short to measure. ``error`` is the
    ``NonFinite`` at which one of several replicas was left behind.
    """

    configuration: str
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    compiling: float = 0.0
    """The part of the seconds that went into tracing and compiling."""
    interrupted: bool = False
    execution: Execution | None = None
    error: ArithmeticError | None = field(default=None, compare=False)
    continuation: Continuation | None = field(default=None, repr=False, compare=False)

    def smoothed(self, window: int = 50) -> Tensor:
        """The running mean over the last ``window`` meta-steps, (steps,); shorter at the start.

        >>> History("", losses=[1.0, 3.0, 5.0]).smoothed(2)
        tensor([1., 2., 4.], dtype=torch.float64)
        """
        window = whole_number("window", window)
        total = torch.tensor([0.0, *self.losses], dtype=torch.float64).cumsum(0)
        last = torch.arange(1, len(total))
        first = (last - window).clamp(min=0)
        return (total[last] - total[first]) / (last - first)
