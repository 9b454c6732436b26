"""The few networks of the book, seeded, each a plain ``nn.Module``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


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
        if first is not None and (isinstance(first, bool) or not isinstance(first, int) or first < 1):
            raise ValueError(f"first: expected a number of examples of at least 1, or None for all, got {first!r}")
        self.gain = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))
        self.eps, self.first = eps, first

    def forward(self, x: Tensor) -> Tensor:
        axes = [axis for axis in range(x.ndim) if axis != 1]
        mean = x[: self.first].mean(axes, keepdim=True)
        variance = (x[: self.first] - mean).square().mean(axes, keepdim=True)
        return _normalised(x, mean, variance, self)

    def extra_repr(self) -> str:
        return f"{len(self.gain)}, eps={self.eps:g}" + ("" if self.first is None else f", first={self.first}")


class FixedNorm(nn.Module):
    """The same with a mean and a variance that no batch changes: those of long ago, kept in buffers.

    What ``torch.nn.BatchNorm2d`` becomes under ``eval()``. Fresh, it has mean 0 and variance 1.

    Shapes: (K, C) or (K, C, H, W) to the same; ``mean`` and ``variance`` are (C,).
    """

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


def mlp(
    *sizes: int,
    activation: type[nn.Module] = nn.ReLU,
    norm: Callable[[int], nn.Module] | None = None,
    start: Callable[[Tensor], object] | None = None,
    seed: int = 0,
) -> nn.Sequential:
    """A fully connected network: (K, sizes[0]) to (K, sizes[-1]).

    The paper's sine network is ``mlp(1, 40, 40, 1)``. The initial weights are PyTorch's own; with ``start``, a function
    of ``torch.nn.init`` such as ``xavier_uniform_``, every matrix is drawn by it and the biases are zero. ``norm``,
    such as ``BatchNorm`` or ``nn.LayerNorm``, gets the width of each hidden layer and precedes its activation.

    Raises:
        ValueError: fewer than two sizes, or a size below 1.

    >>> [tuple(p.shape) for p in mlp(1, 40, 40, 1).parameters()]
    [(40, 1), (40,), (40, 40), (40,), (1, 40), (1,)]
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes: expected at least two positive widths, as in mlp(1, 40, 40, 1), got {sizes}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number, (wide, next_wide) in enumerate(pairwise(sizes), 1):
            layer = nn.Linear(wide, next_wide)
            layers["head" if number == len(sizes) - 1 else f"linear{number}"] = _drawn(layer, start) if start else layer
            if number < len(sizes) - 1:
                if norm is not None:
                    layers[f"norm{number}"] = norm(next_wide)
                layers[f"activation{number}"] = activation()
    return nn.Sequential(layers)


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


def contextual(*sizes: int, context: int = 5, **options: Any) -> nn.Sequential:
    """``mlp(*sizes)`` that reads, behind its inputs, ``context`` numbers of the task: (K, sizes[0]) to (K, sizes[-1]).

    The other options are those of ``mlp``.

    Raises:
        ValueError: a context below 1, or sizes that ``mlp`` refuses.

    References: [Zintgraf et al., 2019](https://arxiv.org/abs/1810.03642).

    >>> [name for name, _ in contextual(1, 40, 40, 1).named_parameters()][:2]
    ['context.vector', 'linear1.weight']
    """
    if context < 1:
        raise ValueError(f"context: expected at least one number that stands for the task, got {context}")
    net = mlp(*(size + context if number == 0 else size for number, size in enumerate(sizes)), **options)
    return nn.Sequential(OrderedDict([("context", Context(context)), *net.named_children()]))


def linear(theta: Tensor | Sequence[float]) -> nn.Linear:
    """y_hat = x theta, started at theta of shape (d,), in double precision: (K, d) to (K, 1).

    With ``half_squared_error`` it is the model whose meta-gradients are known exactly.

    >>> linear([0.5, 2.0])(torch.tensor([[2.0, 1.0]], dtype=torch.float64)).item()
    3.0
    """
    start = torch.as_tensor(theta, dtype=torch.float64).reshape(1, -1)
    net = nn.Linear(start.shape[1], 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        net.weight.copy_(start)
    return net


def conv4(
    ways: int,
    *,
    channels: int = 1,
    filters: int = 64,
    pooling: str = "stride",
    size: int = 28,
    seed: int = 0,
) -> nn.Sequential:
    """Four blocks of 3x3 convolution, batch norm and ReLU, then a linear head: (K, channels, H, W) to (K, ways).

    ``pooling="stride"`` halves the image inside each convolution, as the MAML paper does for Omniglot;
    ``pooling="max"`` convolves at full size and takes the maximum of 2x2 pixels, as it does for miniImageNet.
    Kernels start at Glorot's uniform weights, biases at zero; the head reads all pixels that are left.

    Raises:
        ValueError: an unknown pooling, a non-positive number, or images too small to be halved four times.

    References: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), section 5.2 and appendix A.
    """
    if pooling not in ("stride", "max"):
        raise ValueError(f"pooling: expected 'stride' or 'max', got {pooling!r}")
    if min(ways, channels, filters) < 1:
        raise ValueError(f"ways, channels, filters: expected positive numbers, got {ways}, {channels}, {filters}")
    side = size
    for _ in range(4):
        side = (side + 1) // 2 if pooling == "stride" else side // 2
    if side < 1:
        raise ValueError(f"size: expected at least 16 pixels for pooling='max' and 1 for 'stride', got {size}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        blocks: OrderedDict[str, nn.Module] = OrderedDict()
        for number in range(1, 5):
            blocks[f"block{number}"] = _block(channels if number == 1 else filters, filters, pooling)
        blocks["flatten"] = nn.Flatten()
        blocks["head"] = _drawn(nn.Linear(filters * side * side, ways), nn.init.xavier_uniform_)
    return nn.Sequential(blocks)


def _block(inputs: int, outputs: int, pooling: str) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    conv = nn.Conv2d(inputs, outputs, 3, stride=2 if pooling == "stride" else 1, padding=1)
    layers["conv"] = _drawn(conv, nn.init.xavier_uniform_)
    layers["norm"] = BatchNorm(outputs)
    layers["relu"] = nn.ReLU()
    if pooling == "max":
        layers["pool"] = nn.MaxPool2d(2)
    return nn.Sequential(layers)


def _drawn(layer: nn.Conv2d | nn.Linear, start: Callable[[Tensor], object]) -> nn.Module:
    start(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
