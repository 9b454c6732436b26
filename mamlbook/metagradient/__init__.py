"""How the solution of a task is differentiated: a scalar whose theta-gradient is the meta-gradient."""

from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.checkpointed import Checkpointed
from mamlbook.metagradient.chunks import Chunks
from mamlbook.metagradient.energy import Energy
from mamlbook.metagradient.evolution import EvoGrad, Evolution
from mamlbook.metagradient.exact import Exact
from mamlbook.metagradient.finite_difference import FiniteDifference
from mamlbook.metagradient.first_order import FirstOrder, Reptile
from mamlbook.metagradient.forward import Forward
from mamlbook.metagradient.implicit import Implicit
from mamlbook.metagradient.langevin import Pathwise, Score
from mamlbook.metagradient.memory import MOML, LocalMOML
from mamlbook.metagradient.multi_step import MultiStep
from mamlbook.metagradient.truncated import Truncated

__all__ = [
    "MOML",
    "Checkpointed",
    "Chunks",
    "Energy",
    "EvoGrad",
    "Evolution",
    "Exact",
    "FiniteDifference",
    "FirstOrder",
    "Forward",
    "Implicit",
    "LocalMOML",
    "MetaGradient",
    "MultiStep",
    "Pathwise",
    "Reptile",
    "Score",
    "Truncated",
]
