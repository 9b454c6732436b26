"""How a task is solved: theta, support -> phi."""

from mamlbook.inner.annealing import DerivativeAnnealing
from mamlbook.inner.base import ALL, Adapted, Solver
from mamlbook.inner.clipping import Clipped
from mamlbook.inner.context_vector import context, reset_context
from mamlbook.inner.descent import GradientDescent
from mamlbook.inner.few_iteration import ResidualLoss, SquaredParameter
from mamlbook.inner.heads import MinimumNormHead, PrototypeHead
from mamlbook.inner.kernel import FeatureKernel, Kernel, KernelFlow, KernelRidge, TangentKernel, jacobian
from mamlbook.inner.langevin import LangevinNoise
from mamlbook.inner.line_search import LineSearch
from mamlbook.inner.noise import DropGrad
from mamlbook.inner.pattern import LambdaPattern, layers
from mamlbook.inner.per_step_norms import PerStepNorms
from mamlbook.inner.rates import LearnedRates
from mamlbook.inner.selection import Selector, body, head, keep, without_norms
from mamlbook.inner.support_first import SupportFirst
from mamlbook.inner.transforms import Place, Transform

__all__ = [
    "ALL",
    "Adapted",
    "Clipped",
    "DerivativeAnnealing",
    "DropGrad",
    "FeatureKernel",
    "GradientDescent",
    "Kernel",
    "KernelFlow",
    "KernelRidge",
    "LambdaPattern",
    "LangevinNoise",
    "LearnedRates",
    "LineSearch",
    "MinimumNormHead",
    "PerStepNorms",
    "Place",
    "PrototypeHead",
    "ResidualLoss",
    "Selector",
    "Solver",
    "SquaredParameter",
    "SupportFirst",
    "TangentKernel",
    "Transform",
    "body",
    "context",
    "head",
    "jacobian",
    "keep",
    "layers",
    "reset_context",
    "without_norms",
]
