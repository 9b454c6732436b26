"""Contenders in processes of their own, and the times that they return."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
# One thread each, or the comparison would be one of thread pools.
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


class Missing(Exception):
    """A contender that cannot take part; the message says why, in one line."""


class Worker:
    """A process that runs one contender. It never computes but while it is asked, and no failure of it goes further.

    ``body`` is the kind of requests that it answers; see ``benchmarks.worker``.
    With ``one_core`` it and what it starts share one core, the same for all workers.

    Raises:
        Missing: from ``ask``, when it has failed, died or taken too long; then it is gone.
    """

    def __init__(self, place: str, errors: Path, cache: Path, *, body: str, one_core: bool):
        self.connection, theirs = Pipe()
        self.errors = errors
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, "-m", "benchmarks.worker", str(theirs.fileno()), body, place]
        with errors.open("ab") as file:
            self.process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                # A cache of compiled code that begins empty, so that a first call means the same in every run.
                env={**os.environ, **ONE_THREAD, "TORCHINDUCTOR_CACHE_DIR": str(cache), "PYTHONPATH": paths},
                start_new_session=True,  # Ctrl-C is for the controller, which ends the workers itself
            )
        theirs.close()
        if one_core and hasattr(os, "sched_setaffinity"):
            # A thread that a library has in spite of ONE_THREAD, as XLA has, then has nowhere to run beside the first.
            os.sched_setaffinity(self.process.pid, {max(os.sched_getaffinity(0))})

    def ask(self, name: str, *arguments: Any, seconds: float) -> Any:
        """The answer of the worker to one request."""
        try:
            self.connection.send((name, *arguments))
            if not self.connection.poll(seconds):
                raise Missing(f"took more than {seconds:g} s")
            kind, answer = self.connection.recv()
        except (EOFError, OSError):
            self.close()
            last = plain(self._last_words())
            raise Missing(f"its process ended with code {self.process.returncode}{last}") from None
        except Missing:
            self.close()
            raise
        if kind == "failed":
            raise Missing(plain(answer))
        return answer

    @property
    def closed(self) -> bool:
        return self.connection.closed

    def close(self) -> None:
        if self.closed:
            return
        self.connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # its compilers as well
        self.process.wait()

    def _last_words(self) -> str:
        lines = self.errors.read_text(errors="replace").strip().splitlines()
        return f": {lines[-1][:200]}" if lines else ""


def plain(reason: str) -> str:
    """A reason without the folders that it names: those are of one machine.

    >>> plain("ImportError: cannot import name 'f' from 'g' (/some/where/g.py)")
    "ImportError: cannot import name 'f' from 'g' (g.py)"
    """
    return re.sub(r"/(?:[\w.+-]+/)+", "", reason)


class Pace(NamedTuple):
    """The seconds of a block, or one call; the calls before it that do not count; those that are tried at first."""

    block: float
    untimed: int
    trial: int


@dataclass
class Runner:
    """A contender in one workload: its worker, the time of a call in every round, and what else is stored of it."""

    name: str
    worker: Worker
    pace: Pace
    facts: dict[str, float] = field(default_factory=dict)
    times: int = 1
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def warm(self, seconds: float) -> None:
        """Find out how many calls fill a block."""
        block, untimed, trial = self.pace
        took = self.worker.ask("repeat", untimed, seconds=seconds)[0] / untimed
        if took < block:
            took = min(took, self.worker.ask("repeat", trial, seconds=seconds)[0] / trial)
        self.times = max(1, round(block / took))

    @property
    def untimed(self) -> int:
        return min(self.pace.untimed, self.times)

    def block(self, seconds: float) -> None:
        """The calls that do not count, which find what the pause has taken from memory and caches, then the block."""
        self.worker.ask("repeat", self.untimed, seconds=seconds)
        wall, cpu = self.worker.ask("repeat", self.times, seconds=seconds)
        self.wall.append(wall / self.times)
        self.cpu.append(cpu / self.times)

    def row(self, ours: Runner | None) -> dict[str, Any]:
        """What is stored of it; the ratio is to another runner, round by round."""
        low, median, high = (1e3 * value for value in quartiles(self.wall))
        return {
            "contender": self.name,
            "milliseconds": digits(median),
            "quartiles": [digits(low), digits(high)],
            "cpu_milliseconds": digits(1e3 * statistics.median(self.cpu)),
            "ratio": ours and digits(ratio(self, ours)),
            **{what: value if isinstance(value, int) else digits(value) for what, value in self.facts.items()},
        }


def rounds_that_fit(runners: Sequence[Runner], rounds: int, seconds: float, least: int = 3) -> int:
    """As many rounds as were asked for, fewer where they would take longer than so many seconds, but at least 3."""
    one = sum(runner.wall[0] * (runner.untimed + runner.times) for runner in runners)
    return max(min(rounds, least), min(rounds, int(seconds / one)))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The first quartile, the median and the third quartile."""
    return tuple(statistics.quantiles(values, n=4, method="inclusive")) if len(values) > 1 else (values[0],) * 3


def ratio(runner: Runner, other: Runner) -> float:
    """How many times as long as the other, the median over rounds."""
    return statistics.median(a / b for a, b in zip(runner.wall, other.wall, strict=True))


def digits(value: float, count: int = 4) -> float:
    """A number with so many digits that mean something."""
    return float(f"{value:.{count}g}")
