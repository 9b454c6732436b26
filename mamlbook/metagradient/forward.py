"""Forward mode: the Jacobian of the inner loop is carried along with it, column by column."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mamlbook.metagradient.local import inner_gradient, plain_path, query_gradient
from mamlbook.numerics import Params, plus, with_gradient
from mamlbook.problem import Problem


class Forward(nn.Module):
    """MAML's gradient from the whole Jacobian Z = d phi / d theta, computed beside the steps and not after them.

    Z_0 = I,  Z_{s+1} = (I - alpha (H_s + lam I)) Z_s + alpha lam I,  grad s_b = Z_S^T grad L_b(phi_S).

    The value is that of ``Exact``. No step has to be kept, but Z has P^2 numbers for each task, and every step costs P
    Hessian-vector products: this is for few weights.

    Shapes: the result is (B,).

    Raises:
        ValueError: when called, a solver that takes other steps than plain gradient descent from theta.

    References: [Franceschi et al., 2017](https://arxiv.org/abs/1703.01785).
    """

    def forward(self, problem: Problem) -> Tensor:
        path = plain_path(problem)
        alpha, lam = problem.solver.alpha, problem.solver.lam
        start = columns = _identity(problem.theta)
        adapted = next(path)
        for following in path:
            gradient = inner_gradient(problem, adapted, adapted.phi, graph=True)
            turned = torch.autograd.grad(gradient, adapted.phi, columns, is_grads_batched=True, materialize_grads=True)
            columns, adapted = plus(plus(columns, -alpha, turned), alpha * lam, start), following
        losses, q = query_gradient(problem, adapted)
        entries = sum((z * part).flatten(2).sum(2) for z, part in zip(columns, q, strict=True))  # (P, B)
        pieces = entries.mT.split([part[0].numel() for part in q], dim=1)
        gradient = tuple(piece.reshape(part.shape) for piece, part in zip(pieces, q, strict=True))
        return with_gradient(losses, problem.theta, gradient)


def _identity(theta: Params) -> Params:
    """The columns of the identity as weights, the same for every task: a tuple of (P, B, \\*shape)."""
    sizes = [t[0].numel() for t in theta]
    unit = torch.eye(sum(sizes), dtype=theta[0].dtype, device=theta[0].device).split(sizes, dim=1)
    return tuple(u.reshape(-1, 1, *t.shape[1:]).expand(-1, *t.shape) for u, t in zip(unit, theta, strict=True))
