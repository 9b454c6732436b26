"""Arithmetic of parameter tuples."""

from __future__ import annotations

from collections.abc import Sequence

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


def gap(u: Sequence[Tensor], v: Sequence[Tensor]) -> float:
    """The largest absolute difference between two tuples of the same shapes."""
    return max((a - b).abs().max().item() for a, b in zip(u, v, strict=True))


def gradient_of(value: Tensor, source: Tensor) -> Tensor:
    """The value of ``value`` with the gradient of ``source``: sg(value) + source - sg(source)."""
    return value.detach() + (source - source.detach())
