"""MAML++'s loss: every solution on the way is judged, and the last one more and more."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mamlbook.checks import number_where
from mamlbook.inner.base import ALL
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.numerics import gradient_of


class MultiStepLoss(MetaGradient):
    """The query losses along the path, each with its weight: steps other than the last are told what they are for.

    grad s_b = sum_{k=1..S} v_k (d phi_b^k / d theta)^T grad L_b(phi_b^k),
    v_k = max(1 - e/E, floor) / S  for k < S,  v_S = 1 - sum_{k<S} v_k.

    After e meta-steps the weights have come from 1/S each, in E = ``anneal`` meta-steps, to nearly all on the last.
    They add up to 1 at any time. With ``anneal=math.inf`` they stay equal. From ``until`` meta-steps on the last
    solution alone is judged, as in MAML; the authors' code does so when the weights have arrived, ``until=anneal``.

    Shapes: the result is (B,), and its value the query loss of phi^S.

    Raises:
        ValueError: ``anneal`` below 1, ``floor`` not between 0 and 1, or ``until`` below 0.

    References: [Antoniou et al., 2019](https://arxiv.org/abs/1810.09502), section 4, "multi-step loss optimization";
    the weights are those of the authors' code, whose floor is 0.03.
    """

    done: Tensor

    def __init__(self, anneal: float = 1000, floor: float = 0.03, until: float = math.inf):
        super().__init__()
        self.anneal = number_where("anneal", "a number of meta-steps of at least 1", lambda n: n >= 1, anneal)
        self.floor = number_where("floor", "the least share of a step, between 0 and 1", lambda s: 0 <= s <= 1, floor)
        self.until = number_where("until", "a number of meta-steps, at least 0", lambda n: n >= 0, until)
        self.register_buffer("done", torch.tensor(0))

    def weights(self, steps: int) -> Tensor:
        """v_1, ..., v_S at this point of meta-training: (S,)."""
        earlier = (1 - self.done.double() / self.anneal).clamp(min=self.floor) / steps
        earlier = torch.where(self.done < self.until, earlier, 0.0)
        return torch.cat([earlier.expand(steps - 1), 1 - (steps - 1) * earlier[None]])

    def forward(self, batch: MetaBatch) -> Tensor:
        _, *path = batch.path(unroll=ALL)
        if not path:
            raise ValueError("steps: expected at least 1 inner step for a loss along the path, got 0")
        losses = torch.stack([batch.query(adapted) for adapted in path])
        return gradient_of(losses[-1], self.weights(len(path)).to(losses) @ losses)

    def advance(self) -> None:
        self.done += 1

    def extra_repr(self) -> str:
        numbers = {"anneal": self.anneal, "floor": self.floor, "until": self.until}
        return ", ".join(f"{name}={value:g}" for name, value in numbers.items())
