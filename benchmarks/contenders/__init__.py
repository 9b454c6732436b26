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
    handles one task after the other does not take hours. The ``excuse`` says why it is not asked for other networks,
    where a reader might expect it.
    """

    place: str
    methods: tuple[str, ...] = EVERY
    kinds: tuple[str, ...] = ("race",)
    networks: tuple[str, ...] = ("mlp", "conv4-stride", "conv4-max")
    most: int | None = None
    excuse: str = ""

    def meets(self, workload: Workload) -> bool:
        small_enough = self.most is None or workload.convolutional or workload.steps * workload.tasks <= self.most
        asked = workload.method in self.methods and workload.network in self.networks
        return asked and workload.kind in self.kinds and small_enough

    def excused(self, workload: Workload) -> bool:
        """Whether it could do it, and is not asked for a reason that is said."""
        return bool(self.excuse) and workload.method in self.methods and workload.network not in self.networks


MLP, CONV4 = ("mlp",), ("conv4-stride", "conv4-max")
ALL = ("race", "curve", "memory")

CONTENDERS = {
    "mamlbook": Contender("mamlbook:eager", kinds=ALL),
    "mamlbook compiled": Contender("mamlbook:compiled", kinds=ALL),
    "mamlbook chunks": Contender("mamlbook:chunks", MAML, networks=CONV4),
    "mamlbook checkpointed": Contender("mamlbook:checkpointed", MAML, kinds=("memory",)),
    "mamlbook compiled checkpointed": Contender("mamlbook:compiled_checkpointed", MAML, kinds=("memory",)),
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
        excuse="not asked: one inner step of conv4 takes it minutes to compile, more steps longer",
    ),
    "JAX": Contender("jax:prepare", kinds=ALL),
    "JAX im2col": Contender("jax:im2col", MAML, networks=CONV4),
}


def prepare(place: str, job: Job) -> Step:
    """What computes the job, by ``module:function``; a module without a package is one of this folder's."""
    module, _, function = place.partition(":")
    module = module if "." in module else f"benchmarks.contenders.{module}"
    return getattr(importlib.import_module(module), function)(job)
