"""How the solution of a task is differentiated: a scalar whose theta-gradient is the meta-gradient."""

from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.checkpointed import Checkpointed
from mamlbook.metagradient.chunks import TaskChunks
from mamlbook.metagradient.energy import GradientEnergy
from mamlbook.metagradient.evolution import EvoGrad, EvolutionStrategies
from mamlbook.metagradient.exact import Exact
from mamlbook.metagradient.finite_difference import FiniteDifference
from mamlbook.metagradient.first_order import FirstOrder, Reptile
from mamlbook.metagradient.forward import ForwardMode
from mamlbook.metagradient.implicit import Implicit
from mamlbook.metagradient.langevin import PathwiseGradient, ScoreFunction
from mamlbook.metagradient.memory import MOML, LocalMOML
from mamlbook.metagradient.multi_step import MultiStepLoss
from mamlbook.metagradient.truncated import Truncated

__all__ = [
    "MOML",
    "Checkpointed",
    "EvoGrad",
    "EvolutionStrategies",
    "Exact",
    "FiniteDifference",
    "FirstOrder",
    "ForwardMode",
    "GradientEnergy",
    "Implicit",
    "LocalMOML",
    "MetaGradient",
    "MultiStepLoss",
    "PathwiseGradient",
    "Reptile",
    "ScoreFunction",
    "TaskChunks",
    "Truncated",
]
