"""FIML: a loss for the support set that is itself learned, so that few steps of the head are enough."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mamlbook.inner.head_weights import numeric_targets


class ResidualLoss(nn.Module):
    """Half the sum of squares of residuals whose targets, weights and shapes the outer loop learns: (B, K, C) to (B,).

    r = v rho_a(s (t - y_hat)),  rho_a(z) = (1 - a) / 2 |z| + (1 + a) / 2 z,  L = ||r||^2 / 2,

    with a target t, a weight v and a slope a for the right class, where the sign s is +1, and another triple for the
    wrong ones, where it is -1. With a = 1 this is weighted least squares, with a = 0 a squared hinge. If the
    targets are numbers, r = v (y - y_hat).

    Raises:
        ValueError: when called, for targets that are no classes and have another shape than the predictions.

    References: the support loss in the code of [Tripathi et al., 2021](https://arxiv.org/abs/2010.00511).
    """

    def __init__(self, target: float = 5.0, weight: float = 1.0, slope: float = 1.0):
        super().__init__()
        self.target = nn.Parameter(torch.tensor([float(target), -float(target)]))
        self.weight = nn.Parameter(torch.full((2,), float(weight)))
        self.slope = nn.Parameter(torch.full((2,), float(slope)))

    def forward(self, y_hat: Tensor, y: Tensor) -> Tensor:
        if y.is_floating_point():
            if y_hat.shape != y.shape:
                raise ValueError(
                    f"y: expected the shape of the predictions, {tuple(y_hat.shape)}, got {tuple(y.shape)}"
                )
            residual = self.weight[0] * (y - y_hat)
        else:
            right = numeric_targets(y_hat, y)
            target, weight, slope = (right * p[0] + (1 - right) * p[1] for p in (self.target, self.weight, self.slope))
            short = (2 * right - 1) * (target - y_hat)
            residual = weight * ((1 - slope) / 2 * short.abs() + (1 + slope) / 2 * short)
        return residual.square().flatten(1).sum(1) / 2


class SquaredParameter(nn.Module):
    """The square of a number that the outer loop learns, which cannot become negative."""

    def __init__(self, root: float):
        super().__init__()
        self.root = nn.Parameter(torch.tensor(float(root)))

    def forward(self) -> Tensor:
        return self.root.square()
