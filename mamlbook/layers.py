"""Layers that PyTorch does not have in the form that adapting many tasks at once needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mamlbook.checks import whole_number


class BatchNorm(nn.Module):
    """Batch normalisation by the statistics of the batch at hand, in training and in testing.

    y = gain * (x - mean) / sqrt(var + eps) + offset, with mean and variance over examples (and pixels) per channel;
    with ``first``, over the first so many examples only.

    The statistics are spelled out instead of calling ``F.batch_norm``, whose second derivative under an outer
    gradient of ``vmap(grad(...))`` is silently wrong in torch 2.13 when it has a gain and an offset.

    Shapes: (K, C) or (K, C, H, W) to the same.

    Raises:
        ValueError: ``first`` is no whole number of at least 1.

    References: [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167).
    """

    def __init__(self, channels: int, eps: float = 1e-5, first: int | None = None):
        super().__init__()
        if first is not None:
            whole_number("first", first, 1, "a number of examples", ", or None for all")
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))
        self.eps, self.first = eps, first

    def forward(self, x: Tensor) -> Tensor:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        seen = x if self.first is None else x[: self.first]  # a slice of all would cost a copy on the way back
        mean = seen.mean(axes, keepdim=True)
        variance = (seen - mean).square().mean(axes, keepdim=True)
        return _normalised(x, mean, variance, self)

    def extra_repr(self) -> str:
        return f"{len(self.gain)}, eps={self.eps:g}" + ("" if self.first is None else f", first={self.first}")


class FixedNorm(nn.Module):
    """The same with a mean and a variance that no batch changes: those of long ago, kept in buffers.

    What ``torch.nn.BatchNorm2d`` becomes under ``eval()``. Fresh, it has mean 0 and variance 1.

    Shapes: (K, C) or (K, C, H, W) to the same; ``mean`` and ``variance`` are (C,).
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return _normalised(x, _per_channel(self.mean, x), _per_channel(self.variance, x), self)

    def extra_repr(self) -> str:
        return f"{len(self.gain)}, eps={self.eps:g}"


def _normalised(x: Tensor, mean: Tensor, variance: Tensor, norm: BatchNorm | FixedNorm) -> Tensor:
    scaled = (x - mean) * torch.rsqrt(variance + norm.eps)
    return scaled * _per_channel(norm.gain, x) + _per_channel(norm.offset, x)


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    return values.view([-1 if axis == 1 else 1 for axis in range(x.ndim)])


class Context(nn.Module):
    """Numbers that stand for the task, put behind the inputs of every example: (K, d) to (K, d + size).

    x -> (x, c), with c the same for all examples and zero at first. Behind them stands a layer of ordinary weights, so
    that the output depends on c, and has a gradient in it, where c is zero.

    References: [Zintgraf et al., 2019](https://arxiv.org/abs/1810.03642).
    """

    def __init__(self, size: int):
        super().__init__()
        self.vector = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.vector.expand(len(x), -1)], dim=1)

    def extra_repr(self) -> str:
        return f"{len(self.vector)}"
