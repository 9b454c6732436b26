"""Linear regression and quadratic bowls: the tasks whose meta-gradients are known exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mamlbook.checks import number_where, whole_number
from mamlbook.devices import on_cpu
from mamlbook.tasks.base import Data, Tasks, never_again
from mamlbook.tasks.distribution import require_draw


def half_squared_error(y_hat: Tensor, y: Tensor) -> Tensor:
    """||y_hat - y||^2 / 2, summed over a task's examples: (K, 1) and (K, 1) to a scalar."""
    return (y_hat - y).square().sum() / 2


class Quadratics:
    """A finite collection of bowls L_b(theta) = (theta - c_b)^T H_b (theta - c_b) / 2; support and query are the same.

    A bowl is a noiseless linear regression with X^T X = H and y = X c, which is how it is handed out.

    Shapes: ``curvatures`` (T,) or (T, d, d), symmetric and positive definite; ``optima`` (T,) or (T, d). Drawn x is
    (B, d, d) and y (B, d, 1).

    Raises:
        ValueError: the shapes disagree, a curvature is not symmetric positive definite, or more tasks are drawn than
            there are.
    """

    @on_cpu()
    def __init__(self, curvatures: Tensor | Sequence, optima: Tensor | Sequence):
        h = torch.as_tensor(curvatures, dtype=torch.float64)
        c = torch.as_tensor(optima, dtype=torch.float64)
        self.curvatures = h[:, None, None] if h.ndim == 1 else h
        self.optima = c[:, None] if c.ndim == 1 else c
        if self.curvatures.shape != (*self.optima.shape, self.optima.shape[-1]):
            raise ValueError(
                f"curvatures, optima: expected (T, d, d) with (T, d), or (T,) with (T,), got {tuple(h.shape)} "
                f"with {tuple(c.shape)}"
            )
        factor, failed = torch.linalg.cholesky_ex(self.curvatures)
        if failed.any() or not torch.allclose(self.curvatures, self.curvatures.mT):
            raise ValueError(f"curvatures: expected symmetric positive definite matrices, got {h.tolist()}")
        self._x = factor.mT
        self._y = self._x @ self.optima[..., None]

    def __len__(self) -> int:
        return len(self.optima)

    @on_cpu()
    def all(self) -> Tasks:
        """Every task of the collection, in order."""
        return self._pick(torch.arange(len(self)))

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        """Tasks without repetition; as many as there are gives each once."""
        require_draw(tasks, generator)
        if tasks > len(self):
            raise ValueError(f"tasks: expected between 1 and the {len(self)} tasks of the collection, got {tasks}")
        return self._pick(torch.randperm(len(self), generator=generator)[:tasks])

    def _pick(self, index: Tensor) -> Tasks:
        data = Data(self._x[index], self._y[index])
        return Tasks(data, data, index)

    def __repr__(self) -> str:
        return f"Quadratics(curvatures={self.curvatures.squeeze().tolist()}, optima={self.optima.squeeze().tolist()})"


@dataclass(frozen=True)
class LinearRegression:
    """y = x c_b + noise with c_b ~ N(centre, spread^2 I) and x ~ N(0, I); support and query are fresh examples.

    Shapes: x is (B, K, d) and y (B, K, 1), in double precision.

    Raises:
        ValueError: a number of examples or dimensions below 1, or another number that is not finite.
    """

    dimension: int = 3
    shots: int = 10
    queries: int = 10
    centre: float = 0.0
    spread: float = 1.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("dimension", "shots", "queries"):
            whole_number(name, getattr(self, name))
        for name in ("centre", "spread", "noise"):
            number_where(name, "a finite number", math.isfinite, getattr(self, name))

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        require_draw(tasks, generator)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, dtype=torch.float64, generator=generator)

        c = self.centre + self.spread * normal(tasks, self.dimension, 1)
        x = normal(tasks, self.shots + self.queries, self.dimension)
        y = x @ c + self.noise * normal(tasks, self.shots + self.queries, 1)
        support = Data(x[:, : self.shots], y[:, : self.shots])
        query = Data(x[:, self.shots :], y[:, self.shots :])
        return Tasks(support, query, never_again(tasks))
