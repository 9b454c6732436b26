"""Truncation: differentiate through the last inner steps only."""

from __future__ import annotations

from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient


class Truncated(MetaGradient):
    """The query loss, differentiated through the last few inner steps; the Jacobians of the others are read as I.

    grad s_b = (J_{S-1} ... J_{S-last})^T grad L_b(phi_S),  J_s = d phi^{s+1} / d phi^s.

    ``last`` >= S is MAML, and with ``last`` = 1 there is one Hessian-vector product however many steps there are.

    Shapes: the result is (B,).

    Raises:
        ValueError: ``last`` is no whole number of at least 1.

    References: [Shaban et al., 2019](https://arxiv.org/abs/1810.10667).
    """

    def __init__(self, last: int = 1):
        super().__init__()
        self.last = whole_number("last", last, 1, "a whole number of steps")

    def forward(self, batch: MetaBatch) -> Tensor:
        return batch.query(batch.solve(unroll=self.last))

    def extra_repr(self) -> str:
        return f"last={self.last}"
