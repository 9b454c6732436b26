"""What every algorithm does on the linear model, in closed form: the oracle of the tests and the book's exact toy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mamlbook.tasks.base import Tasks


class ClosedForm:
    """What S steps of gradient descent and each meta-gradient are, exactly, for ``networks.linear`` on given tasks.

    With A = X^T X and r = X^T y on the support set (Q, q on the query set), an inner step is the affine map
    phi <- phi - alpha (A phi - r). After S of them phi = J theta + k with J = (I - alpha A)^S, and with the query
    gradient g(phi) = Q phi - q the meta-gradients are

        joint mean g(theta),   MAML mean J^T g(phi),   FOMAML mean g(phi),   Reptile mean (theta - phi).

    Each is affine in theta, so its fixed point solves one linear system. With the pull ``lam`` a step is
    phi <- phi - alpha ((A + lam I) phi - r - lam theta), and iMAML's is mean ((1 + damping) I + A / lam)^-1 g(phi). The
    pull and the damping are those of iMAML's rows and of no other; the paper's iMAML has ``damping`` 0.

    Shapes: ``tasks`` of (B, K, d) and (B, K, 1); theta is (d,), phi is (B, d).
    """

    def __init__(self, tasks: Tasks, alpha: float, steps: int, lam: float = 5.0, damping: float = 1.0):
        (x, y), (xq, yq), _ = tasks
        self.support_curvature, support_pull = x.mT @ x, (x.mT @ y)[..., 0]
        self.query_curvature, self.query_pull = xq.mT @ xq, (xq.mT @ yq)[..., 0]
        self.query = tasks.query
        self.identity = torch.eye(x.shape[-1], dtype=x.dtype)
        self.alpha, self.steps, self.support_pull = alpha, steps, support_pull
        self.lam, self.damping = lam, damping
        self.one_step = one_step = self.identity - alpha * self.support_curvature
        self.jacobian = torch.linalg.matrix_power(one_step, steps)
        self.offset = torch.zeros_like(support_pull)
        for _ in range(steps):
            self.offset = (one_step @ self.offset[..., None])[..., 0] + alpha * support_pull

    def adapted(self, theta: Tensor) -> Tensor:
        """phi_b after S steps from theta: (B, d)."""
        return self.jacobian @ theta + self.offset

    def pulled(self, theta: Tensor) -> Tensor:
        """phi_b after S steps from theta with the pull towards it: (B, d)."""
        curvature = self.support_curvature + self.lam * self.identity
        minimum = torch.linalg.solve(curvature, self.support_pull + self.lam * theta)
        left = torch.linalg.matrix_power(self.identity - self.alpha * curvature, self.steps)
        return minimum + (left @ (theta - minimum)[..., None])[..., 0]

    def implicit(self, theta: Tensor) -> Tensor:
        """The implicit gradient at that phi, ((1 + damping) I + A / lam)^-1 g(phi): (B, d)."""
        damped = (1 + self.damping) * self.identity + self.support_curvature / self.lam
        return torch.linalg.solve(damped, self.query_gradient(self.pulled(theta)))

    def series(self, theta: Tensor, products: int, rate: float) -> Tensor:
        """The Neumann series in its place, undamped: (B, d).

        sum_{j=0}^{products} rate lam (I - rate lam M)^j g(phi) = M^-1 (I - (I - rate lam M)^{products + 1}) g(phi)
        with M = I + A / lam.
        """
        g, pulled = self.query_gradient(self.pulled(theta)), self.identity + self.support_curvature / self.lam
        left = torch.linalg.matrix_power(self.identity - rate * self.lam * pulled, products + 1)
        return torch.linalg.solve(pulled, g - (left @ g[..., None])[..., 0])

    def query_gradient(self, phi: Tensor) -> Tensor:
        """g(phi) = Q phi - q of each task: (B, d) or (d,) to (B, d)."""
        return (self.query_curvature @ phi.expand(self.query_pull.shape)[..., None])[..., 0] - self.query_pull

    def loss(self, theta: Tensor) -> Tensor:
        """The mean query loss after adaptation from theta: the MAML objective."""
        y_hat = self.query.x @ self.adapted(theta)[..., None]
        return (y_hat - self.query.y).square().sum((1, 2)).mean() / 2

    def meta_gradient(self, algorithm: str, theta: Tensor) -> Tensor:
        """The mean over tasks of the algorithm's meta-gradient at theta: (d,).

        Raises:
            ValueError: there is no closed form under that name.
        """
        known = META_GRADIENTS | WITH_PLAIN_STEPS
        if algorithm not in known:
            raise ValueError(f"algorithm: expected one of {sorted(known)}, got {algorithm!r}")
        return known[algorithm](self, theta).mean(0)

    def fixed_point(self, algorithm: str) -> Tensor:
        """The theta at which the algorithm's meta-gradient vanishes: (d,)."""
        zero = torch.zeros_like(self.query_pull[0])
        at_zero = self.meta_gradient(algorithm, zero)
        columns = [self.meta_gradient(algorithm, unit) - at_zero for unit in torch.eye(len(zero), dtype=zero.dtype)]
        return torch.linalg.solve(torch.stack(columns, 1), -at_zero)


def _maml(exact: ClosedForm, theta: Tensor) -> Tensor:
    return (exact.jacobian.mT @ exact.query_gradient(exact.adapted(theta))[..., None])[..., 0]


def _truncated(exact: ClosedForm, theta: Tensor) -> Tensor:
    last = torch.linalg.matrix_power(exact.one_step, min(exact.steps, 1))
    return (last.mT @ exact.query_gradient(exact.adapted(theta))[..., None])[..., 0]


META_GRADIENTS: dict[str, Callable[[ClosedForm, Tensor], Tensor]] = {
    "joint": lambda exact, theta: exact.query_gradient(theta),
    "maml": _maml,
    "fomaml": lambda exact, theta: exact.query_gradient(exact.adapted(theta)),
    "reptile": lambda exact, theta: theta - exact.adapted(theta),
    "truncated": _truncated,
    "forward-mode": _maml,
    "finite-difference": _maml,  # the gradient is linear, so its central difference is exact
}
"""Each algorithm's meta-gradient per task, (B, d), written out for the linear model."""

WITH_PLAIN_STEPS: dict[str, Callable[[ClosedForm, Tensor], Tensor]] = {
    "imaml": lambda exact, theta: exact.implicit(theta),
    "imaml-neumann": lambda exact, theta: exact.series(theta, products=5, rate=0.003),
}
"""The same for rows whose own inner steps are those of another rule than plain gradient descent."""
