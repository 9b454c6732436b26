"""Arithmetic of parameter tuples, and the statistics of a mean over tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Params = tuple[Tensor, ...]
"""Weights in the order of ``net.parameters()``; adapted weights carry the task axis first."""


def fan_out(theta: Params, tasks: int) -> Params:
    """One copy of theta per task, without copying memory: (\\*shape) to (B, \\*shape)."""
    return tuple(t.expand(tasks, *t.shape) for t in theta)


def dot(u: Sequence[Tensor], v: Sequence[Tensor]) -> Tensor:
    """The inner product of each task's weights: sum over all tensors of <u_b, v_b>, shape (B,)."""
    return torch.stack([(a * b).flatten(1).sum(1) for a, b in zip(u, v, strict=True)]).sum(0)


def gradient_of(value: Tensor, source: Tensor) -> Tensor:
    """The value of ``value`` with the gradient of ``source``: sg(value) + source - sg(source)."""
    return value.detach() + (source - source.detach())


class Interval(NamedTuple):
    """A mean over tasks with the half-width of its 95 % confidence interval, both (...)."""

    mean: Tensor
    half: Tensor

    def __str__(self) -> str:
        pairs = zip(self.mean.reshape(-1).tolist(), self.half.reshape(-1).tolist(), strict=True)
        return "   ".join(f"{mean:.3f} ± {half:.3f}" for mean, half in pairs)


def confidence(values: Tensor) -> Interval:
    """Mean over tasks (the first axis) and 1.96 standard errors: mean ± 1.96 s / sqrt(n).

    Shapes: ``values`` is (n, ...), both results are (...).

    Raises:
        ValueError: with fewer than two tasks there is no standard error.
    """
    if len(values) < 2:
        raise ValueError(f"values: expected at least 2 tasks along the first axis, got {len(values)}")
    return Interval(values.mean(0), 1.96 * values.std(0) / len(values) ** 0.5)
