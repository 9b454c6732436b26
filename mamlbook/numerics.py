"""Arithmetic of parameter tuples."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, overload

import torch
from torch import Tensor

from mamlbook.checks import whole_number

Params = tuple[Tensor, ...]
"""Weights in the order of ``net.parameters()``; adapted weights carry the task axis first."""


def expand_over_tasks(theta: Params, tasks: int) -> Params:
    """One copy of theta per task, without copying memory: (\\*shape) to (B, \\*shape)."""
    return tuple(t.expand(tasks, *t.shape) for t in theta)


def dot(u: Sequence[Tensor], v: Sequence[Tensor]) -> Tensor:
    """The inner product of each task's weights: sum over all tensors of <u_b, v_b>, shape (B,)."""
    return torch.stack([(a * b).reshape(len(a), -1).sum(1) for a, b in zip(u, v, strict=True)]).sum(0)


def add_scaled(u: Sequence[Tensor], scale: float | Tensor, v: Sequence[Tensor]) -> Params:
    """u + scale v, tensor by tensor; ``scale`` is a number, or one number per task, (B,)."""
    return tuple(a + per_task(scale, b) * b for a, b in zip(u, v, strict=True))


@overload
def per_task(scale: Tensor, like: Tensor) -> Tensor: ...
@overload
def per_task(scale: float | Tensor, like: Tensor) -> float | Tensor: ...
def per_task(scale: float | Tensor, like: Tensor) -> float | Tensor:
    """One number per task, (B,), in the shape and precision that multiply a (B, \\*shape) tensor.

    A plain number stays as it is, and a truth value one.
    """
    if not isinstance(scale, Tensor) or not scale.ndim:
        return scale
    scale = scale.view(-1, *[1] * (like.ndim - 1))
    return scale.to(like.dtype) if scale.is_floating_point() else scale


def detached(u: Sequence[Tensor]) -> Params:
    """The same numbers without their graph: sg(u)."""
    return tuple(t.detach() for t in u)


def as_leaves(u: Sequence[Tensor]) -> Params:
    """The same numbers, to be differentiated afresh."""
    return tuple(t.requires_grad_() for t in detached(u))


def random_like(u: Sequence[Tensor], generator: torch.Generator) -> Params:
    """Normal numbers of the same shapes and types, drawn where the generator is, so that every device sees the same."""
    drawn = (torch.randn(a.shape, generator=generator, dtype=a.dtype, device=generator.device) for a in u)
    return tuple(noise.to(a.device) for noise, a in zip(drawn, u, strict=True))


def distance(u: Sequence[Tensor], v: Sequence[Tensor]) -> float:
    """The largest absolute difference between two tuples of the same shapes; nan where one holds nan.

    Raises:
        ValueError: the shapes are such that they broadcast against one another.
    """
    differences = [a - b for a, b in zip(u, v, strict=True)]
    for a, b, difference in zip(u, v, differences, strict=True):
        if difference.shape not in (a.shape, b.shape):
            raise ValueError(
                f"u, v: expected tuples of the same shapes, got {tuple(a.shape)} and {tuple(b.shape)}, of which every "
                "number would be compared with every other"
            )
    apart = [difference.abs().max().item() for difference in differences if difference.numel()]
    # Python's max passes over a nan that stands behind a number.
    return math.nan if any(map(math.isnan, apart)) else max(apart, default=0.0)


def gradient_of(value: Tensor, source: Tensor) -> Tensor:
    """The value of ``value`` with the gradient of ``source``: sg(value) + source - sg(source)."""
    return value.detach() + (source - source.detach())


def with_gradient(value: Tensor, theta: Params, gradient: Sequence[Tensor]) -> Tensor:
    """The (B,) numbers of ``value`` with a given gradient in theta: those of sg(value) + <theta - sg(theta), gradient>.

    Shapes: theta and ``gradient`` are tuples of (B, \\*shape).
    """
    return _Given.apply(value.detach(), len(theta), *theta, *detached(gradient))


class _Given(torch.autograd.Function):
    """``with_gradient`` without the inner product, which nobody would look at."""

    @staticmethod
    def forward(ctx, value: Tensor, count: int, *both: Tensor) -> Tensor:
        ctx.save_for_backward(*both[count:])
        return value.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, weights: Tensor):
        gradient = ctx.saved_tensors
        return None, None, *(per_task(weights, g) * g for g in gradient), *(None for _ in gradient)


class Solution(NamedTuple):
    """What conjugate gradients found: ``x``, a tuple of (B, \\*shape), and which tasks met a curvature <= 0, (B,)."""

    x: Params
    indefinite: Tensor


def conjugate_gradient(product: Callable[[Params], Params], b: Params, iterations: int) -> Solution:
    """Solve A x = b for every task at once, by conjugate gradients from x = 0.

    x <- x + a p,  r <- r - a A p,  p <- r + (r'r' / rr) p  with  a = rr / p^T A p;  exact after as many iterations as
    A has different eigenvalues. Where p^T A p is not positive, A is not positive definite and the step would climb:
    that task keeps the x it has, as one does whose residual is zero. What happens in one task changes no other.

    Shapes: ``b``, and what ``product`` takes and gives, are tuples of (B, \\*shape).

    Raises:
        ValueError: ``iterations`` is no whole number of at least 1.

    References: Hestenes and Stiefel, 1952; stopping at a direction of negative curvature is that of Steihaug, 1983.
    """
    whole_number("iterations", iterations)
    x, r, p = tuple(torch.zeros_like(t) for t in b), b, b
    length = dot(r, r)
    indefinite = torch.zeros_like(length, dtype=torch.bool)
    for _ in range(iterations):
        turned = product(p)
        curvature, moving = dot(p, turned), (length > 0) & ~indefinite
        indefinite = indefinite | (moving & (curvature <= 0))
        moving = moving & ~indefinite
        step = torch.where(moving, length / torch.where(moving, curvature, 1.0), 0.0)
        x, r = add_scaled(x, step, p), add_scaled(r, -step, turned)
        before, length = length, dot(r, r)
        p = add_scaled(r, torch.where(moving, length / torch.where(moving, before, 1.0), 0.0), p)
    return Solution(x, indefinite)
