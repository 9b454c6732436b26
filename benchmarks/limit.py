"""The fastest that a meta-gradient could be: its operations over the best rate of PyTorch's kernels here."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch.nn.functional import conv2d


def gigaflops(device: str = "cpu", repetitions: int = 3) -> dict[str, float | str]:
    """The best rate in single precision, on one thread or on the GPU, and what it was the rate ``of``.

    Square products of matrices, and convolutions of 3 x 3 on 28 x 28 pixels: PyTorch leaves the two to different
    libraries, and on some processors the one for products uses half of what there is.
    """
    works = _products(device) | _convolutions(device)
    rates = {of: max(_rate(*work, device) for _ in range(repetitions)) for of, work in works.items()}
    of = max(rates, key=rates.get)
    return {"gflops": round(rates[of], 1), "of": of}


def _products(device: str) -> dict[str, tuple[int, Callable]]:
    pairs = {size: torch.randn(2, size, size, device=device) for size in (256, 512, 1024, 2048)}
    return {f"products of {size} x {size}": (2 * size**3, partial(torch.mm, *pair)) for size, pair in pairs.items()}


def _convolutions(device: str) -> dict[str, tuple[int, Callable]]:
    works = {}
    for channels in (32, 64, 128):
        images = torch.randn(16, channels, 28, 28, device=device)
        kernels = torch.randn(channels, channels, 3, 3, device=device)
        step = partial(conv2d, images, kernels, padding=1)
        works[f"convolutions of {channels} channels"] = 2 * 9 * channels * images.numel(), step
    return works


def faster(one: dict[str, float | str], other: dict[str, float | str]) -> dict[str, float | str]:
    """The better of two measurements of it."""
    return max(one, other, key=lambda limit: limit["gflops"])


def _rate(operations: int, step: Callable, device: str) -> float:
    times = max(1, int(5e9 / operations))
    step()
    _wait(device)
    started = time.perf_counter()
    for _ in range(times):
        step()
    _wait(device)
    return operations * times / (time.perf_counter() - started) / 1e9


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
