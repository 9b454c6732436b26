"""The fastest that a meta-gradient could be: its operations over the best rate of a matrix product here."""

from __future__ import annotations

import time

import torch

SIZES = (256, 512, 1024, 2048)


def gigaflops(device: str = "cpu", repetitions: int = 3) -> dict[str, float]:
    """The best rate of a matrix product in single precision over all sizes, on one thread or on the GPU."""
    rates = {size: max(_rate(size, device) for _ in range(repetitions)) for size in SIZES}
    size = max(rates, key=rates.get)
    return {"gflops": round(rates[size], 1), "size": size}


def faster(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """The better of two measurements of it."""
    return max(one, other, key=lambda limit: limit["gflops"])


def _rate(size: int, device: str) -> float:
    a, b = torch.randn(2, size, size, device=device)
    times = max(1, int(5e9 / (2 * size**3)))
    torch.mm(a, b)
    _wait(device)
    started = time.perf_counter()
    for _ in range(times):
        torch.mm(a, b)
    _wait(device)
    return 2 * size**3 * times / (time.perf_counter() - started) / 1e9


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
