"""What a network's output says about the next action: its probability, and a draw."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor

from mamlbook.checks import positive


class Policy(Protocol):
    """A distribution over actions, given what the network says: y_hat (..., outputs)."""

    def log_probability(self, y_hat: Tensor, action: Tensor) -> Tensor:
        """log pi(a | s) of actions: (...)."""
        ...

    def sample(self, y_hat: Tensor, generator: torch.Generator) -> Tensor:
        """An action for every state."""
        ...


class SoftmaxPolicy:
    """pi(a | s) proportional to exp(y_hat_a), for actions 0, 1, ..., A - 1.

    Shapes: ``y_hat`` (..., A), actions (...).

    Raises:
        ValueError: when drawing, logits that are not finite.
    """

    def log_probability(self, y_hat: Tensor, action: Tensor) -> Tensor:
        """log pi(a | s) of actions: (...)."""
        return y_hat.log_softmax(-1).gather(-1, action[..., None])[..., 0]

    def sample(self, y_hat: Tensor, generator: torch.Generator) -> Tensor:
        """An action for every state."""
        odds = y_hat.softmax(-1)
        if not odds.isfinite().all():
            raise ValueError(
                "y_hat: expected finite logits, got nan or infinite ones; the inner rate alpha or the outer rate beta "
                "is probably too large: try a smaller one"
            )
        drawn = torch.multinomial(odds.reshape(-1, odds.shape[-1]).cpu(), 1, generator=generator)
        return drawn.view(odds.shape[:-1]).to(y_hat.device)

    def __repr__(self) -> str:
        return "SoftmaxPolicy()"


class GaussianPolicy:
    """a ~ N(y_hat, sigma^2 I), sigma the fixed ``std``: the network says the mean, the width is fixed.

    Shapes: ``y_hat`` and actions (..., d).

    Raises:
        ValueError: ``std`` is not above zero.
    """

    def __init__(self, std: float):
        self.std = positive("std", "standard deviation of the actions", std)

    def log_probability(self, y_hat: Tensor, action: Tensor) -> Tensor:
        """log pi(a | s) of actions: (...)."""
        away = ((action - y_hat) / self.std).square().sum(-1)
        return -away / 2 - action.shape[-1] * math.log(self.std * math.sqrt(2 * math.pi))

    def sample(self, y_hat: Tensor, generator: torch.Generator) -> Tensor:
        """An action for every state."""
        noise = torch.randn(y_hat.shape, generator=generator, dtype=y_hat.dtype)
        return y_hat + self.std * noise.to(y_hat.device)

    def __repr__(self) -> str:
        return f"GaussianPolicy(std={self.std:g})"
