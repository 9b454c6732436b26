"""Adam and RMSprop as PyTorch takes their steps, differentiable.

higher's own Adam adds eps in another place, and its own RMSprop divides 0 by 0 where it is centered.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import higher
import torch
from higher.optim import DifferentiableOptimizer
from torch import Tensor


class ByWeight(DifferentiableOptimizer):
    """An optimiser that treats each weight by itself."""

    def _update(self, grouped_grads: list, **kwargs: Any) -> None:
        for group, states, gradients in zip(self.param_groups, self.state, grouped_grads, strict=True):
            for place, gradient in enumerate(gradients):
                if gradient is not None:
                    weight = group["params"][place]
                    group["params"][place] = self._stepped(group, states[place], weight, gradient)

    @abstractmethod
    def _stepped(self, group: dict, state: dict, weight: Tensor, gradient: Tensor) -> Tensor:
        """The weight after a step; what is remembered of it is put into ``state``."""


class DifferentiableAdam(ByWeight):
    """Adam, and AdamW, whose weight decay leaves the moments alone.

    m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,
    phi <- phi - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps).

    higher adds eps before the second moment is corrected. The step is nearly the same, its derivative is not: where a
    gradient is small, eps decides about it. A second moment of exactly zero passes no gradient on.

    References: [Kingma and Ba, 2015](https://arxiv.org/abs/1412.6980), as ``torch.optim.Adam`` computes it.
    """

    decoupled = False

    def _stepped(self, group: dict, state: dict, weight: Tensor, gradient: Tensor) -> Tensor:
        decoupled = self.decoupled or group.get("decoupled_weight_decay", False)
        if group["weight_decay"] and decoupled:
            weight = weight * (1 - group["lr"] * group["weight_decay"])
        elif group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * weight
        mean, square = self._moments(group, state, gradient)
        (first, second), steps = group["betas"], state["step"]
        root = _root(square) / math.sqrt(1 - second**steps)
        return weight - group["lr"] / (1 - first**steps) * mean / (root + group["eps"])

    @staticmethod
    def _moments(group: dict, state: dict, gradient: Tensor) -> tuple[Tensor, Tensor]:
        first, second = group["betas"]
        if not state:
            state.update(step=0, exp_avg=torch.zeros_like(gradient), exp_avg_sq=torch.zeros_like(gradient))
        state["step"] += 1
        state["exp_avg"] = first * state["exp_avg"] + (1 - first) * gradient
        state["exp_avg_sq"] = second * state["exp_avg_sq"] + (1 - second) * gradient.square()
        if not group["amsgrad"]:
            return state["exp_avg"], state["exp_avg_sq"]
        state["max_exp_avg_sq"] = torch.maximum(state.get("max_exp_avg_sq", state["exp_avg_sq"]), state["exp_avg_sq"])
        return state["exp_avg"], state["max_exp_avg_sq"]


class DifferentiableAdamW(DifferentiableAdam):
    """The same with the weights shrunk before the step, and not through the gradient."""

    decoupled = True


class DifferentiableRMSprop(ByWeight):
    """RMSprop, which may be centered and may have momentum.

    v <- a v + (1 - a) g^2,  m <- a m + (1 - a) g,  q = v, or v - m^2 if centered,
    b <- mu b + g / (sqrt(q) + eps),  phi <- phi - lr b.

    References: Tieleman and Hinton, 2012, lecture 6.5 of a course, as ``torch.optim.RMSprop`` computes it.
    """

    def _stepped(self, group: dict, state: dict, weight: Tensor, gradient: Tensor) -> Tensor:
        if group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * weight
        kept = group["alpha"]
        square = state["square_avg"] = kept * state.get("square_avg", 0) + (1 - kept) * gradient.square()
        if group["centered"]:
            mean = state["grad_avg"] = kept * state.get("grad_avg", 0) + (1 - kept) * gradient
            square = square - mean.square()
        step = gradient / (_root(square) + group["eps"])
        if group["momentum"]:
            step = state["momentum_buffer"] = group["momentum"] * state.get("momentum_buffer", 0) + step
        return weight - group["lr"] * step


def _root(square: Tensor) -> Tensor:
    """The square root, which is constant at zero and, where rounding has left less, is zero."""
    empty = square <= 0
    return torch.where(empty, 0.0, torch.where(empty, 1.0, square).sqrt())


higher.register_optim(torch.optim.Adam, DifferentiableAdam)
higher.register_optim(torch.optim.AdamW, DifferentiableAdamW)
higher.register_optim(torch.optim.RMSprop, DifferentiableRMSprop)
