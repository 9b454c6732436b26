"""Contenders that take turns, so that a slower minute of the machine meets all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import quantiles
from typing import Any

import torch

LEAST = 0.1  # seconds for which one contender computes in a round


class Race:
    """Milliseconds of a call of each contender: the median over rounds and the quartiles.

    Whoever joins is called once, which compiles and fills caches. On a GPU the clock is read when all is computed; on
    a processor it is the time that this process computed, which others on the machine do not lengthen.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.contenders: dict[Any, Callable[[], object]] = {}
        self.times: dict[Any, list[float]] = {}

    def join(self, name: Any, compute: Callable[[], object]) -> None:
        compute()
        self._clock()
        self.contenders[name], self.times[name] = compute, []

    def round(self) -> None:
        for name, compute in self.contenders.items():
            calls, started = 0, self._clock()
            while calls == 0 or self._now() - started < LEAST:
                compute()
                calls += 1
            self.times[name].append(1e3 * (self._clock() - started) / calls)

    def summary(self) -> dict[Any, dict[str, Any]]:
        """Of all who have taken part in a round."""
        return {name: _summary(values) for name, values in self.times.items() if values}

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return self._now()

    def _now(self) -> float:
        return time.perf_counter() if self.device.type == "cuda" else time.process_time()


def race(contenders: Mapping[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, Any]:
    """A race of so many rounds, by name."""
    made = Race(device)
    for name, compute in contenders.items():
        made.join(name, compute)
    for _ in range(rounds):
        made.round()
    return made.summary()


def _summary(values: list[float]) -> dict[str, Any]:
    cuts = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    low, middle, high = (float(f"{value:.4g}") for value in cuts)
    return {"milliseconds": middle, "quartiles": [low, high]}
