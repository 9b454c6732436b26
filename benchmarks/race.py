"""Ask contenders in turn, so that whatever disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contenders import Contender
from benchmarks.job import Job, Workload, distance
from benchmarks.reference import Reference, reference
from benchmarks.workers import Missing, Runner, Worker, rounds_that_fit
from benchmarks.workloads import job

OURS = "mamlbook"  # how the names of this package's own contenders begin
# How far a gradient in single precision may be from the reference. Convolutions with batch norm are ill-conditioned
# for everybody, so that right and wrong are told apart in double precision, on so many tasks.
SINGLE, SINGLE_CONVOLUTIONAL, DOUBLE, DOUBLE_TASKS = 1e-3, 0.1, 1e-8, 2
LONG = 20.0  # seconds of a first call, mostly compilation, that are spent a second time only if doubt remains
DECIDED = ("name", "network", "method", "steps", "tasks", "queries", "alpha")  # what is stored of a workload
LEAST = 3  # rounds, whatever they take
SMALLEST = Workload("smallest", "mlp", "maml", 1, 1)
NEVER_HERE = ("ImportError", "ModuleNotFoundError")


class Wrong(Exception):
    """A contender whose gradient is not the reference; the message says by how much."""


class Race:
    """The contenders, each in a process that lasts from one workload to the next.

    ``rounds`` are as many as there may be, fewer if they took more than ``seconds`` in one workload; a request that
    takes more than ``patience`` seconds is given up, and its contender is missing.
    """

    def __init__(
        self,
        contenders: Mapping[str, Contender],
        logs: Path,
        *,
        data: Path | None = None,
        device: str = "cpu",
        rounds: int = 11,
        seconds: float = 10.0,
        patience: float = 120.0,
        say: Any = print,
    ):
        self.contenders, self.logs, self.data, self.device = contenders, logs, data, device
        self.rounds, self.seconds, self.patience, self.say = rounds, seconds, patience, say
        self.workers: dict[str, Worker] = {}
        self.gone: dict[str, str] = {}  # who cannot be imported at all, and why

    def __enter__(self) -> Race:
        return self

    def __exit__(self, *ignored: object) -> None:
        for worker in self.workers.values():
            worker.close()
        self.workers.clear()

    def run(self, workload: Workload) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What the workload gave, and for who could not take part in it the reason."""
        started = time.perf_counter()
        data, wanted = job(workload, self.data, self.device)
        doubled = wanted.first(DOUBLE_TASKS, "float64") if workload.convolutional else None
        exact, exact_doubled = reference(wanted), doubled and reference(doubled)
        runners, rows = [], []
        missing = {name: each.excuse for name, each in self.contenders.items() if each.excused(workload)}
        for name in (name for name, contender in self.contenders.items() if contender.meets(workload)):
            try:
                runners.append(self._guarded(name, missing, self._ready, (wanted, exact), (doubled, exact_doubled)))
            except Wrong as wrong:
                rows.append({"contender": name, "wrong": str(wrong)})
        runners = self._timed([runner for runner in runners if runner], missing)
        bytes_of = self._bytes(runners, missing) if workload.kind == "memory" else {}
        rows = self._rows(runners, bytes_of) + rows
        result = {
            **{key: getattr(workload, key) for key in DECIDED},
            "flops": exact.operations,
            "data": data,
            "rounds": len(runners[0].wall) if runners else 0,
            "seconds": round(time.perf_counter() - started, 1),
            "rows": rows,
        }
        return result, [{"contender": n, "reason": r, "workloads": [workload.name]} for n, r in missing.items()]

    def _guarded(self, name: str, missing: dict[str, str], do: Any, *arguments: Any) -> Any:
        """What ``do(name, ...)`` gives; if the contender fails at it, nothing, and the reason among the missing."""
        try:
            return do(name, *arguments)
        except Missing as reason:
            missing[name] = str(reason)
            if missing[name].startswith(NEVER_HERE):
                self.gone[name] = missing[name]
            worker = self.workers.get(name)
            if worker and worker.closed:
                del self.workers[name]
            self.say(f"  {name}: missing, {reason}")
            return None

    def _ask(self, name: str, request: str, *arguments: Any) -> Any:
        return self.workers[name].ask(request, *arguments, seconds=self.patience)

    def _ready(
        self, name: str, single: tuple[Job, Reference], double: tuple[Job, Reference] | tuple[None, None]
    ) -> Runner:
        """The contender with its job prepared, computed once and found right."""
        self._begun(name)
        bound = SINGLE if double[0] is None else SINGLE_CONVOLUTIONAL
        seconds, error = self._checked(name, *single, bound)
        double_error = None
        if double[0] is not None and (seconds < LONG or error > SINGLE):
            _, double_error = self._checked(name, *double, DOUBLE)
            self._checked(name, *single, bound)
        runner = Runner(name, self.workers[name], seconds, error, double_error)
        runner.warm(self.patience)
        return runner

    def _begun(self, name: str) -> None:
        """See to it that the contender has a process, in which it has computed something small.

        What libraries load late, at the first computation of all, belongs to no workload.
        """
        if name in self.gone:
            raise Missing(self.gone[name])
        if name not in self.workers:
            word = name.replace(" ", "-")  # a compiler's command line has no place for a space
            place, one_core = self.contenders[name].place, self.device == "cpu"
            self.workers[name] = Worker(place, self.logs / f"{word}.log", self.logs / word, one_core=one_core)
            self._ask(name, "first", job(SMALLEST, device=self.device)[1])

    def _checked(self, name: str, wanted: Job, exact: Reference, bound: float) -> tuple[float, float]:
        """The seconds of the first call, and the distance of its gradient from the reference, below the bound."""
        answer = self._ask(name, "first", wanted)
        try:
            error = distance(answer["gradient"], exact.gradient)
        except ValueError as reason:
            raise Wrong(str(reason)) from None
        self.say(f"  {name}: {answer['seconds']:.2f} s at first, {error:.1e} from the reference in {wanted.dtype}")
        if not error < bound:
            raise Wrong(f"its gradient is {error:.1e} from the reference in {wanted.dtype}, more than {bound:g}")
        if not abs(answer["loss"] - exact.loss) < bound * max(1, abs(exact.loss)):
            raise Wrong(f"its mean query loss is {answer['loss']:.6g}, and {exact.loss:.6g} is right")
        return answer["seconds"], error

    def _timed(self, runners: list[Runner], missing: dict[str, str]) -> list[Runner]:
        """Those that last all rounds, with the times of each."""
        rounds, number = 1, 0
        while number < rounds and runners:
            alive = []
            for runner in runners:
                self._guarded(runner.name, missing, lambda _, runner=runner: runner.block(self.patience))
                alive += [runner] if runner.name not in missing else []
            runners, number = alive, number + 1
            if number == 1 and runners:
                rounds = rounds_that_fit(runners, self.rounds, self.seconds, LEAST)
        return runners

    def _bytes(self, runners: list[Runner], missing: dict[str, str]) -> dict[str, int]:
        return {r.name: self._guarded(r.name, missing, self._ask, "bytes") for r in runners}

    def _rows(self, runners: list[Runner], bytes_of: dict[str, int]) -> list[dict[str, Any]]:
        """A row for each, the fastest first, with its time over that of the fastest of this package."""
        runners = sorted(runners, key=lambda runner: statistics.median(runner.wall))
        ours = next((runner for runner in runners if runner.name.startswith(OURS)), None)
        return [
            runner.row(ours) | ({"bytes": bytes_of[runner.name]} if bytes_of.get(runner.name) is not None else {})
            for runner in runners
        ]
