"""How the solution of a task is differentiated: a scalar whose theta-gradient is the meta-gradient."""

from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.evolution import EvoGrad, Evolution
from mamlbook.metagradient.exact import Exact
from mamlbook.metagradient.first_order import FirstOrder, Reptile
from mamlbook.metagradient.langevin import Pathwise, Score
from mamlbook.metagradient.memory import MOML, LocalMOML

__all__ = [
    "MOML",
    "EvoGrad",
    "Evolution",
    "Exact",
    "FirstOrder",
    "LocalMOML",
    "MetaGradient",
    "Pathwise",
    "Reptile",
    "Score",
]
