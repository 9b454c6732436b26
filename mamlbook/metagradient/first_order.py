"""FOMAML and Reptile: meta-gradients that never look inside the inner loop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mamlbook.inner.base import Adapted
from mamlbook.metagradient.base import Query
from mamlbook.numerics import Params, dot, gradient_of


class FirstOrder(nn.Module):
    """The query gradient at phi, applied to theta as if d phi / d theta were the identity.

    s_b(theta) = L_b(theta + sg(phi_b - theta)),  so  grad s_b = grad L_b(phi_b);  sg stops gradients.

    It is the displacement phi - theta that is held constant, not phi: a constant phi would give no gradient at all.

    Shapes: theta is a tuple of (\\*shape), ``adapted.phi`` of (B, \\*shape); the result is (B,).

    References: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), section 5.2, "first order approximation".
    """

    unroll = False

    def forward(self, theta: Params, adapted: Adapted, query: Query, index: Tensor) -> Tensor:
        return query(tuple(t + (p - t).detach() for t, p in zip(theta, adapted.phi, strict=True)))


class Reptile(nn.Module):
    """The way from phi back to theta, whatever the query set says.

    grad s_b = theta - phi_b,  the gradient of ||theta - sg(phi_b)||^2 / 2.

    With the outer rule ``torch.optim.SGD`` and rate beta this is theta <- theta + beta mean_b (phi_b - theta). The
    query losses are computed for the record only.

    Shapes: theta is a tuple of (\\*shape), ``adapted.phi`` of (B, \\*shape); the result is (B,).

    References: [Nichol et al., 2018](https://arxiv.org/abs/1803.02999), algorithm 2.
    """

    unroll = False

    def forward(self, theta: Params, adapted: Adapted, query: Query, index: Tensor) -> Tensor:
        gap = tuple(t - p.detach() for t, p in zip(theta, adapted.phi, strict=True))
        with torch.no_grad():
            losses = query(adapted.phi)
        return gradient_of(losses, dot(gap, gap) / 2)
