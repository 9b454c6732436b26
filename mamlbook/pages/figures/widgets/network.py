"""The network of the sine figures and its gradient descent, in PyTorch: what ``network.js`` computes in the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

LAYERS = ("linear1", "linear2", "head")
SHAPES = ((40, 1), (40,), (40, 40), (40,), (1, 40), (1,))
EVERYTHING = (True,) * len(LAYERS)


def path(
    start: Sequence[Any], points: Sequence[Sequence[float]], alpha: float, pattern: Sequence[Sequence[bool]]
) -> list[list[Tensor]]:
    """Gradient descent on the mean squared error from a start, in float64: the weights after 0, 1, ..., S steps.

    ``start`` holds the six parameters, flat or shaped; ``points`` are (x, y) pairs; ``pattern`` says for each step
    which of the layers adapt. Every entry is six tensors shaped as the network's parameters.
    """
    phi = [torch.as_tensor(p, dtype=torch.float64).reshape(shape) for p, shape in zip(start, SHAPES, strict=True)]
    x, y = torch.as_tensor(points, dtype=torch.float64).split(1, dim=1)
    found = [phi]
    for adapts in pattern:
        phi = [p.detach().requires_grad_() for p in phi]
        gradient = torch.autograd.grad((predict(phi, x) - y).square().mean(), phi)
        # A layer is a weight and a bias.
        stepped = (p - alpha * g if adapts[i // 2] else p for i, (p, g) in enumerate(zip(phi, gradient, strict=True)))
        phi = [p.detach() for p in stepped]
        found.append(phi)
    return found


def predict(phi: Sequence[Tensor], x: Tensor) -> Tensor:
    """The network's outputs: (K, 1) to (K, 1)."""
    w1, b1, w2, b2, w3, b3 = phi
    return torch.relu(torch.relu(x @ w1.T + b1) @ w2.T + b2) @ w3.T + b3


def flat(argument: str, parameters: Sequence[Any]) -> list[list[float]]:
    """Six flat lists of numbers, each the shortest decimal that names its float32.

    Raises:
        ValueError: naming the argument, a parameter of the wrong number, shape or value.
    """
    arrays = [p.detach().cpu().numpy() if isinstance(p, Tensor) else np.asarray(p) for p in parameters]
    if len(arrays) != len(SHAPES):
        raise ValueError(f"{argument}: expected {len(SHAPES)} parameters of shapes {SHAPES}, got {len(arrays)}")
    for number, (array, shape) in enumerate(zip(arrays, SHAPES, strict=True)):
        if array.shape != shape:
            raise ValueError(f"{argument}[{number}]: expected shape {shape}, got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{argument}[{number}]: expected finite numbers, got nan or infinity")
    return [[float(str(value)) for value in array.astype(np.float32).ravel()] for array in arrays]
