"""Hessian-free MAML: every Hessian-vector product is the difference of two gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.checks import positive
from mamlbook.inner.base import Solver
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.local import inner_gradient, plain_path, query_gradient, require_plain_steps
from mamlbook.model import Model
from mamlbook.numerics import add_scaled, as_leaves, dot, per_task, with_gradient


class FiniteDifference(MetaGradient):
    """MAML's backward pass through the inner steps, with central differences in the place of second derivatives.

    v <- v - alpha (grad F_b(phi^s + e v) - grad F_b(phi^s - e v)) / 2e  for s = S-1, ..., 0,  from v = grad L_b(phi^S),
    with e = epsilon / ||v||, so that phi^s is moved by epsilon. With S = 1 this is the one-step approximation of DARTS.

    Nothing is differentiated twice, and no step keeps a graph; the S iterates themselves are kept. Where the network
    has a kink within epsilon, as ReLU networks have, the difference contains the jump there, which MAML's gradient
    does not.

    Shapes: the result is (B,).

    Raises:
        ValueError: ``epsilon`` is not a finite number above 0; when a learner is made, a solver that takes other steps
            than plain gradient descent from theta; when called, a network or a loss that draws random numbers.

    References: [Liu et al., 2019](https://arxiv.org/abs/1806.09055), section 2.3; for MAML,
    [Fallah et al., 2020](https://arxiv.org/abs/1908.10400).
    """

    def __init__(self, epsilon: float = 0.01):
        super().__init__()
        self.epsilon = positive("epsilon", "number", epsilon)

    def require(self, model: Model, solver: Solver) -> None:
        require_plain_steps(solver)

    def forward(self, batch: MetaBatch) -> Tensor:
        *path, last = plain_path(batch)
        alpha, lam = batch.solver.alpha, batch.solver.proximal
        losses, v = query_gradient(batch, last)
        total = tuple(torch.zeros_like(part) for part in v)
        for adapted in reversed(path):
            total = add_scaled(total, alpha * lam, v)  # theta enters each step once more, through the pull
            length = dot(v, v).sqrt()
            small = torch.where(length > 0, self.epsilon / torch.where(length > 0, length, 1.0), 1.0)
            ahead, behind = (
                inner_gradient(batch, adapted, as_leaves(add_scaled(adapted.phi, sign * small, v)), graph=False)
                for sign in (1, -1)
            )
            v = tuple(
                part - alpha * (a - b) / (2 * per_task(small, part))
                for part, a, b in zip(v, ahead, behind, strict=True)
            )
        return with_gradient(losses, batch.theta, add_scaled(total, 1, v))

    def extra_repr(self) -> str:
        return f"epsilon={self.epsilon:g}"
