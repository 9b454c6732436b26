"""Noise on the inner steps: gradient descent becomes sampling."""

from __future__ import annotations

import math

import torch
from torch import nn

from mamlbook.checks import non_negative, positive
from mamlbook.inner.transforms import Gradients, Place


class LangevinNoise(nn.Module):
    """Stochastic gradient Langevin dynamics: every step of rate alpha is shaken by Gaussian noise.

    phi <- phi - alpha grad F(phi) + sqrt(2 alpha T) xi,  xi ~ N(0, I);  here as a map on the gradient,
    g -> g - sqrt(2 T / alpha) xi, for the rule of plain gradient descent.

    In the limit of many small steps phi is a draw from the density proportional to exp(-F(phi) / T). Only in training
    mode; T = 0 is gradient descent. The draws come from torch's global generator.

    Shapes: (B, \\*shape) to (B, \\*shape), with noise of its own for every task.

    Raises:
        ValueError: a rate that is not above 0, or a negative temperature.

    References: [Welling and Teh, 2011](https://icml.cc/Conferences/2011/papers/398_icmlpaper.pdf).
    """

    def __init__(self, alpha: float, temperature: float):
        super().__init__()
        self.alpha = positive("alpha", "inner rate", alpha)
        self.temperature = non_negative("temperature", "temperature", temperature)

    def forward(self, gradients: Gradients, place: Place) -> Gradients:
        if not self.training:
            return gradients
        size = math.sqrt(2 * self.temperature / self.alpha)
        return [g if g is None else g - size * torch.randn_like(g) for g in gradients]

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}, temperature={self.temperature:g}"
