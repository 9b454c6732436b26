"""How the solution of a task is differentiated: a scalar whose theta-gradient is the meta-gradient."""

from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.energy import Energy
from mamlbook.metagradient.exact import Exact
from mamlbook.metagradient.first_order import FirstOrder, Reptile

__all__ = ["Energy", "Exact", "FirstOrder", "MetaGradient", "Reptile"]
