"""Gains and offsets of norms that are learned for each inner step, and that no task adapts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from mamlbook.checks import whole_number
from mamlbook.inner.selection import chosen, without_norms
from mamlbook.inner.transforms import Gradients, Place, Transform
from mamlbook.model import Model

if TYPE_CHECKING:
    from mamlbook.inner.base import Solver


class PerStepNorms(nn.Module, Transform):
    """Other gains and offsets of the norms at each inner step, the same for all tasks, learned in the outer loop.

    a^{k+1} = a^k + d_k  for k = 0..S-2,  a^S = a^{S-1};  a is a gain or an offset, a^0 its value in theta, and the d_k
    begin at 0.

    Step k therefore sees a^k, and the query set what the last step has seen, as in the authors' code. The inner
    gradient of a norm plays no part. All other weights adapt by theirs.

    Shapes: gradients are (B, \\*shape); ``shifts[i]`` is (S - 1, \\*shape), for the i-th tensor of a norm.

    Raises:
        ValueError: the network has no norm, ``steps`` is no whole number of at least 1, or the inner rule is not plain
            gradient descent at a rate above 0.

    References: [Antoniou et al., 2019](https://arxiv.org/abs/1810.09502), section 4, "per-step batch normalization
    weights and biases".
    """

    def __init__(self, model: Model, steps: int):
        super().__init__()
        steps = whole_number("steps", steps, 1, "a whole number of inner steps")
        adapted = chosen(model, without_norms)
        self.names = [name for name in model.names if name not in adapted]
        if not self.names:
            raise ValueError(f"net: expected a network with norms, got the weights {', '.join(model.names)}")
        weights = dict(zip(model.names, model.theta, strict=True))
        self.shifts = nn.ParameterList(torch.zeros_like(weights[name].expand(steps - 1, -1)) for name in self.names)

    def require(self, model: Model, solver: Solver) -> None:
        if getattr(solver, "rule", None) is not torch.optim.SGD or not solver.alpha:
            raise ValueError(f"PerStepNorms: expected plain gradient descent at a rate above 0, got {solver}")

    def forward(self, gradients: Gradients, place: Place) -> Gradients:
        shifts = dict(zip(self.names, self.shifts, strict=True))
        return [
            g if g is None or name not in shifts else self._towards(shifts[name], g, place)
            for name, g in zip(place.names, gradients, strict=True)
        ]

    @staticmethod
    def _towards(shift: torch.Tensor, like: torch.Tensor, place: Place) -> torch.Tensor:
        """The gradient that a step of length alpha makes the shift of."""
        if place.step >= len(shift):
            return torch.zeros_like(like)
        return (-shift[place.step] / place.alpha).expand_as(like)
