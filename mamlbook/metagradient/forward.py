"""Forward mode: the Jacobian of the inner loop, or what it makes of a few directions, is carried along with it."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.inner.base import Solver
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.local import inner_gradient, plain_path, query_gradient, require_plain_steps
from mamlbook.model import Model
from mamlbook.numerics import Params, add_scaled, per_task, with_gradient


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
        losses, entries, q = _carried(batch, _identity(batch.theta))  # (P, B): Z has all the columns
        pieces = entries.mT.split([part[0].numel() for part in q], dim=1)
        gradient = tuple(piece.reshape(part.shape) for piece, part in zip(pieces, q, strict=True))
        return with_gradient(losses, batch.theta, gradient)


class RandomForward(MetaGradient):
    """MAML's gradient by forward mode along a few random directions: an estimate whose mean is the gradient.

    grad s_b = 1 / n sum_k (grad L_b(phi_S)^T Z_S e_k) e_k,  k = 1..n,  Z_S as in ``ForwardMode``,

    the entries of e_k being 1 or -1 with equal chances. Z e_k is carried along with the steps, so that each costs n
    Hessian-vector products, and neither a step nor Z has to be kept. The variance is (P - 1) / n times the squared
    length of the gradient, for P weights. Each task has directions of its own.

    Shapes: the result is (B,).

    Raises:
        ValueError: fewer than 1 direction; when a learner is made, a solver that takes other steps than plain gradient
            descent from theta; when called, a network or a loss that draws random numbers.

    References: [Shen et al., 2024](https://arxiv.org/abs/2406.14095); for any program,
    [Baydin et al., 2022](https://arxiv.org/abs/2202.08587).
    """

    def __init__(self, directions: int = 1):
        super().__init__()
        self.directions = whole_number("directions", directions)

    def require(self, model: Model, solver: Solver) -> None:
        require_plain_steps(solver)

    def forward(self, batch: MetaBatch) -> Tensor:
        e = tuple(torch.randn(self.directions, *t.shape, dtype=t.dtype, device=t.device).sign() for t in batch.theta)
        losses, slopes, _ = _carried(batch, e)
        estimates = ((per_task(slopes.flatten(), z[0]) * z.flatten(0, 1)).unflatten(0, slopes.shape) for z in e)
        return with_gradient(losses, batch.theta, [estimate.mean(0) for estimate in estimates])

    def extra_repr(self) -> str:
        return f"directions={self.directions}"


def _carried(batch: MetaBatch, start: Params) -> tuple[Tensor, Tensor, Params]:
    """What moves at phi_S when theta moves along each of the directions: losses, their slopes, and grad L_b(phi_S).

    Shapes: ``start`` is a tuple of (n, B, \\*shape); the results are (B,), (n, B) and a tuple of (B, \\*shape).
    """
    path = plain_path(batch)
    alpha, lam = batch.solver.alpha, batch.solver.proximal
    columns, adapted = start, next(path)
    for following in path:
        gradient = inner_gradient(batch, adapted, adapted.phi, graph=True)
        turned = torch.autograd.grad(gradient, adapted.phi, columns, is_grads_batched=True, materialize_grads=True)
        columns, adapted = add_scaled(add_scaled(columns, -alpha, turned), alpha * lam, start), following
    losses, q = query_gradient(batch, adapted)
    parts = [(z * part).reshape(*z.shape[:2], -1).sum(2) for z, part in zip(columns, q, strict=True)]
    slopes = torch.stack(parts).sum(0)
    return losses, slopes, q


def _identity(theta: Params) -> Params:
    """The columns of the identity as weights, the same for every task: a tuple of (P, B, \\*shape)."""
    sizes = [t[0].numel() for t in theta]
    unit = torch.eye(sum(sizes), dtype=theta[0].dtype, device=theta[0].device).split(sizes, dim=1)
    return tuple(u.reshape(-1, 1, *t.shape[1:]).expand(-1, *t.shape) for u, t in zip(unit, theta, strict=True))
