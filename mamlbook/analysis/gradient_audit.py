"""Which gradient is this? A finite difference of the objective tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mamlbook.learner import MetaLearner
from mamlbook.metagradient import Exact, FirstOrder
from mamlbook.numerics import Params
from mamlbook.tasks.base import Tasks


class GradientCheck(NamedTuple):
    """Slopes along one random direction v: of the objective itself, of the gradient on trial, and of FOMAML's.

    ``verdict`` is "MAML", "FOMAML", "neither", or "no gradient" where some of it is missing.
    """

    verdict: str
    finite_difference: float
    gradient: float
    fomaml: float

    def __str__(self) -> str:
        slopes = f"objective {self.finite_difference:+.4f}   this {self.gradient:+.4f}   FOMAML {self.fomaml:+.4f}"
        return f"{self.verdict:11}  slopes: {slopes}"


def gradient_check(
    gradient: Sequence[Tensor | None],
    learner: MetaLearner,
    tasks: Tasks,
    *,
    step: float = 1e-5,
    seed: int = 0,
    within: float = 1e-6,
) -> GradientCheck:
    """Name the gradient that some code computed, by the slope of the objective along a random direction v.

    (F(theta + h v) - F(theta - h v)) / 2h  is  <grad F, v>  up to O(h^2); FOMAML's slope is <g_FOMAML, v>. F is the
    mean query loss after the learner's own solver. Use double precision, and a smooth activation: across a kink of
    the inner loop the objective jumps, and the difference measures the jump.

    Shapes: ``gradient`` is one (\\*shape) per weight; ``None`` or an empty gradient stands for a missing one.

    Raises:
        ValueError: the gradient has not one tensor for each weight, or the model is not in double precision.
    """
    model = learner.model
    theta = model.theta
    if len(gradient) != len(theta):
        raise ValueError(f"gradient: expected {len(theta)} tensors, one per weight of the network, got {len(gradient)}")
    if theta[0].dtype != torch.float64:
        raise ValueError(f"learner: expected weights in double precision, got {theta[0].dtype}; call learner.double()")
    generator = torch.Generator().manual_seed(seed)
    direction = tuple(torch.randn(t.shape, generator=generator, dtype=t.dtype).to(t.device) for t in theta)
    exact = MetaLearner(model, learner.solver, Exact(), learner.weighting)
    ahead, behind = (_objective_at(exact, tasks, direction, sign * step) for sign in (1, -1))
    slope = (ahead - behind) / (2 * step)
    fomaml = _along(MetaLearner(model, learner.solver, FirstOrder(), learner.weighting).meta_gradient(tasks), direction)
    if any(g is None for g in gradient):
        return GradientCheck("no gradient", slope, float("nan"), fomaml)
    given = _along(gradient, direction)
    scale = within * max(abs(slope), abs(fomaml))
    verdict = "MAML" if abs(given - slope) <= scale else "FOMAML" if abs(given - fomaml) <= scale else "neither"
    return GradientCheck(verdict, slope, given, fomaml)


def _along(gradient: Sequence[Tensor], direction: Params) -> float:
    return sum((g.detach() * d).sum().item() for g, d in zip(gradient, direction, strict=True))


def _objective_at(learner: MetaLearner, tasks: Tasks, direction: Params, distance: float) -> float:
    """F(theta + distance v); theta is put back exactly, whatever happens."""
    start = [t.detach().clone() for t in learner.model.theta]
    try:
        with torch.no_grad():
            for t, d in zip(learner.model.theta, direction, strict=True):
                t.add_(d, alpha=distance)
        return learner(tasks)[0].item()
    finally:
        with torch.no_grad():
            for t, s in zip(learner.model.theta, start, strict=True):
                t.copy_(s)
