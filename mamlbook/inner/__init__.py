"""How a task is solved: theta, support -> phi."""

from mamlbook.inner.annealing import Annealed
from mamlbook.inner.base import ALL, Adapted, Solver
from mamlbook.inner.beside import SupportFirst
from mamlbook.inner.context import context, reset_context
from mamlbook.inner.descent import GradientDescent
from mamlbook.inner.langevin import Langevin
from mamlbook.inner.noise import DropGrad
from mamlbook.inner.pattern import Pattern, layers
from mamlbook.inner.rates import LearnedRates
from mamlbook.inner.transforms import Place, Transform, body, head, keep, weights

__all__ = [
    "ALL",
    "Adapted",
    "Annealed",
    "DropGrad",
    "GradientDescent",
    "Langevin",
    "LearnedRates",
    "Pattern",
    "Place",
    "Solver",
    "SupportFirst",
    "Transform",
    "body",
    "context",
    "head",
    "keep",
    "layers",
    "reset_context",
    "weights",
]
