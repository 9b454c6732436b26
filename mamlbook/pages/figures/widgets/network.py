"""The network of the sine figures and its gradient descent by the package, as ``network.js`` has them in the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from mamlbook.inner import GradientDescent, LambdaPattern
from mamlbook.model import Model
from mamlbook.networks import mlp
from mamlbook.stored import load_theta
from mamlbook.tasks.base import Data

LAYERS = ("linear1", "linear2", "head")
SHAPES = ((40, 1), (40,), (40, 40), (40,), (1, 40), (1,))
EVERYTHING = (True,) * len(LAYERS)


def descended(
    start: Sequence[Any],
    points: Sequence[Sequence[float]],
    alpha: float,
    pattern: Sequence[Sequence[bool]],
    places: Tensor,
) -> tuple[list[Tensor], list[float]]:
    """Gradient descent on the mean squared error from a start, in float64, after 0, 1, ..., S steps.

    ``start`` holds the six parameters, flat or shaped; ``points`` are (x, y) pairs; ``pattern`` says for each step
    which of the layers adapt.

    Returns: the outputs at ``places``, (K,) each, and the errors on the points.
    """
    net = mlp(1, 40, 40, 1).double()
    theta = [torch.as_tensor(p, dtype=torch.float64).reshape(shape) for p, shape in zip(start, SHAPES, strict=True)]
    model = Model(load_theta(net, tuple(theta)), mse_loss)
    x, y = torch.as_tensor(points, dtype=torch.float64)[None].split(1, dim=-1)
    rows = ["".join("01"[adapts] for adapts in step) for step in pattern]
    solver = GradientDescent(alpha, len(rows), *([LambdaPattern(model, *rows)] if rows else []))
    path = list(solver.path(model, Data(x, y), unroll=0))
    outputs = [model(at.phi, places.view(1, -1, 1)).detach().flatten() for at in path]
    return outputs, [model.losses(model(at.phi, x), y).item() for at in path]


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
