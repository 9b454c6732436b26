"""Model-agnostic meta-learning, exact and differentiable.

Every algorithm of the book changes one factor of one formula; the folders of this package are the factors::

    theta  <-  theta - beta * sum_b  w_b  (d phi_b / d theta)^T  grad L_b(phi_b),    phi_b = inner(theta, support_b)
               outer step           weighting   metagradient     tasks (query)               inner

The letters are the same in prose, equations and code: theta meta-parameters, phi adapted parameters (task axis
first), alpha inner rate, beta outer rate, S inner steps, B tasks, K shots, N ways, w task weights.
"""

from mamlbook.algorithms import ALGORITHMS, fomaml, joint, maml, reptile
from mamlbook.evaluation import accuracy, confidence, evaluate
from mamlbook.inner import ALL, Adapted, GradientDescent, body, head, keep, without_norms
from mamlbook.layers import BatchNorm
from mamlbook.learner import MetaLearner
from mamlbook.metagradient import Exact, FirstOrder, Reptile
from mamlbook.model import Model
from mamlbook.networks import conv4, linear, mlp
from mamlbook.numerics import Params, distance
from mamlbook.tasks.base import Data, TaskDistribution, Tasks
from mamlbook.tasks.sinusoid import Sinusoids
from mamlbook.training import History, fit
from mamlbook.weighting import UniformWeights

__all__ = [
    "ALGORITHMS",
    "ALL",
    "Adapted",
    "BatchNorm",
    "Data",
    "Exact",
    "FirstOrder",
    "GradientDescent",
    "History",
    "MetaLearner",
    "Model",
    "Params",
    "Reptile",
    "Sinusoids",
    "TaskDistribution",
    "Tasks",
    "UniformWeights",
    "accuracy",
    "body",
    "confidence",
    "conv4",
    "distance",
    "evaluate",
    "fit",
    "fomaml",
    "head",
    "joint",
    "keep",
    "linear",
    "maml",
    "mlp",
    "reptile",
    "without_norms",
]
