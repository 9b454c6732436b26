"""Predictions for which the support set is at hand, as layers need that take their statistics from it."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from mamlbook.inner.base import Adapted, Solver
from mamlbook.model import Model
from mamlbook.numerics import Params
from mamlbook.tasks.base import Data, joined
from mamlbook.torch_internals import tree_map
from mamlbook.trees import Tree


class SupportFirst(Solver):
    """Another solver's solutions, which predict with the support set in front of the examples they are asked about.

    y_hat = f(phi, [x_support, x])[K:].

    For a network whose examples do not meet nothing changes. With ``BatchNorm(first=K)``, K being the size of the
    support set, the query examples are normalised by the statistics of the support set, and do not see one another.
    """

    def __init__(self, solver: Solver):
        super().__init__()
        self.solver = solver

    @property
    def proximal(self) -> float | Tensor:
        return self.solver.proximal

    @property
    def remedy(self) -> str:
        return self.solver.remedy

    def require(self, model: Model, solver: Solver) -> None:
        self.solver.require(model, self.solver)

    def path(
        self, model: Model, support: Data, *, unroll: float, steps: int | None = None, theta: Params | None = None
    ) -> Iterator[Adapted]:
        for adapted in self.solver.path(model, support, unroll=unroll, steps=steps, theta=theta):
            yield _beside(adapted, support)


def _beside(adapted: Adapted, support: Data) -> Adapted:
    def predict(phi: Params, x: Tree) -> Tree:
        return tree_map(lambda y: y[:, support.examples :], adapted.predict(phi, joined(support.x, x)))

    return adapted._replace(predict=predict)
