"""Noise on the inner steps: gradient descent becomes sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mamlbook.checks import non_negative
from mamlbook.inner.rules import require_plain_rule
from mamlbook.inner.transforms import Gradients, Place, Transform
from mamlbook.model import Model

if TYPE_CHECKING:
    from mamlbook.inner.base import Solver


class LangevinNoise(nn.Module, Transform):
    """Stochastic gradient Langevin dynamics: every step of rate alpha is shaken by Gaussian noise.

    phi <- phi - alpha grad F(phi) + sqrt(2 alpha T) xi,  xi ~ N(0, I);  here as a map on the gradient,
    g -> g - sqrt(2 T / alpha) xi, for the rule of plain gradient descent.

    In the limit of many small steps phi is a draw from the density proportional to exp(-F(phi) / T). Only in training
    mode; T = 0 is gradient descent. The draws come from torch's global generator.

    Shapes: (B, \\*shape) to (B, \\*shape), with noise of its own for every task.

    Raises:
        ValueError: a negative temperature; when a learner is made, a solver of rate 0 or with another rule.

    References: [Welling and Teh, 2011](https://icml.cc/Conferences/2011/papers/398_icmlpaper.pdf).
    """

    def __init__(self, temperature: float):
        super().__init__()
        self.temperature = non_negative("temperature", "temperature", temperature)

    def require(self, model: Model, solver: Solver) -> None:
        alpha = require_plain_rule(self, solver).alpha
        if not isinstance(alpha, Tensor) and not alpha > 0:
            raise ValueError(f"alpha: expected an inner rate above 0 for Langevin noise, got {alpha}")

    def forward(self, gradients: Gradients, place: Place) -> Gradients:
        if not self.training:
            return gradients
        size = (2 * self.temperature / place.alpha) ** 0.5
        return [g if g is None else g - size * torch.randn_like(g) for g in gradients]

    def extra_repr(self) -> str:
        return f"temperature={self.temperature:g}"
