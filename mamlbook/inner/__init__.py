"""How a task is solved: theta, support -> phi."""

from mamlbook.inner.base import ALL, Adapted, Solver
from mamlbook.inner.descent import GradientDescent
from mamlbook.inner.langevin import Langevin
from mamlbook.inner.transforms import Place, Transform, body, head, keep, weights

__all__ = [
    "ALL",
    "Adapted",
    "GradientDescent",
    "Langevin",
    "Place",
    "Solver",
    "Transform",
    "body",
    "head",
    "keep",
    "weights",
]
