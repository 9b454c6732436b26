"""EvoGrad and ES-MAML: a few random candidates are compared, and the comparison is the gradient."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mamlbook.checks import positive, whole_number
from mamlbook.inner.base import Solver
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.local import require_proximal
from mamlbook.metagradient.sampling import repeated, spread
from mamlbook.model import Model
from mamlbook.network_errors import refusing_draws
from mamlbook.numerics import detached, per_task, with_gradient


class EvoGrad(MetaGradient):
    """Candidates around the solution are weighted by the inner objective; theta is felt through those weights alone.

    phi_k = sg(phi) + sigma sign(eps_k),  v = softmax_k(-F(theta, phi_k) / tau),  s_b = L_b(sum_k v_k phi_k).

    So theta has to enter the inner objective F, here by its pull, F = L_support + lam / 2 ||phi - theta||^2. For
    small sigma the gradient is, on average over the candidates, lam sigma^2 / tau (K - 1) / K times the first-order
    one. No second derivative, and none of the support loss at the candidates.

    To learn a start in this way is a construction of this book. In the reference theta is no start but a
    hyperparameter of the training loss, the candidates surround the current weights of one model, and their
    weighted mean takes the place of the inner step.

    Shapes: the result is (B,).

    Raises:
        ValueError: fewer than 2 candidates, a width or temperature that is not above 0, or a solver whose objective
            does not depend on theta; when called, a network or a loss that draws random numbers.

    References: [Bohdal et al., 2021](https://arxiv.org/abs/2106.10575).
    """

    def __init__(self, candidates: int = 2, sigma: float = 0.01, temperature: float = 0.05):
        super().__init__()
        self.candidates = whole_number("candidates", candidates, 2, "a whole number of candidates to compare")
        self.sigma = positive("sigma", "width", sigma)
        self.temperature = positive("temperature", "temperature", temperature)

    def require(self, model: Model, solver: Solver) -> None:
        require_proximal(solver, "theta is felt through it alone, and without it EvoGrad has no gradient")

    def forward(self, batch: MetaBatch) -> Tensor:
        adapted = batch.solve(unroll=0)
        many = repeated(batch, self.candidates)
        centre = (p.repeat(self.candidates, *[1] * (p.ndim - 1)) for p in detached(adapted.phi))
        candidates = tuple(p + self.sigma * torch.randn_like(p).sign() for p in centre)
        with refusing_draws("candidates are compared, and other draws make each another function"):
            scores = spread(next(many.path(unroll=0)).inner(many.theta, candidates), self.candidates)
        v = torch.softmax(-scores / self.temperature, 0)
        mixed = tuple(spread(per_task(v.flatten(), p) * p, self.candidates).sum(0) for p in candidates)
        return batch.query(adapted._replace(phi=mixed))

    def extra_repr(self) -> str:
        return f"candidates={self.candidates}, sigma={self.sigma:g}, temperature={self.temperature:g}"


class EvolutionStrategies(MetaGradient):
    """Evolution strategies: theta is moved at random to both sides, and the losses there say which side is better.

    grad s_b = 1 / (2 n sigma) sum_k (L_b(phi(theta + sigma e_k)) - L_b(phi(theta - sigma e_k))) e_k,  k = 1..n.

    The directions e_k are Gaussian, or with ``orthogonal`` at right angles and of the mean length of Gaussian ones,
    sqrt(P). The average over them is the gradient of the loss smoothed over N(theta, sigma^2 I), and for a quadratic
    loss the gradient itself. Nothing outside the inner loop is differentiated, and the inner loop may be anything: that
    of the reference may be an evolution strategy too, and that of the row ``es-maml`` follows gradients. Each task has
    directions of its own.

    Shapes: the result is (B,).

    Raises:
        ValueError: fewer than 1 pair, a width that is not above 0; when called, more orthogonal directions than
            weights, or a network or a loss that draws random numbers.

    References: [Song et al., 2020](https://arxiv.org/abs/1910.01215).
    """

    def __init__(self, pairs: int, sigma: float, *, orthogonal: bool = False):
        super().__init__()
        self.pairs = whole_number("pairs", pairs, 1, "a whole number of pairs of opposite directions")
        self.sigma, self.orthogonal = positive("sigma", "width", sigma), orthogonal

    def forward(self, batch: MetaBatch) -> Tensor:
        both = repeated(batch, 2 * self.pairs)
        directions = self._directions(both.theta, batch.tasks.size)
        with torch.no_grad():
            losses = batch.query(batch.solve(unroll=0))
            moved = tuple(
                t + self.sigma * torch.cat([e, -e]).flatten(0, 1) for t, e in zip(both.theta, directions, strict=True)
            )
            with refusing_draws("losses at two sides are compared, and other draws make them other functions"):
                ahead, behind = spread(both.query(both.solve(unroll=0, theta=moved)), 2 * self.pairs).chunk(2)
            slopes = (ahead - behind) / (2 * self.pairs * self.sigma)
            gradient = [
                (per_task(slopes.flatten(), e[0]) * e.flatten(0, 1)).unflatten(0, slopes.shape).sum(0)
                for e in directions
            ]
        return with_gradient(losses, batch.theta, gradient)

    def _directions(self, theta: tuple[Tensor, ...], count: int) -> list[Tensor]:
        """For each weight the directions of every pair and task: (n, B, \\*shape)."""
        sizes = [t[0].numel() for t in theta]
        total = sum(sizes)
        e = torch.randn(count, total, self.pairs, dtype=theta[0].dtype, device=theta[0].device)
        if self.orthogonal:
            if self.pairs > total:
                raise ValueError(f"pairs: expected at most the {total} weights of the network, got {self.pairs}")
            e = math.sqrt(total) * torch.linalg.qr(e).Q
        parts = e.permute(2, 0, 1).split(sizes, 2)
        return [
            part.unflatten(2, t.shape[1:]) if t.ndim > 1 else part[..., 0] for part, t in zip(parts, theta, strict=True)
        ]

    def extra_repr(self) -> str:
        return f"pairs={self.pairs}, sigma={self.sigma:g}, orthogonal={self.orthogonal}"
