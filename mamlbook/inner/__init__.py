"""How a task is solved: theta, support -> phi."""

from mamlbook.inner.base import ALL, Adapted, Solver
from mamlbook.inner.descent import GradientDescent
from mamlbook.inner.few_iteration import Residuals, Squared
from mamlbook.inner.heads import MinimumNorm, prototypes
from mamlbook.inner.kernel import Features, Kernel, KernelFlow, KernelRidge, Tangent, jacobian
from mamlbook.inner.line_search import LineSearch
from mamlbook.inner.transforms import Place, Transform, body, head, keep, weights

__all__ = [
    "ALL",
    "Adapted",
    "Features",
    "GradientDescent",
    "Kernel",
    "KernelFlow",
    "KernelRidge",
    "LineSearch",
    "MinimumNorm",
    "Place",
    "Residuals",
    "Solver",
    "Squared",
    "Tangent",
    "Transform",
    "body",
    "head",
    "jacobian",
    "keep",
    "prototypes",
    "weights",
]
