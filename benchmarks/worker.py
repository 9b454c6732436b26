"""One contender in a process of its own: it computes when it is asked to, and sleeps in between.

The command is ``python -m benchmarks.worker DESCRIPTOR BODY PLACE``, with one end of a pipe, the kind of requests that
it answers, and the contender's place.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from benchmarks.contenders import prepare
from benchmarks.job import Job

STATUS, CLEAR_REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Body(ABC):
    """What the contender has prepared, and the requests that it answers."""

    def __init__(self, place: str):
        self.place, self.device = place, "cpu"
        self.prepared: Any = None

    def repeat(self, times: int) -> tuple[float, float]:
        """The seconds of so many calls: on the clock, and of this process on all its cores."""
        wall, cpu = time.perf_counter(), time.process_time()
        self._call(times)
        return time.perf_counter() - wall, time.process_time() - cpu

    @abstractmethod
    def _call(self, times: int) -> Any:
        """So many calls, and what the last one gives once it is there."""

    def _begun(self, job: Job, times: int) -> tuple[float, Any]:
        """Prepare the job and make the first calls: the seconds of both, and what the last call gives."""
        self.prepared, self.device = None, job.device
        gc.collect()
        _forget_compiled()
        started = time.perf_counter()
        self.prepared = prepare(self.place, job)
        result = self._call(times)
        return time.perf_counter() - started, result

    def _wait(self, results: Iterable[Any]) -> None:
        for result in results:
            if hasattr(result, "block_until_ready"):
                result.block_until_ready()
        if self.device == "cuda" and "torch" in sys.modules:
            sys.modules["torch"].cuda.synchronize()


class Gradient(Body):
    """One meta-gradient a call: what is prepared is ``step``."""

    def first(self, job: Job) -> dict[str, Any]:
        """Prepare the job and compute it once: the seconds of both, the gradient, the loss."""
        seconds, (gradient, loss) = self._begun(job, 1)
        return {"seconds": seconds, "gradient": [_numbers(g) for g in gradient], "loss": float(_numbers(loss))}

    def _call(self, times: int) -> tuple[Any, Any]:
        for _ in range(times):
            gradient, loss = self.prepared()
            # On a CPU nothing may go on while the next one is prepared: that would be a second thread.
            if self.device == "cpu":
                self._wait((*gradient, loss))
        self._wait((*gradient, loss))
        return gradient, loss

    def bytes(self) -> int:
        """The most memory that one meta-gradient has in use, over what was in use before it."""
        gc.collect()
        if self.device != "cpu":
            return _bytes_on_gpu(self.repeat)
        _give_back()
        CLEAR_REFERENCES.write_text("5")  # the peak begins anew
        before = _resident("VmHWM")
        self.repeat(1)
        return _resident("VmHWM") - before


class Training(Body):
    """One meta-step of a training a call: what is prepared is a trainer."""

    FIRST: ClassVar[int] = 2  # calls: a loop of a single step would be compiled as none

    def first(self, job: Job) -> float:
        """Prepare the job and take the first meta-steps: the seconds of both."""
        return self._begun(job, self.FIRST)[0]

    def train(self, steps: int) -> list[np.ndarray]:
        """The weights after so many more meta-steps."""
        return [_numbers(t) for t in self._call(steps)]

    def follow(self, jobs: list[Job]) -> list[np.ndarray]:
        """The job's weights after one meta-step on the tasks of each of these jobs."""
        return [_numbers(t) for t in self.prepared.follow(jobs)]

    def _call(self, times: int) -> Any:
        weights = self.prepared.train(times)
        self._wait(weights)
        return weights


BODIES = {"gradient": Gradient, "training": Training}


def _numbers(array: Any) -> np.ndarray:
    return (array.detach().cpu().numpy() if hasattr(array, "detach") else np.asarray(array)).copy()


def _forget_compiled() -> None:
    """What the last job compiled must not make the next one's sizes dynamic."""
    if "torch._dynamo" in sys.modules:
        sys.modules["torch._dynamo"].reset()


def _give_back() -> None:
    """Return what the allocator holds in reserve to the system, so that using it again shows."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _resident(field: str) -> int:
    return int(re.search(rf"{field}:\s+(\d+) kB", STATUS.read_text())[1]) * 1024


def _bytes_on_gpu(repeat: Callable[[int], Any]) -> int:
    if "torch" in sys.modules:
        memory = sys.modules["torch"].cuda
        memory.reset_peak_memory_stats()
        before = memory.memory_allocated()
        repeat(1)
        return memory.max_memory_allocated() - before
    statistics = sys.modules["jax"].devices("gpu")[0].memory_stats
    before = statistics()["bytes_in_use"]
    repeat(1)
    return statistics()["peak_bytes_in_use"] - before


def serve(connection: Connection, body: Body) -> None:
    """Answer requests, ``(name, *arguments)``, by ``("done", answer)`` or ``("failed", why)``, while anybody asks."""
    while True:
        try:
            name, *arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = ("done", getattr(body, name)(*arguments))
        except Exception as error:  # whatever a library raises, it is the answer
            traceback.print_exc()
            text = str(error).strip() or "no message"
            answer = ("failed", f"{type(error).__name__}: {text.splitlines()[0][:200]}")
        connection.send(answer)


def main() -> None:
    descriptor, body, place = sys.argv[1:]
    serve(Connection(int(descriptor)), BODIES[body](place))


if __name__ == "__main__":
    main()
