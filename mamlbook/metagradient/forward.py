"""Forward mode: the Jacobian of the inner loop is carried along with it, column by column."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.inner.base import Solver
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.local import inner_gradient, plain_path, query_gradient, require_plain_steps
from mamlbook.model import Model
from mamlbook.numerics import Params, add_scaled, with_gradient


class ForwardMode(MetaGradient):
    """MAML's gradient from the whole Jacobian Z = d phi / d theta, computed beside the steps and not after them.

    Z_0 = I,  Z_{s+1} = (I - alpha (H_s + lam I)) Z_s + alpha lam I,  grad s_b = Z_S^T grad L_b(phi_S).

    The value is that of ``Exact``. No step has to be kept, but Z has P^2 numbers for each task, and every step costs P
    Hessian-vector products: this is for few weights.

    Shapes: the result is (B,).

    Raises:
        ValueError: when a learner is made, a solver that takes other steps than plain gradient descent from theta;
            when called, a network or a loss that draws random numbers.

    References: [Franceschi et al., 2017](https://arxiv.org/abs/1703.01785).
    """

    def require(self, model: Model, solver: Solver) -> None:
        require_plain_steps(solver)

    def forward(self, batch: MetaBatch) -> Tensor:
        path = plain_path(batch)
        alpha, lam = batch.solver.alpha, batch.solver.proximal
        start = columns = _identity(batch.theta)
        adapted = next(path)
        for following in path:
            gradient = inner_gradient(batch, adapted, adapted.phi, graph=True)
            turned = torch.autograd.grad(gradient, adapted.phi, columns, is_grads_batched=True, materialize_grads=True)
            columns, adapted = add_scaled(add_scaled(columns, -alpha, turned), alpha * lam, start), following
        losses, q = query_gradient(batch, adapted)
        entries = sum((z * part).reshape(*z.shape[:2], -1).sum(2) for z, part in zip(columns, q, strict=True))  # (P, B)
        pieces = entries.mT.split([part[0].numel() for part in q], dim=1)
        gradient = tuple(piece.reshape(part.shape) for piece, part in zip(pieces, q, strict=True))
        return with_gradient(losses, batch.theta, gradient)


def _identity(theta: Params) -> Params:
    """The columns of the identity as weights, the same for every task: a tuple of (P, B, \\*shape)."""
    sizes = [t[0].numel() for t in theta]
    unit = torch.eye(sum(sizes), dtype=theta[0].dtype, device=theta[0].device).split(sizes, dim=1)
    return tuple(u.reshape(len(u), 1, *t.shape[1:]).expand(-1, *t.shape) for u, t in zip(unit, theta, strict=True))
