"""Noise on the inner gradients, as a regulariser of meta-training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mamlbook.checks import number_where
from mamlbook.inner.transforms import Gradients, Place, Transform


class DropGrad(nn.Module, Transform):
    """Multiply every entry of an inner gradient by noise of mean 1, in training; leave it alone in testing.

    phi^{k+1} = phi^k - alpha n * g_k,  E n = 1,  Var n = p / (1 - p),  the product taken entry by entry. The noise is
    "binary", n = Bernoulli(1 - p) / (1 - p), which drops an entry with probability p, or "gaussian". Each weight, step
    and task has a draw of its own, from torch's global generator, and the noise is a constant to the outer gradient.

    On a bowl L(e) = e^T A e / 2 with gradient u = A e, the mean loss after such a step is the loss after the plain step
    and a penalty,  E L(e - alpha n u) = L(e - alpha u) + alpha^2 p / (2 (1 - p)) sum_j A_jj u_j^2.

    Shapes: gradients are (B, \\*shape), and so is the noise.

    Raises:
        ValueError: ``p`` outside [0, 1), or an unknown noise.

    References: [Tseng et al., 2020](https://arxiv.org/abs/2004.05859).
    """

    def __init__(self, p: float = 0.1, noise: str = "binary"):
        super().__init__()
        if noise not in ("binary", "gaussian"):
            raise ValueError(f"noise: expected 'binary' or 'gaussian', got {noise!r}")
        self.p = number_where("p", "a share of dropped entries of at least 0 and below 1", lambda p: 0 <= p < 1, p)
        self.noise = noise

    def forward(self, gradients: Gradients, place: Place) -> Gradients:
        if not self.training:
            return gradients
        return [g if g is None else self._noise(g.detach()) * g for g in gradients]

    def _noise(self, like: Tensor) -> Tensor:
        if self.noise == "binary":
            return (torch.rand_like(like) >= self.p).to(like.dtype) / (1 - self.p)
        return 1 + (self.p / (1 - self.p)) ** 0.5 * torch.randn_like(like)

    def extra_repr(self) -> str:
        return f"p={self.p:g}, noise={self.noise!r}"
