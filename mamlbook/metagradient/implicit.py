"""iMAML: the gradient of the solution that the inner loop looks for, whatever way it took there."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.checks import non_negative, positive, whole_number
from mamlbook.inner.base import Adapted, Solver
from mamlbook.inner.descent import GradientDescent
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.local import inner_gradient, query_gradient, require_proximal
from mamlbook.model import Model
from mamlbook.numerics import Params, Solution, add_scaled, as_leaves, conjugate_gradient, with_gradient
from mamlbook.torch_internals import being_traced

METHODS = ("cg", "neumann")


class Implicit(MetaGradient):
    """The Jacobian of the minimum of the pulled objective, taken at phi_S.

    phi* = argmin L_b^support(phi) + lam / 2 ||phi - theta||^2  has  d phi* / d theta = (I + H_b / lam)^-1,  so
    grad s_b = v  with  ((1 + damping) I + H_b / lam) v = grad L_b(phi_S),  H_b the Hessian of the support loss.

    ``iterations`` is the number of Hessian-vector products. "cg" spends them on conjugate gradients; where these meet
    a curvature that is not positive, they stop (see ``solve``). "neumann" sums a series,

    v = rate sum_{j=0}^{iterations} (I - rate M)^j lam grad L_b(phi_S),  M = H_b + (1 + damping) lam I,

    which tends to the same v if every eigenvalue of M lies between 0 and 2 / rate. Without a ``rate`` it is the
    solver's alpha: the condition is then that of the inner loop. Only phi_S is looked at, so memory does not grow
    with the steps, and any rule may have found it. Of the solver's own learned weights it gives no gradient.

    Shapes: the result is (B,).

    Raises:
        ValueError: ``iterations`` below 1, an unknown ``method``, a ``rate`` or ``damping`` out of range; when a
            learner is made, a solver without a proximal term, or that leaves some weights at theta; when called, a
            network or a loss that draws random numbers, whose objective has no minimum to differentiate.

    References: [Rajeswaran et al., 2019](https://arxiv.org/abs/1909.04630); the series for hyper-gradients,
    [Lorraine et al., 2020](https://arxiv.org/abs/1911.02590).
    """

    indefinite: Tensor | None = None
    """Which tasks of the last meta-batch met a curvature <= 0, (B,): their v is what conjugate gradients had by then.

    None before the first meta-batch; a compiled meta-step leaves it as it was. It stays on its device.
    """

    def __init__(self, iterations: int = 5, method: str = "cg", rate: float | None = None, damping: float = 0.0):
        super().__init__()
        self.iterations = whole_number("iterations", iterations)
        if method not in METHODS:
            raise ValueError(f"method: expected one of {METHODS}, got {method!r}")
        self.method = method
        self.rate = None if rate is None else positive("rate", "number", rate, ", or None for the solver's alpha")
        self.damping = non_negative("damping", "number", damping)

    def require(self, model: Model, solver: Solver) -> None:
        require_proximal(solver, "without it the minimum does not depend on theta, and its gradient is zero")
        if isinstance(solver, GradientDescent) and not all(solver.adapts(model, 0)):
            raise ValueError("solver: expected every weight to adapt; one that stays at theta is no part of a minimum")
        if self.method == "neumann":
            self._rate(solver)

    def forward(self, batch: MetaBatch) -> Tensor:
        adapted = batch.solve(unroll=0)
        losses, q = query_gradient(batch, adapted)
        solution = self.solve(batch, adapted, q)
        if not being_traced():
            self.indefinite = solution.indefinite
        return with_gradient(losses, batch.theta, solution.x)

    def solve(self, batch: MetaBatch, adapted: Adapted, q: Params) -> Solution:
        """v of ((1 + damping) I + H_b / lam) v = q at ``adapted.phi``, and for "cg" which tasks met a curvature <= 0.

        Shapes: ``q`` and v are tuples of (B, \\*shape).
        """
        lam = batch.solver.proximal
        phi = as_leaves(adapted.phi)
        gradient = inner_gradient(batch, adapted, phi, graph=True)

        def product(v: Params) -> Params:  # the Hessian of the pulled objective has lam on its diagonal already
            turned = torch.autograd.grad(gradient, phi, v, retain_graph=True, materialize_grads=True)
            return add_scaled(turned, lam * self.damping, v)

        right = tuple(lam * part for part in q)
        if self.method == "cg":
            return conjugate_gradient(product, right, self.iterations)
        rate = self._rate(batch.solver)
        term = total = tuple(rate * part for part in right)
        for _ in range(self.iterations):
            term = add_scaled(term, -rate, product(term))
            total = add_scaled(total, 1, term)
        return Solution(total, torch.zeros(len(q[0]), dtype=torch.bool, device=q[0].device))

    def _rate(self, solver: Solver) -> float | Tensor:
        if self.rate is not None:
            return self.rate
        if not isinstance(solver, GradientDescent) or not (isinstance(solver.alpha, Tensor) or solver.alpha > 0):
            raise ValueError(f"rate: expected one, since the solver {type(solver).__name__} has no alpha above 0")
        return solver.alpha

    def extra_repr(self) -> str:
        parts = [f"iterations={self.iterations}", f"method={self.method!r}"]
        parts += [f"rate={self.rate:g}"] if self.rate is not None else []
        parts += [f"damping={self.damping:g}"] if self.damping else []
        return ", ".join(parts)
