"""Ask contenders in turn, so that whatever disturbs the machine disturbs all of them alike."""

from __future__ import annotations

import math
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from benchmarks.contenders import Contender
from benchmarks.job import Workload
from benchmarks.workers import Missing, Pace, Runner, Worker, rounds_that_fit
from benchmarks.workloads import job

OURS = "mamlbook"  # how the names of this package's own contenders begin
DECIDED = ("name", "network", "method", "steps", "tasks", "queries", "alpha")  # what is stored of a workload
LEAST = 3  # rounds, whatever they take
SMALLEST = Workload("smallest", "mlp", "maml", 1, 1)
NEVER_HERE = ("ImportError", "ModuleNotFoundError")


class Wrong(Exception):
    """A contender whose result is not the reference; the message says by how much."""


class TimeUp(Exception):
    """The minutes of the race are over, in the middle of a workload."""


class Wanted(NamedTuple):
    """What is stored of a workload besides what decides it, and what a race holds contenders to."""

    facts: dict[str, Any]
    right: Any


class Race(ABC):
    """The contenders, each in a process that lasts from one round to the next.

    ``rounds`` are as many as there may be, fewer if they took more than ``seconds`` in one workload; a request that
    takes more than ``patience`` seconds is given up, and its contender is missing. After so many ``minutes`` a workload
    that is not finished is given up. A kind of race says what is asked of a contender before it is timed.
    """

    body: ClassVar[str]  # of its workers
    pace: ClassVar[Pace]

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
        minutes: float = math.inf,
        say: Any = print,
    ):
        self.contenders, self.logs, self.data, self.device = contenders, logs, data, device
        self.rounds, self.seconds, self.patience, self.say = rounds, seconds, patience, say
        self.ends = time.monotonic() + 60 * minutes
        self.workers: dict[str, Worker] = {}
        self.gone: dict[str, str] = {}  # who cannot be imported at all, and why

    def __enter__(self) -> Race:
        return self

    def __exit__(self, *ignored: object) -> None:
        for name in list(self.workers):
            self._end(name)

    def run(self, workload: Workload) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """What the workload gave, and for who could not take part in it the reason.

        Raises:
            TimeUp: the minutes were over before it was finished.
        """
        started = time.perf_counter()
        wanted, runners, wrong = self._wanted(workload), [], []
        missing = {name: each.excuse for name, each in self.contenders.items() if each.excused(workload)}
        for name in (name for name, contender in self.contenders.items() if contender.meets(workload)):
            try:
                runners.append(self._guarded(name, missing, self._ready, workload, wanted.right))
            except Wrong as reason:
                self.say(f"  {name}: wrong, {reason}")
                wrong.append({"contender": name, "wrong": str(reason)})
        runners = self._timed([runner for runner in runners if runner], missing)
        self._finish(workload, runners, missing)
        result = {
            **{key: getattr(workload, key) for key in DECIDED},
            **wanted.facts,
            "rounds": len(runners[0].wall) if runners else 0,
            "seconds": round(time.perf_counter() - started, 1),
            "rows": _rows(runners) + wrong,
        }
        return result, [{"contender": n, "reason": r, "workloads": [workload.name]} for n, r in missing.items()]

    @abstractmethod
    def _wanted(self, workload: Workload) -> Wanted: ...

    @abstractmethod
    def _ready(self, name: str, workload: Workload, right: Any) -> Runner:
        """The contender with its job prepared and found right.

        Raises:
            Wrong, Missing
        """

    @abstractmethod
    def _finish(self, workload: Workload, runners: list[Runner], missing: dict[str, str]) -> None:
        """What is done once all rounds of the workload are over."""

    def _guarded(self, name: str, missing: dict[str, str], do: Any, *arguments: Any) -> Any:
        """What ``do(name, ...)`` gives; if the contender fails at it, nothing, and the reason among the missing."""
        try:
            return do(name, *arguments)
        except Missing as reason:
            if time.monotonic() >= self.ends:
                raise TimeUp from reason  # it was not the contender's fault
            missing[name] = str(reason)
            if missing[name].startswith(NEVER_HERE):
                self.gone[name] = missing[name]
            worker = self.workers.get(name)
            if worker and worker.closed:
                del self.workers[name]
            self.say(f"  {name}: missing, {reason}")
            return None

    def _wait(self) -> float:
        """The seconds that a contender may take for an answer."""
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeUp
        return min(self.patience, left)

    def _ask(self, name: str, request: str, *arguments: Any) -> Any:
        return self.workers[name].ask(request, *arguments, seconds=self._wait())

    def _begin(self, name: str, cache: str = "") -> None:
        """Give the contender a process, in which it computes something small, and a folder for its compiled code.

        What libraries load late, at the first computation of all, belongs to no workload.
        """
        if name in self.gone:
            raise Missing(self.gone[name])
        word = name.replace(" ", "-")  # a compiler's command line has no place for a space
        log, folder, one_core = self.logs / f"{word}.log", self.logs / f"{word}{cache}", self.device == "cpu"
        self.workers[name] = Worker(self.contenders[name].place, log, folder, body=self.body, one_core=one_core)
        self._ask(name, "first", job(SMALLEST, device=self.device)[1])

    def _end(self, name: str) -> None:
        self.workers.pop(name).close()

    def _timed(self, runners: list[Runner], missing: dict[str, str]) -> list[Runner]:
        """Those that last all rounds, with the times of each."""
        rounds, number = 1, 0
        while number < rounds and runners:
            alive = []
            for runner in runners:
                self._guarded(runner.name, missing, lambda _, runner=runner: runner.block(self._wait()))
                alive += [runner] if runner.name not in missing else []
            runners, number = alive, number + 1
            if number == 1 and runners:
                rounds = rounds_that_fit(runners, self.rounds, self.seconds, LEAST)
        return runners


def _rows(runners: list[Runner]) -> list[dict[str, Any]]:
    """A row for each, the fastest first, with its time over that of the fastest of this package."""
    runners = sorted(runners, key=lambda runner: statistics.median(runner.wall))
    ours = next((runner for runner in runners if runner.name.startswith(OURS)), None)
    return [runner.row(ours) for runner in runners]
