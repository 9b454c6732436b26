"""Predictions for which the support set is at hand, as layers need that take their statistics from it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mamlbook.inner.base import Adapted, Solver
from mamlbook.model import Model
from mamlbook.numerics import Params
from mamlbook.tasks.base import Data


class SupportFirst(nn.Module):
    """Another solver's solutions, which predict with the support set in front of the examples they are asked about.

    y_hat = f(phi, [x_support, x])[K:].

    For a network whose examples do not meet nothing changes. With ``BatchNorm(first=K)``, K being the size of the
    support set, the query examples are normalised by the statistics of the support set, and do not see one another.
    """

    def __init__(self, solver: Solver):
        super().__init__()
        self.solver = solver

    def forward(
        self, model: Model, support: Data, *, unroll: float, steps: int | None = None, theta: Params | None = None
    ) -> Adapted:
        return _beside(self.solver(model, support, unroll=unroll, steps=steps, theta=theta), support.x)

    def path(
        self, model: Model, support: Data, *, unroll: float, steps: int | None = None, theta: Params | None = None
    ) -> Iterator[Adapted]:
        for adapted in self.solver.path(model, support, unroll=unroll, steps=steps, theta=theta):
            yield _beside(adapted, support.x)


def _beside(adapted: Adapted, support: Tensor) -> Adapted:
    def predict(phi: Params, x: Tensor) -> Tensor:
        return adapted.predict(phi, torch.cat([support, x], 1))[:, support.shape[1] :]

    return adapted._replace(predict=predict)
