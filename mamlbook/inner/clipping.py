"""Inner gradients that are not longer than a limit."""

from __future__ import annotations

import torch

from mamlbook.checks import number_where
from mamlbook.inner.transforms import Gradients, Place, Transform
from mamlbook.numerics import per_task


class Clipped(Transform):
    """Shorten the inner gradient of a task that is longer than a limit: the way is kept, the length is cut.

    T(g_b) = g_b min(1, limit / ||g_b||),  the norm taken over all weights of the task.

    The factor is part of the graph, so that the meta-gradient is that of the steps that were taken.

    Shapes: gradients are (B, \\*shape).

    Raises:
        ValueError: ``limit`` is not above 0.

    References: [Pascanu et al., 2013](https://arxiv.org/abs/1211.5063).
    """

    def __init__(self, limit: float):
        length = "the largest length of an inner gradient, above 0"
        self.limit = number_where("limit", length, lambda limit: limit > 0, limit)

    def __call__(self, gradients: Gradients, place: Place) -> Gradients:
        squares = [g.flatten(1).square().sum(1) for g in gradients if g is not None]
        # Far below the smallest square that matters; the root of zero would have no derivative.
        length = (torch.stack(squares).sum(0) + 1e-30).sqrt()
        share = (self.limit / length).clamp(max=1)
        return [g if g is None else per_task(share, g) * g for g in gradients]

    def __repr__(self) -> str:
        return f"Clipped({self.limit:g})"
