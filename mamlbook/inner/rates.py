"""Inner rates that the outer loop learns, relative to alpha."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mamlbook.checks import whole_number
from mamlbook.inner.transforms import Gradients, Place, Transform
from mamlbook.model import Model

if TYPE_CHECKING:
    from mamlbook.inner.base import Solver


class LearnedRates(nn.Module, Transform):
    """Each weight, or each tensor, at a rate of its own: a factor s on its gradient, started at 1 and learned.

    phi^{k+1} = phi^k - alpha s_k * g_k,  so that the inner rate is alpha s;  the product is taken entry by entry.

    ``per`` is "weight" or "tensor". With ``steps`` above 1 every inner step has its own rates s_0, s_1, ..., and a
    later step takes the last of them. The outer rule learns factors and not rates because it moves everything by about
    the same amount: Adam at 1e-3 moves a factor of 1 by a thousandth, but a rate of 0.01 by a tenth. A factor may
    become negative. A meta-gradient that holds the way to phi constant, as FOMAML's does, teaches the factors nothing.

    Shapes: gradients are (B, \\*shape); ``rates[i]``, for tensor i, is (steps, \\*shape) or (steps, 1, ..., 1).

    Raises:
        ValueError: ``per`` is something else, or ``steps`` is no whole number of at least 1.

    References: [Li et al., 2017](https://arxiv.org/abs/1707.09835), a rate for every weight;
    [Antoniou et al., 2019](https://arxiv.org/abs/1810.09502), one for every tensor and step.
    """

    def __init__(self, model: Model, per: str = "weight", steps: int = 1):
        super().__init__()
        if per not in ("weight", "tensor"):
            raise ValueError(f"per: expected 'weight' or 'tensor', got {per!r}")
        self.per, self.steps = per, whole_number("steps", steps, 1, "a whole number of inner steps")
        self.rates = nn.ParameterList(self._ones(weight) for weight in model.theta)

    def _ones(self, weight: Tensor) -> Tensor:
        shape = weight.shape if self.per == "weight" else [1] * weight.ndim
        return torch.ones(self.steps, *shape, dtype=weight.dtype, device=weight.device)

    def require(self, model: Model, solver: Solver) -> None:
        if [self._ones(weight).shape for weight in model.theta] != [rate.shape for rate in self.rates]:
            raise ValueError(
                "LearnedRates: expected the rates of this network, whose weights that learn are "
                f"{', '.join(model.names)}, got those of another; make them anew after freezing or replacing layers"
            )

    def forward(self, gradients: Gradients, place: Place) -> Gradients:
        rates = [rate[min(place.step, self.steps - 1)] for rate in self.rates]
        return [g if g is None else s * g for g, s in zip(gradients, rates, strict=True)]

    def extra_repr(self) -> str:
        return f"per={self.per!r}, steps={self.steps}"
