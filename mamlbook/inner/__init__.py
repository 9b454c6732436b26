"""How a task is solved: theta, support -> phi."""

from mamlbook.inner.base import Adapted, Solver
from mamlbook.inner.descent import GradientDescent
from mamlbook.inner.transforms import Transform, keep, weights

__all__ = ["Adapted", "GradientDescent", "Solver", "Transform", "keep", "weights"]
