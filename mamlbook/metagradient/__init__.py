"""How the solution of a task is differentiated: a scalar whose theta-gradient is the meta-gradient."""

from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.exact import Exact
from mamlbook.metagradient.first_order import FirstOrder, Reptile
from mamlbook.metagradient.multi_step import MultiStep

__all__ = ["Exact", "FirstOrder", "MetaGradient", "MultiStep", "Reptile"]
