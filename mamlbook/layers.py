"""Layers that PyTorch does not have in the form that adapting many tasks at once needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mamlbook.checks import non_negative, whole_number


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
        whole_number("channels", channels)
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))
        self.eps, self.first = non_negative("eps", "number", eps), first

    def forward(self, x: Tensor) -> Tensor:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        seen = x if self.first is None else x[: self.first]  # a slice of all would cost a copy on the way back
        return _normalised(x, *_moments(seen, axes), self)

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
        whole_number("channels", channels)
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.eps = non_negative("eps", "number", eps)

    def forward(self, x: Tensor) -> Tensor:
        return _normalised(x, _per_channel(self.mean, x), _per_channel(self.variance, x), self)

    def extra_repr(self) -> str:
        return f"{len(self.gain)}, eps={self.eps:g}"


class TaskNorm(nn.Module):
    """Normalisation by the support set's statistics, blended with those of each example over its own channels.

    mean = a mean_S + (1 - a) mean_x,
    var = a (var_S + (mean_S - mean)^2) + (1 - a) (var_x + (mean_x - mean)^2),  a = sigmoid(scale K + shift).

    S are the K = ``first`` examples that stand in front, per channel; x is the example itself, over all channels (and
    pixels). ``scale`` and ``shift`` are learned, and begin at 0.

    Shapes: (K, C) or (K, C, H, W) to the same.

    Raises:
        ValueError: ``first`` is no whole number of at least 1.

    References: [Bronskill et al., 2020](https://arxiv.org/abs/2003.03284), where it is TaskNorm-L.
    """

    def __init__(self, channels: int, first: int, eps: float = 1e-5):
        super().__init__()
        self.first = whole_number("first", first, 1, "a number of examples")
        whole_number("channels", channels)
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))
        self.scale = nn.Parameter(torch.zeros(1))
        self.shift = nn.Parameter(torch.zeros(1))
        self.eps = non_negative("eps", "number", eps)

    def forward(self, x: Tensor) -> Tensor:
        support = _moments(x[: self.first], [axis for axis in range(x.ndim) if axis != 1])
        own = _moments(x, list(range(1, x.ndim)))
        a = torch.sigmoid(self.scale * self.first + self.shift)
        mean = a * support[0] + (1 - a) * own[0]
        of_both = [(variance + (centre - mean).square()) for centre, variance in (support, own)]
        return _normalised(x, mean, a * of_both[0] + (1 - a) * of_both[1], self)

    def extra_repr(self) -> str:
        return f"{len(self.gain)}, first={self.first}, eps={self.eps:g}"


def _moments(x: Tensor, axes: list[int]) -> tuple[Tensor, Tensor]:
    mean = x.mean(axes, keepdim=True)
    return mean, (x - mean).square().mean(axes, keepdim=True)


def _normalised(x: Tensor, mean: Tensor, variance: Tensor, norm: BatchNorm | FixedNorm | TaskNorm) -> Tensor:
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
