"""Where a GPU overtakes a processor: one meta-gradient over tasks, width and inner steps, executed in three ways.

    python -m experiments.crossover
    python -m experiments.crossover --device cuda --minutes 3

write runs/crossover-cpu.json and runs/crossover-cuda.json, anew after every round of one race of all. With --minutes
the compiler has half of them, the workloads that say most first, and the rounds end in time.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.nn.functional import mse_loss

from benchmarks.limit import gigaflops
from experiments import arguments
from experiments.race import Race
from mamlbook import Execution, MetaLearner, Model, Sinusoids, Tasks, maml, mlp
from mamlbook.analysis import KernelCounter, cost
from mamlbook.execution.compiled import Compiled
from mamlbook.execution.ways import Gradients
from mamlbook.pages import environment, record
from mamlbook.torch_compiler import generated_kernels
from mamlbook.training import pick_device

WAYS = {"one by one": Execution(tasks=1), "all at once": Execution(), "compiled": Execution(compiled=True)}
SHOTS, ALPHA, ROUNDS = 10, 0.01, 7
LONGEST = 5  # inner steps of what is compiled: a trace, and the time to compile it, grow with them
COMPILING, PLANNED = 0.5, 0.9  # of the minutes
COPIED = 1 << 26  # bytes, more than any cache holds


class Workload(NamedTuple):
    """MAML with so many steps and tasks on a network 1-n-n-1 of this width."""

    tasks: int = 25
    width: int = 40
    steps: int = 1

    def learner(self, device: torch.device) -> MetaLearner:
        return maml(Model(mlp(1, self.width, self.width, 1), mse_loss), ALPHA, self.steps).to(device)

    def drawn(self, device: torch.device, tasks: int | None = None) -> Tasks:
        generator = torch.Generator().manual_seed(0)
        return Sinusoids(shots=SHOTS).draw(tasks or self.tasks, generator).to(device)


# In order of worth: the base, then the ends of the three axes that cross in it, then what lies between.
WORKLOADS = [
    Workload(),
    *(Workload(tasks=625), Workload(width=640), Workload(tasks=1), Workload(width=10), Workload(steps=5)),
    *(Workload(tasks=125), Workload(width=160), Workload(tasks=5), Workload(steps=2)),
    *(Workload(steps=10), Workload(steps=20)),
]


def counted(workload: Workload) -> dict[str, Any]:
    """Operations, bytes that move if all tasks are taken at once, and kernels, those of one by one by their law.

    A task more is as many kernels more, so that one and two tasks tell the rest.
    """
    cpu = torch.device("cpu")
    learner, tasks = workload.learner(cpu), workload.drawn(cpu)
    one, two = (_kernels(WAYS["one by one"].of(learner), workload.drawn(cpu, tasks=n)).total for n in (1, 2))
    together = _kernels(learner.gradients, tasks)
    return {
        **workload._asdict(),
        "operations": cost(learner, tasks).operations,
        "bytes": together.moved,
        "kernels": {"one by one": one + (workload.tasks - 1) * (two - one), "all at once": together.total},
        "times": {},
    }


def _kernels(compute: Callable[[Tasks], object], tasks: Tasks) -> KernelCounter:
    with KernelCounter() as found:
        compute(tasks)
    return found


def compiled_kernels(code: Gradients, tasks: Tasks) -> int:
    """Those that the compiler writes, and the calls of libraries that it leaves; this compiles."""
    before = generated_kernels()
    code(tasks)
    return generated_kernels() - before + _kernels(code, tasks).total


def machine(device: torch.device) -> dict[str, float]:
    """The rate, in operations per nanosecond, and the bytes that are read and written in one."""
    source, target = torch.zeros(2, COPIED, dtype=torch.uint8, device=device)
    race = Race(device)
    race.join("copy", lambda: target.copy_(source))
    for _ in range(3):
        race.round()
    took = race.summary()["copy"]["milliseconds"]
    return {"gigaflops": gigaflops(device.type)["gflops"], "gigabytes": round(2 * COPIED / took / 1e6, 1)}


class Run:
    """One race, and the file that it keeps up to date."""

    def __init__(self, device: torch.device, folder: Path, minutes: float):
        self.device, self.folder, self.race = device, folder, Race(device)
        self.started, self.minutes = time.monotonic(), minutes
        self.result: dict[str, Any] = {
            "machine": machine(device),
            "workloads": [counted(workload) for workload in WORKLOADS],
            "protocol": f"MAML, networks 1-n-n-1 with ReLU, {SHOTS} support and {SHOTS} query points, single "
            "precision, one thread; milliseconds of a meta-gradient, on a processor those that it computed, the "
            "median over the rounds of one race; kernels as counted on a processor; bytes read and written by those "
            "of all at once",
            **environment(device),
        }

    def over(self, share: float) -> bool:
        return time.monotonic() - self.started > 60 * share * self.minutes

    def join(self, row: dict[str, Any], workload: Workload, way: str) -> None:
        tasks, compute = workload.drawn(self.device), WAYS[way].of(workload.learner(self.device))
        # What a GPU replays from a recording passes nobody who could count it.
        if isinstance(compute, Compiled) and self.device.type == "cpu":
            row["kernels"][way] = compiled_kernels(compute, tasks)
        self.race.join((workload, way), lambda: compute(tasks))

    def round(self) -> Path:
        """A round, and what all rounds so far say."""
        self.race.round()
        found = self.race.summary()
        for row, workload in zip(self.result["workloads"], WORKLOADS, strict=True):
            row["times"] = {way: found[workload, way] for way in WAYS if (workload, way) in found}
        rounds = len(next(iter(self.race.times.values())))
        self.result |= {"rounds": rounds, "seconds": round(time.monotonic() - self.started)}
        return record(f"crossover-{self.device.type}", self.result, folder=self.folder)


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    parser = arguments("crossover", __doc__, rounds=ROUNDS, compiled=len(WORKLOADS))
    parser.add_argument("--minutes", type=float, default=math.inf, help="for all, if there are not more of them")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    options = parsed(words)
    torch.set_num_threads(1)
    run = Run(pick_device(options.device), options.results, options.minutes)
    rows = list(zip(run.result["workloads"], WORKLOADS, strict=True))
    for row, workload in rows:
        for way in ("one by one", "all at once"):
            run.join(row, workload, way)
    path = run.round()  # should compiling take all the time
    for row, workload in [each for each in rows if each[1].steps <= LONGEST][: options.compiled]:
        if not run.over(COMPILING):
            run.join(row, workload, "compiled")
    for _ in range(options.rounds - 1):
        if not run.over(PLANNED):
            path = run.round()
    print(path)


if __name__ == "__main__":
    main()
