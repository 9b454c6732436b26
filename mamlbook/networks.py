"""The few networks of the book, seeded, each a plain ``nn.Module``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any

import torch
from torch import Tensor, nn

from mamlbook.checks import seed_number, whole_number
from mamlbook.devices import drawn_on_cpu
from mamlbook.layers import BatchNorm, Context


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
        ValueError: fewer than two sizes, or a size that is no whole number of at least 1.
        TypeError: ``activation`` makes no layer.

    >>> [tuple(p.shape) for p in mlp(1, 40, 40, 1).parameters()]
    [(40, 1), (40,), (40, 40), (40,), (1, 40), (1,)]
    """
    if len(sizes) < 2 or not all(isinstance(size, Integral) and size > 0 for size in sizes):
        raise ValueError(f"sizes: expected at least two positive widths, as in mlp(1, 40, 40, 1), got {sizes}")
    if isinstance(activation, nn.Module) or not callable(activation):
        raise TypeError(f"activation: expected what makes a layer, as the class nn.ReLU does, got {activation!r}")
    with drawn_on_cpu(seed_number("seed", seed)):
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number, (wide, next_wide) in enumerate(pairwise(sizes), 1):
            layer = nn.Linear(wide, next_wide)
            layers["head" if number == len(sizes) - 1 else f"linear{number}"] = _drawn(layer, start) if start else layer
            if number < len(sizes) - 1:
                if norm is not None:
                    layers[f"norm{number}"] = norm(next_wide)
                layers[f"activation{number}"] = activation()
    return nn.Sequential(layers)


def contextual(*sizes: int, context: int = 5, **options: Any) -> nn.Sequential:
    """``mlp(*sizes)`` that reads, behind its inputs, ``context`` numbers of the task: (K, sizes[0]) to (K, sizes[-1]).

    The other options are those of ``mlp``.

    Raises:
        ValueError: a context below 1, or sizes that ``mlp`` refuses.

    References: [Zintgraf et al., 2019](https://arxiv.org/abs/1810.03642).

    >>> [name for name, _ in contextual(1, 40, 40, 1).named_parameters()][:2]
    ['context.vector', 'linear1.weight']
    """
    whole_number("context", context, 1, "a whole number of inputs for the task")
    net = mlp(*(size + context if number == 0 else size for number, size in enumerate(sizes)), **options)
    return nn.Sequential(OrderedDict([("context", Context(context)), *net.named_children()]))


class Recurrent(nn.Module):
    """A gated recurrent unit, written out, with a linear head on its last state.

    z, r = sigmoid(A [x_t, h]),  h <- z h + (1 - z) tanh(C [x_t, r h]),  from h = 0.

    Plain arithmetic can be differentiated any number of times, for all tasks at once; PyTorch's own recurrent layers
    cannot be batched over tasks, and on a GPU have no second derivative while cuDNN runs them.

    Shapes: (K, T, inputs) to (K, outputs).

    Raises:
        ValueError: a size is no whole number of at least 1.

    References: [Cho et al., 2014](https://arxiv.org/abs/1406.1078).
    """

    def __init__(self, inputs: int, width: int, outputs: int, seed: int = 0):
        super().__init__()
        for name, number in (("inputs", inputs), ("width", width), ("outputs", outputs)):
            whole_number(name, number)
        with drawn_on_cpu(seed_number("seed", seed)):
            self.gates = nn.Linear(inputs + width, 2 * width)
            self.candidate = nn.Linear(inputs + width, width)
            self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(len(x), self.head.in_features)
        for now in x.unbind(1):
            keep, reset = self.gates(torch.cat([now, h], 1)).sigmoid().chunk(2, 1)
            new = self.candidate(torch.cat([now, reset * h], 1)).tanh()
            h = keep * h + (1 - keep) * new
        return self.head(h)


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
    for name, number in (("ways", ways), ("channels", channels), ("filters", filters), ("size", size)):
        whole_number(name, number)
    side = size
    for _ in range(4):
        side = (side + 1) // 2 if pooling == "stride" else side // 2
    if side < 1:
        raise ValueError(f"size: expected at least 16 pixels for pooling='max' and 1 for 'stride', got {size}")
    with drawn_on_cpu(seed_number("seed", seed)):
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
    assert layer.bias is not None  # none is made without
    nn.init.zeros_(layer.bias)
    return layer
