"""MAML: differentiate through every inner step."""

from __future__ import annotations

from torch import Tensor

from mamlbook.inner.base import ALL
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient


class Exact(MetaGradient):
    """The query loss itself, differentiated through the inner loop.

    s_b(theta) = L_b(phi_b(theta)),  so  grad s_b = (d phi_b / d theta)^T grad L_b(phi_b).

    Shapes: the result is (B,).

    References: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), algorithm 1.
    """

    def forward(self, batch: MetaBatch) -> Tensor:
        return batch.query(batch.solve(unroll=ALL))
