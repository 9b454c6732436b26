"""How the tasks of a meta-batch are combined: sum_b w_b s_b."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn


class Weighting(Protocol):
    """w = weighting(losses, index): one weight per task from its detached query loss; all (B,)."""

    def __call__(self, losses: Tensor, index: Tensor) -> Tensor: ...


class Uniform(nn.Module):
    """The mean over tasks: w_b = 1/B.

    A mean and not a sum, so that the outer rate beta keeps its meaning when the meta-batch grows.

    Shapes: (B,) to (B,).
    """

    def forward(self, losses: Tensor, index: Tensor) -> Tensor:
        return torch.full_like(losses, 1 / len(losses))
