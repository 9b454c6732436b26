"""FOMAML and Reptile: meta-gradients that never look inside the inner loop."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.numerics import add_scaled, with_gradient


class FirstOrder(MetaGradient):
    """The query gradient at phi, applied to theta as if d phi / d theta were the identity.

    s_b(theta) = L_b(theta + sg(phi_b - theta)),  so  grad s_b = grad L_b(phi_b);  sg stops gradients.

    Shapes: the result is (B,).

    References: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), section 5.2, "first order approximation".
    """

    def forward(self, batch: MetaBatch) -> Tensor:
        return batch.query(batch.solve(unroll=0).straight_through())


class Reptile(MetaGradient):
    """The way from phi back to theta, whatever the query set says.

    grad s_b = theta - phi_b.

    With the outer rule ``torch.optim.SGD`` and rate beta this is theta <- theta + beta mean_b (phi_b - theta). The
    query losses are computed for the record only.

    Shapes: the result is (B,).

    References: [Nichol et al., 2018](https://arxiv.org/abs/1803.02999), algorithm 2.
    """

    def forward(self, batch: MetaBatch) -> Tensor:
        adapted = batch.solve(unroll=0)
        with torch.no_grad():
            losses = batch.query(adapted)
        return with_gradient(losses, batch.theta, add_scaled(batch.theta, -1, adapted.phi))
