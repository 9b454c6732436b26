"""Which layer adapts at which step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mamlbook.inner.transforms import Gradients, Place, Transform
from mamlbook.model import Model

if TYPE_CHECKING:
    from mamlbook.inner.base import Solver


def layer_of(name: str) -> str:
    """The layer that a tensor belongs to: ``linear1`` for ``linear1.weight``; a tensor of no layer is its own."""
    return name.rpartition(".")[0] or name


def layers(model: Model) -> tuple[str, ...]:
    """The layers that have weights, from the input to the head; a batch norm is a layer of its own."""
    return tuple(dict.fromkeys(map(layer_of, model.names)))


class LambdaPattern(Transform):
    """A Lambda pattern: a mask over inner steps and layers. A reconstruction from the abstract.

    phi_l^{k+1} = phi_l^k - alpha Lambda_{kl} g_l^k,  Lambda in {0, 1}^{steps x layers}.

    ``rows`` has one string for each inner step, with a 1 for each layer that adapts and a 0 for each that does not, in
    the order of ``layers(model)``; steps beyond the last row repeat it. On ``mlp(1, 40, 40, 1)`` MAML is "111", ANIL is
    "001" and BOIL "110". What a row refuses is not differentiated; only the layers *below* the lowest that adapts are
    spared entirely, for the gradient has to pass through the others.

    Raises:
        ValueError: there are no rows, or one of them is not a string of 0 and 1 with one sign for each layer.

    References: [Khabarlak, 2022](https://arxiv.org/abs/2206.05930), of which the abstract was available.
    """

    def __init__(self, model: Model, *rows: str):
        self.layers, self.rows = layers(model), rows
        if not rows:
            raise ValueError("rows: expected at least one, as '111' for a first step that adapts three layers")
        for row in rows:
            if not isinstance(row, str) or len(row) != len(self.layers) or set(row) - {"0", "1"}:
                raise ValueError(
                    f"rows: expected strings of {len(self.layers)} signs, 1 or 0 for each of "
                    f"{', '.join(self.layers)}, got {row!r}"
                )

    def adapts(self, model: Model, step: int) -> list[bool]:
        row = self.rows[min(step, len(self.rows) - 1)]
        return [row[self.layers.index(layer_of(name))] == "1" for name in model.names]

    def require(self, model: Model, solver: Solver) -> None:
        if layers(model) != self.layers:
            raise ValueError(
                f"rows: expected a pattern of this network's layers, {', '.join(layers(model))}, got one of "
                f"{', '.join(self.layers)}"
            )

    def __call__(self, gradients: Gradients, place: Place) -> Gradients:
        return gradients

    def __repr__(self) -> str:
        return f"LambdaPattern({' '.join(self.rows)})"
