"""Meta-gradients of a random solution: along the noisy path, or from how loss and solution vary together."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.inner.base import ALL, Solver
from mamlbook.inner.descent import GradientDescent
from mamlbook.inner.langevin import LangevinNoise
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.local import require_proximal
from mamlbook.metagradient.sampling import repeated, spread
from mamlbook.model import Model
from mamlbook.numerics import per_task, with_gradient


class PathwiseGradient(MetaGradient):
    """The query loss of the last solutions on a noisy path, differentiated along the path with its noise held fixed.

    s_b = mean over the last M steps (all, if fewer) of L_b(phi_b^s),  grad s_b = mean_s Z_s^T grad L_b(phi_b^s),  where
    Z_{s+1} = (I - alpha H_s) Z_s + alpha lam I  is what a step does to d phi / d theta.

    Over the noise of ``Langevin`` this estimates the gradient of the expected query loss without bias; without noise
    and with M = 1 it is ``Exact``. A reconstruction: the objective, the expected query loss of a Langevin sample, is in
    the abstract of the paper below, but not its own first-order approximation, and this gradient follows from the
    definition.

    Shapes: the result is (B,).

    Raises:
        ValueError: ``last`` below 1.

    References: [Kim and Hospedales, 2025](https://arxiv.org/abs/2410.10417).
    """

    def __init__(self, last: int = 1):
        super().__init__()
        self.last = whole_number("last", last, 1, "a whole number of last solutions to average over,")

    def forward(self, batch: MetaBatch) -> Tensor:
        path = list(batch.path(unroll=ALL))
        solutions = path[1:] or path  # the unadapted start is no draw
        return torch.stack([batch.query(adapted) for adapted in solutions[-self.last :]]).mean(0)

    def extra_repr(self) -> str:
        return f"last={self.last}"


class ScoreFunction(MetaGradient):
    """The covariance of query loss and solution, over independent noisy paths of each task.

    grad E[L_b] = lam / T Cov(L_b(phi_b), phi_b)  if phi_b is drawn from the density proportional to
    exp(-(L_support(phi) + lam / 2 ||phi - theta||^2) / T); lam and T are those of the solver.

    Nothing is differentiated at the solution, not even the query loss. The covariance is that of ``paths`` paths, which
    must be long enough to forget their start; then it is unbiased. A reconstruction, as ``PathwiseGradient`` is.

    Shapes: the result is (B,).

    Raises:
        ValueError: fewer than 2 paths; when a learner is made, a solver without ``LangevinNoise`` or proximal term.

    References: [Kim and Hospedales, 2025](https://arxiv.org/abs/2410.10417) for the problem.
    """

    def __init__(self, paths: int):
        super().__init__()
        self.paths = whole_number("paths", paths, 2, "a whole number of paths, since a covariance needs them,")

    def require(self, model: Model, solver: Solver) -> None:
        require_proximal(solver, "theta enters the density through it")
        if not _temperature(solver) > 0:
            raise ValueError(
                "solver: expected steps with noise, GradientDescent(alpha, steps, LangevinNoise(temperature), lam=...) "
                f"with a temperature above 0, got {solver}; without noise there is no density"
            )

    def forward(self, batch: MetaBatch) -> Tensor:
        many = repeated(batch, self.paths)
        lam, temperature = batch.solver.proximal, _temperature(batch.solver)
        with torch.no_grad():
            adapted = many.solve(unroll=0)
            losses = spread(many.query(adapted), self.paths)
            away = losses - losses.mean(0)
            scale = lam / temperature / (self.paths - 1)
            covariance = [
                (per_task(scale * away.flatten(), phi) * phi).unflatten(0, away.shape).sum(0) for phi in adapted.phi
            ]
        return with_gradient(losses.mean(0), batch.theta, covariance)

    def extra_repr(self) -> str:
        return f"paths={self.paths}"


def _temperature(solver: Solver) -> float:
    """The temperature of the solver's noise; 0 without noise."""
    transforms = solver.transforms if isinstance(solver, GradientDescent) else ()
    return sum(change.temperature for change in transforms if isinstance(change, LangevinNoise))
