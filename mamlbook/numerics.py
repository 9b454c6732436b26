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


def plus(u: Sequence[Tensor], scale: float | Tensor, v: Sequence[Tensor]) -> Params:
    """u + scale v, tensor by tensor; ``scale`` is a number, or one number per task, (B,)."""
    return tuple(a + per_task(scale, b) * b for a, b in zip(u, v, strict=True))


def per_task(scale: float | Tensor, like: Tensor) -> float | Tensor:
    """One number per task, (B,), in the shape that multiplies a (B, \\*shape) tensor; a plain number stays as it is."""
    return scale.view(-1, *[1] * (like.ndim - 1)) if isinstance(scale, Tensor) and scale.ndim else scale


def constant(u: Sequence[Tensor]) -> Params:
    """The same numbers without their graph: sg(u)."""
    return tuple(t.detach() for t in u)


def gap(u: Sequence[Tensor], v: Sequence[Tensor]) -> float:
    """The largest absolute difference between two tuples of the same shapes."""
    return max((a - b).abs().max().item() for a, b in zip(u, v, strict=True))


def gradient_of(value: Tensor, source: Tensor) -> Tensor:
    """The value of ``value`` with the gradient of ``source``: sg(value) + source - sg(source)."""
    return value.detach() + (source - source.detach())


def with_gradient(value: Tensor, theta: Params, gradient: Sequence[Tensor]) -> Tensor:
    """The (B,) numbers of ``value`` with a given gradient in theta: sg(value) + <theta, sg(gradient)> - its own value.

    Shapes: theta and ``gradient`` are tuples of (B, \\*shape).
    """
    return gradient_of(value, dot(theta, constant(gradient)))
