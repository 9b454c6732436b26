"""Meta-RKHS-I: no adaptation in training, but a reward for losses that a gradient step would lower."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.checks import non_negative
from mamlbook.inner.base import ALL
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.numerics import Params, dot, gradient_of


class GradientEnergy(MetaGradient):
    """The loss at theta less alpha times the square of its gradient, both on the query set.

    grad s_b = grad (L_b - alpha ||grad L_b||^2) = (I - 2 alpha H_b) grad L_b,  all at theta.

    It is MAML with one step of rate alpha up to terms in alpha^2, if one set serves as support and query. A set of
    examples has a gradient even where its distribution has none; ``two_samples`` does not reward that noise and takes
    <grad L_b^support, grad L_b> in place of the square. Neither is bounded below for a squared loss.

    Shapes: the result is (B,).

    Raises:
        ValueError: ``alpha`` is negative or not finite.

    References: [Zhou et al., 2021](https://arxiv.org/abs/2102.03909), theorem 2; the inner product is no part of it.
    """

    def __init__(self, alpha: float, two_samples: bool = False):
        super().__init__()
        self.alpha = non_negative("alpha", "inner rate", alpha)
        self.two_samples = two_samples

    def forward(self, batch: MetaBatch) -> Tensor:
        return gradient_of(*self.energies(batch))

    def energies(self, batch: MetaBatch) -> tuple[Tensor, Tensor]:
        """The query losses at theta, and the same less what is rewarded, both (B,)."""
        start = next(iter(batch.path(unroll=ALL)))
        losses = batch.query(start)
        query = other = _gradient(losses, batch.theta)
        if self.two_samples:
            other = _gradient(start.inner(batch.theta, start.phi), batch.theta)
        return losses, losses - self.alpha * dot(other, query)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}" + (", two_samples=True" if self.two_samples else "")


def _gradient(losses: Tensor, theta: Params) -> Params:
    return torch.autograd.grad(losses.sum(), theta, create_graph=True, materialize_grads=True)
