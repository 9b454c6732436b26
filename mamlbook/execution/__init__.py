"""The same numbers faster: compiled, traced, with merged products, in several processes."""

from mamlbook.execution.compiled import Compiled
from mamlbook.execution.distributed import DistributedMetaGradient
from mamlbook.execution.process_group import Group, ProcessLost, processes
from mamlbook.execution.tracing import NotTraceable

__all__ = ["Compiled", "DistributedMetaGradient", "Group", "NotTraceable", "ProcessLost", "processes"]
