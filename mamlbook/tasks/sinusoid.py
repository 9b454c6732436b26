"""Sine waves of random amplitude and phase: the regression tasks of the MAML paper."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.devices import on_cpu
from mamlbook.tasks.base import Data, Tasks, never_again
from mamlbook.tasks.distribution import require_draw


@dataclass(frozen=True)
class Sinusoids:
    """y = A sin(x - p), with A, p and x uniform; support and query are fresh points of the same wave.

    Shapes: x and y are (B, shots, 1) in the support and (B, queries, 1) in the query set.

    Raises:
        ValueError: shots or queries below 1, or an interval whose ends are in the wrong order.

    References: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), section 5.1.
    """

    shots: int = 10
    queries: int = 10
    amplitude: tuple[float, float] = (0.1, 5.0)
    phase: tuple[float, float] = (0.0, math.pi)
    domain: tuple[float, float] = (-5.0, 5.0)

    def __post_init__(self) -> None:
        require_intervals(self, "amplitude", "phase", "domain")

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        require_draw(tasks, generator)
        amplitude = uniform(self.amplitude, (tasks, 1, 1), generator)
        phase = uniform(self.phase, (tasks, 1, 1), generator)
        x = uniform(self.domain, (tasks, self.shots + self.queries, 1), generator)
        return split(x, amplitude * torch.sin(x - phase), self.shots)


def uniform(interval: tuple[float, float], shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Numbers between the ends of the interval, all equally likely."""
    low, high = interval
    return low + (high - low) * torch.rand(shape, generator=generator)


def split(x: Tensor, y: Tensor, shots: int) -> Tasks:
    """Points of curves as tasks: the first ``shots`` of each are its support set, the rest its query set."""
    support, query = Data(x[:, :shots], y[:, :shots]), Data(x[:, shots:], y[:, shots:])
    return Tasks(support, query, never_again(len(x)))


def require_intervals(family: Any, *names: str) -> None:
    """Refuse a family of curves with too few points, or with an interval whose ends are in the wrong order.

    Raises:
        ValueError: names what was wrong and what came.
    """
    for name in ("shots", "queries"):
        whole_number(name, getattr(family, name))
    for name in names:
        ends = getattr(family, name)
        if not isinstance(ends, tuple | list) or len(ends) != 2 or not -math.inf < ends[0] <= ends[1] < math.inf:
            raise ValueError(f"{name}: expected finite (low, high) with low <= high, got {ends!r}")
