"""The step length that a quadratic would ask for, computed instead of chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mamlbook.checks import non_negative
from mamlbook.inner.rules import require_plain_rule
from mamlbook.inner.transforms import Gradients, Place, Transform
from mamlbook.model import Model
from mamlbook.numerics import dot, per_task

if TYPE_CHECKING:
    from mamlbook.inner.base import Solver


class LineSearch(Transform):
    """Steepest descent with an exact step: g <- a g with a = <g, g> / (g^T G g + damping <g, g>), each task its own.

    G is the Gauss-Newton curvature of the inner objective, so that the step ends at the lowest point along g if the
    predictions are linear in the weights, the loss is quadratic and ``damping`` is 0. It belongs into
    ``GradientDescent`` with alpha = 1, where a is the rate.

    Raises:
        ValueError: ``damping`` is negative or not finite; when a learner is made, an alpha other than 1; when called,
            a network or a loss that draws random numbers.

    References: the damped step of [Tripathi et al., 2021](https://arxiv.org/abs/2010.00511), which uses 0.05.
    """

    def __init__(self, damping: float = 0.0):
        self.damping = non_negative("damping", "damping", damping)

    def require(self, model: Model, solver: Solver) -> None:
        require_plain_rule(self, solver)
        if isinstance(solver.alpha, Tensor) or solver.alpha != 1:
            raise ValueError(
                f"alpha: expected 1 beside LineSearch, which computes the rate of every step, got {solver.alpha}"
            )

    def __call__(self, gradients: Gradients, place: Place) -> Gradients:
        present = [g for g in gradients if g is not None]
        length = dot(present, present)
        rate = length / self._bend(length, place.curvature(gradients))
        return [g if g is None else per_task(rate, g) * g for g in gradients]

    def _bend(self, length: Tensor, curvature: Tensor) -> Tensor:
        # Where the gradient vanishes the step is 0 / 0; the floor is the smallest number whose square is not zero.
        floor = torch.finfo(length.dtype).tiny ** 0.5
        return (curvature + self.damping * length).clamp(min=floor)

    def __repr__(self) -> str:
        return f"LineSearch(damping={self.damping:g})"
