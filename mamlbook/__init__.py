"""Model-agnostic meta-learning, exact and differentiable.

Every algorithm of the book changes one factor of one formula; the folders of this package are the factors::

    theta  <-  theta - beta * sum_b  w_b  (d phi_b / d theta)^T  grad L_b(phi_b),    phi_b = inner(theta, support_b)
               outer step           weighting   metagradient     tasks (query)               inner

The letters are the same in prose, equations and code: theta meta-parameters, phi adapted parameters (task axis
first), alpha inner rate, beta outer rate, S inner steps, B tasks, K shots, N ways, w task weights.

Beside the factors stand ``execution``, the same numbers faster, ``analysis``, what a learner does and costs, and
``pages``, what the book needs and nothing here imports.
"""

import importlib
from types import ModuleType

from mamlbook import algorithms, inner, metagradient, tasks, weighting
from mamlbook.algorithms import *  # noqa: F403
from mamlbook.analysis import GradientCheck, cost, gradient_check
from mamlbook.evaluation import accuracy, confidence, evaluate
from mamlbook.execution import Compiled, Execution, NotTraceable, processes
from mamlbook.inner import *  # noqa: F403
from mamlbook.layers import BatchNorm, FixedNorm, TaskNorm
from mamlbook.learner import MetaLearner
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient import *  # noqa: F403
from mamlbook.model import Model
from mamlbook.model_zoo import Pretrained, pretrained
from mamlbook.networks import Recurrent, contextual, conv4, linear, mlp
from mamlbook.numerics import Params, distance
from mamlbook.parts import Part
from mamlbook.tasks import *  # noqa: F403
from mamlbook.training import History, NonFinite, NonFiniteLoss, fit, fit_replicas
from mamlbook.weighting import *  # noqa: F403

__all__ = [
    "BatchNorm",
    "Compiled",
    "Execution",
    "FixedNorm",
    "GradientCheck",
    "History",
    "MetaBatch",
    "MetaLearner",
    "Model",
    "NonFinite",
    "NonFiniteLoss",
    "NotTraceable",
    "Params",
    "Part",
    "Pretrained",
    "Recurrent",
    "TaskNorm",
    "accuracy",
    "confidence",
    "contextual",
    "conv4",
    "cost",
    "distance",
    "evaluate",
    "fit",
    "fit_replicas",
    "gradient_check",
    "linear",
    "mlp",
    "pretrained",
    "processes",
]
for _factor in (tasks, inner, metagradient, weighting, algorithms):
    __all__ += _factor.__all__


def __getattr__(name: str) -> ModuleType:
    """``mamlbook.pages``, and what else is imported by those only who ask for it."""
    if name == "pages":
        return importlib.import_module("mamlbook.pages")
    raise AttributeError(f"module 'mamlbook' has no attribute {name!r}")
