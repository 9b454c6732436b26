"""How a task is solved: theta, support -> phi."""

from mamlbook.inner.annealing import Annealed
from mamlbook.inner.base import ALL, Adapted, Solver
from mamlbook.inner.beside import SupportFirst
from mamlbook.inner.context import context, reset_context
from mamlbook.inner.descent import GradientDescent
from mamlbook.inner.few_iteration import Residuals, Squared
from mamlbook.inner.heads import MinimumNorm, prototypes
from mamlbook.inner.kernel import Features, Kernel, KernelFlow, KernelRidge, Tangent, jacobian
from mamlbook.inner.langevin import Langevin
from mamlbook.inner.line_search import LineSearch
from mamlbook.inner.noise import DropGrad
from mamlbook.inner.pattern import Pattern, layers
from mamlbook.inner.rates import LearnedRates
from mamlbook.inner.transforms import Place, Transform, body, head, keep, weights

__all__ = [
    "ALL",
    "Adapted",
    "Annealed",
    "DropGrad",
    "Features",
    "GradientDescent",
    "Kernel",
    "KernelFlow",
    "KernelRidge",
    "Langevin",
    "LearnedRates",
    "LineSearch",
    "MinimumNorm",
    "Pattern",
    "Place",
    "Residuals",
    "Solver",
    "Squared",
    "SupportFirst",
    "Tangent",
    "Transform",
    "body",
    "context",
    "head",
    "jacobian",
    "keep",
    "layers",
    "prototypes",
    "reset_context",
    "weights",
]
