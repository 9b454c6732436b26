"""Two quadratic tasks h_b / 2 (phi - c_b)^2, as the package solves them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mamlbook.algorithms.linear_model import META_GRADIENTS, ClosedForm
from mamlbook.tasks.quadratic import Quadratics


def closed_form(h: Sequence[float], c: Sequence[float], alpha: float, steps: int, lam: float = 1.0) -> ClosedForm:
    """What S steps, with the pull ``lam`` or without, make of a start."""
    return ClosedForm(Quadratics(h, c).all(), alpha, steps, lam)


def task_weights(method: str, h: Sequence[float], alpha: float, steps: int) -> list[float]:
    """What each task weighs for a method: its meta-gradient at the distance 1 from its optimum."""
    exact = closed_form(h, [0.0] * len(h), alpha, steps)
    return META_GRADIENTS[method](exact, torch.ones(1, dtype=torch.float64)).flatten().tolist()


def kept(h: Sequence[float], lam: float) -> list[float]:
    """What the exact solution under a pull keeps of the distance to each optimum, lam / (h + lam)."""
    return [lam / (curvature + lam) for curvature in h]


def mean_optimum(weights: Sequence[float], c: Sequence[float]) -> float | None:
    """Where an outer loop with these weights ends, or None where they cancel or sum to less than 0."""
    if sum(weights) <= 1e-12 * sum(map(abs, weights)):
        return None
    return sum(w * optimum for w, optimum in zip(weights, c, strict=True)) / sum(weights)
