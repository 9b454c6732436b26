"""Inner gradients turned by matrices that the outer loop learns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mamlbook.inner.transforms import Gradients, Place, Transform
from mamlbook.model import Model

if TYPE_CHECKING:
    from mamlbook.inner.base import Solver


class MetaCurvature(nn.Module, Transform):
    """A learned matrix for each axis of a gradient, started at the identity.

    phi^{k+1} = phi^k - alpha M(g_k),  M(G) = G x_1 M_o x_2 M_i x_3 M_f,

    for the axes of a weight: outputs, inputs, and all others together, such as the pixels of a filter; a bias has
    outputs alone. x_j is the product of a matrix with the j-th axis. For the flattened gradient M is the Kronecker
    product of the matrices. They need not be symmetric, nor positive.

    Shapes: gradients are (B, \\*shape); ``matrices[i]``, for tensor i, are (d, d) each, d the length of an axis.

    Raises:
        ValueError: when a learner is made, a network of other shapes than that of ``model``.

    References: [Park and Oliva, 2019](https://arxiv.org/abs/1902.03356).
    """

    def __init__(self, model: Model):
        super().__init__()
        self.matrices = nn.ModuleList(
            nn.ParameterList(torch.eye(d, dtype=w.dtype, device=w.device) for d in _axes(w.shape)) for w in model.theta
        )

    def _of_each(self) -> list[list[Tensor]]:
        return [list(own.parameters()) for own in self.matrices]

    def require(self, model: Model, solver: Solver) -> None:
        if [_axes(w.shape) for w in model.theta] != [[len(m) for m in own] for own in self._of_each()]:
            raise ValueError(
                "MetaCurvature: expected the matrices of this network, whose weights that learn are "
                f"{', '.join(model.names)}, got those of another; make them anew after freezing or replacing layers"
            )

    def forward(self, gradients: Gradients, place: Place) -> Gradients:
        return [g if g is None else _turned(g, own) for g, own in zip(gradients, self._of_each(), strict=True)]


def _axes(shape: torch.Size) -> list[int]:
    """Outputs, inputs and the rest of a weight, as far as it has them."""
    return [*shape[:2], math.prod(shape[2:])] if len(shape) > 2 else [*shape]


def _turned(g: Tensor, matrices: list[Tensor]) -> Tensor:
    turned = g.reshape(len(g), *map(len, matrices))
    for axis, m in enumerate(matrices, 1):
        turned = (turned.movedim(axis, -1) @ m.mT).movedim(-1, axis)
    return turned.reshape(g.shape)
