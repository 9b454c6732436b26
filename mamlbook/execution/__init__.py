"""The same numbers faster: compiled, a few tasks at a time, in several processes."""

from mamlbook.execution.compiled import Compiled
from mamlbook.execution.distributed import DistributedMetaGradient
from mamlbook.execution.process_group import Group, ProcessLost, processes
from mamlbook.execution.tracing import NotTraceable
from mamlbook.execution.ways import Execution

__all__ = ["Compiled", "DistributedMetaGradient", "Execution", "Group", "NotTraceable", "ProcessLost", "processes"]
