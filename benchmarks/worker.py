"""One contender in a process of its own: it computes when it is asked to, and sleeps in between.

The command is ``python -m benchmarks.worker DESCRIPTOR PLACE``, with one end of a pipe and the contender's place.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import prepare
from benchmarks.job import Job

STATUS, CLEAR_REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Body:
    """What the contender has prepared, and the requests that it answers."""

    def __init__(self, place: str):
        self.place = place
        self.step: Callable[[], tuple[Any, Any]] | None = None
        self.device = "cpu"

    def first(self, job: Job) -> dict[str, Any]:
        """Prepare the job and compute it once: the seconds of both, the gradient, the loss."""
        self.step, self.device = None, job.device
        gc.collect()
        _forget_compiled()
        started = time.perf_counter()
        self.step = prepare(self.place, job)
        gradient, loss = self.step()
        self._wait((*gradient, loss), now=True)
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "gradient": [_numbers(g) for g in gradient], "loss": float(_numbers(loss))}

    def repeat(self, times: int) -> tuple[float, float]:
        """The seconds of so many meta-gradients: on the clock, and of this process on all its cores."""
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(times):
            gradient, loss = self.step()
            # On a CPU nothing may go on while the next one is prepared: that would be a second thread.
            self._wait((*gradient, loss), now=self.device == "cpu")
        self._wait((*gradient, loss), now=True)
        return time.perf_counter() - wall, time.process_time() - cpu

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

    def _wait(self, results: tuple, now: bool) -> None:
        if not now:
            return
        for result in results:
            if hasattr(result, "block_until_ready"):
                result.block_until_ready()
        if self.device == "cuda" and "torch" in sys.modules:
            sys.modules["torch"].cuda.synchronize()


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


def serve(connection: Connection, place: str) -> None:
    """Answer requests, ``(name, *arguments)``, by ``("done", answer)`` or ``("failed", why)``, while anybody asks."""
    body = Body(place)
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
    descriptor, place = sys.argv[1:]
    serve(Connection(int(descriptor)), place)


if __name__ == "__main__":
    main()
