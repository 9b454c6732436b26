"""Adam as PyTorch takes its steps, differentiable: higher's own adds eps in another place."""

from __future__ import annotations

import math
from typing import Any

import higher
import torch
from higher.optim import DifferentiableOptimizer
from torch import Tensor


class DifferentiableAdam(DifferentiableOptimizer):
    """Adam, and AdamW, whose weight decay leaves the moments alone.

    m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,
    phi <- phi - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps).

    higher adds eps before the second moment is corrected. The step is nearly the same, its derivative is not: where a
    gradient is small, eps decides about it. A second moment of exactly zero passes no gradient on.

    References: [Kingma and Ba, 2015](https://arxiv.org/abs/1412.6980), as ``torch.optim.Adam`` computes it.
    """

    decoupled = False

    def _update(self, grouped_grads: list, **kwargs: Any) -> None:
        for group, states, gradients in zip(self.param_groups, self.state, grouped_grads, strict=True):
            for place, gradient in enumerate(gradients):
                if gradient is not None:
                    weight = group["params"][place]
                    group["params"][place] = self._stepped(group, states[place], weight, gradient)

    def _stepped(self, group: dict, state: dict, weight: Tensor, gradient: Tensor) -> Tensor:
        decoupled = self.decoupled or group.get("decoupled_weight_decay", False)
        if group["weight_decay"] and decoupled:
            weight = weight * (1 - group["lr"] * group["weight_decay"])
        elif group["weight_decay"]:
            gradient = gradient + group["weight_decay"] * weight
        mean, square = self._moments(group, state, gradient)
        (first, second), steps = group["betas"], state["step"]
        empty = square == 0
        root = torch.where(empty, 0.0, torch.where(empty, 1.0, square).sqrt()) / math.sqrt(1 - second**steps)
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


higher.register_optim(torch.optim.Adam, DifferentiableAdam)
higher.register_optim(torch.optim.AdamW, DifferentiableAdamW)
