"""Two families of tasks that are made to share their features, or to have their own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mamlbook.checks import whole_number
from mamlbook.devices import on_cpu
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.distribution import require_draw
from mamlbook.tasks.sinusoid import require_intervals, split


@dataclass(frozen=True)
class SharedFeatures:
    """y = 3 / sqrt(m) sum_j w_j cos(3 <v_j, x>): the directions v_j are those of all tasks, the head w its own.

    w ~ N(0, I); the v_j are unit vectors, drawn once from ``seed``. A network with these features in its last layer has
    only its head to adapt. x is uniform in a cube from -1 to 1, and the mean square of y is about 4.5.

    Shapes: x is (B, K, dimension) and y (B, K, 1).

    Raises:
        ValueError: a number of points, dimensions or features below 1.
    """

    shots: int = 20
    queries: int = 20
    dimension: int = 3
    features: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        _require(self, "features")

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        require_draw(tasks, generator)
        own = torch.Generator().manual_seed(self.seed)
        directions = normalize(torch.randn(self.features, self.dimension, generator=own), dim=1)
        heads = torch.randn(tasks, self.features, 1, generator=generator)
        x = _cube(self, tasks, generator)
        return split(x, 3 / self.features**0.5 * torch.cos(3 * x @ directions.T) @ heads, self.shots)


@dataclass(frozen=True)
class OwnFeatures:
    """y = 3 cos(3 <v, x>): every task has one feature, a direction v of its own, and all have the same head.

    v is a unit vector, uniform on the sphere. No few features serve all tasks, so that something below the head has to
    adapt. x is uniform in a cube from -1 to 1, and the mean square of y is about 4.5.

    Shapes: x is (B, K, dimension) and y (B, K, 1).

    Raises:
        ValueError: a number of points or dimensions below 1.
    """

    shots: int = 20
    queries: int = 20
    dimension: int = 3

    def __post_init__(self) -> None:
        _require(self)

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        require_draw(tasks, generator)
        directions = normalize(torch.randn(tasks, self.dimension, 1, generator=generator), dim=1)
        x = _cube(self, tasks, generator)
        return split(x, 3 * torch.cos(3 * x @ directions), self.shots)


def _cube(family: SharedFeatures | OwnFeatures, tasks: int, generator: torch.Generator) -> Tensor:
    return 2 * torch.rand(tasks, family.shots + family.queries, family.dimension, generator=generator) - 1


def _require(family: SharedFeatures | OwnFeatures, *names: str) -> None:
    require_intervals(family)
    for name in ("dimension", *names):
        whole_number(name, getattr(family, name))
