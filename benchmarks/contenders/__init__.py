"""One meta-gradient by each library, written as its own documentation would have it.

A contender is a function ``prepare(job)`` that gives ``step``, and ``step()`` computes the mean meta-gradient and the
mean query loss: ``(gradients in the order of net.parameters(), loss)``, in whatever arrays the library has.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

from benchmarks.job import Job, Workload

Step = Callable[[], tuple[Any, Any]]

MAML, FIRST_ORDER = ("maml",), ("maml", "fomaml")
EVERY = ("maml", "fomaml", "reptile")


class Contender(NamedTuple):
    """Where a contender is, the methods that it has, and the kinds and networks of workloads that it is asked for.

    ``most`` bounds the inner steps of all tasks together where the network is no convolutional one, so that what
    handles one task after the other does not take hours, and ``longest`` the inner steps of each. The ``excuse`` says
    why it is not asked for more steps or other networks, where a reader might expect it, or for several ``replicas``,
    if it has none.
    """

    place: str
    methods: tuple[str, ...] = EVERY
    kinds: tuple[str, ...] = ("race",)
    networks: tuple[str, ...] = ("mlp", "conv4-stride", "conv4-max")
    most: int | None = None
    longest: int | None = None
    replicas: bool = False
    excuse: str = ""

    def meets(self, workload: Workload) -> bool:
        """Whether it is asked for this workload."""
        small = self.most is None or workload.convolutional or workload.steps * workload.tasks <= self.most
        return self._could(workload) and small and self._is_for(workload)

    def excused(self, workload: Workload) -> bool:
        """Whether it could do it, and is not asked for a reason that is said."""
        return bool(self.excuse) and self._could(workload) and not self._is_for(workload)

    def _could(self, workload: Workload) -> bool:
        return workload.method in self.methods and workload.kind in self.kinds

    def _is_for(self, workload: Workload) -> bool:
        short = self.longest is None or workload.steps <= self.longest
        return workload.network in self.networks and short and (self.replicas or workload.replicas == 1)


MLP, CONV4 = ("mlp",), ("conv4-stride", "conv4-max")
ALL = ("race", "curve", "memory")

CONTENDERS = {
    "mamlbook": Contender("mamlbook:eager", kinds=ALL),
    "mamlbook compiled": Contender(
        "mamlbook:compiled",
        kinds=ALL,
        longest=16,
        excuse="not asked: one straight line of so many steps takes minutes to compile; checkpointed, it is in pieces",
    ),
    "mamlbook chunks": Contender("mamlbook:chunks", MAML, networks=CONV4),
    "mamlbook compiled chunks": Contender("mamlbook:compiled_chunks", MAML, networks=CONV4),
    "mamlbook checkpointed": Contender("mamlbook:checkpointed", MAML, kinds=("curve", "memory")),
    "mamlbook compiled checkpointed": Contender("mamlbook:compiled_checkpointed", MAML, kinds=("curve", "memory")),
    "higher": Contender("higher_loop:prepare", kinds=ALL, most=1600),
    "learn2learn": Contender("learn2learn:prepare"),
    "torchopt": Contender("torchopt:loop", MAML),
    "torchopt functional": Contender("torchopt:functional", MAML),
    "parallel-metalearn": Contender("parallel_metalearn:prepare"),
    "torch.func": Contender("torch_func:eager"),
    "torch.func compiled": Contender(
        "torch_func:compiled",
        networks=MLP,
        kinds=ALL,
        longest=10,
        excuse="not asked: it compiles every inner step anew, which takes minutes for conv4 and for many steps",
    ),
    "JAX": Contender("jax:prepare", kinds=ALL),
    "JAX im2col": Contender("jax:im2col", MAML, networks=CONV4),
}


def prepare(place: str, job: Job) -> Any:
    """What computes the job, by ``module:function``; a module without a package is one of this folder's."""
    module, _, function = place.partition(":")
    module = module if "." in module else f"benchmarks.contenders.{module}"
    return getattr(importlib.import_module(module), function)(job)
