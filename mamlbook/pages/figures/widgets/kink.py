"""The figure of a kink: a loss that is continuous, a MAML objective that jumps, and two ways to ask for its slope."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mamlbook.algorithms import maml
from mamlbook.inner import GradientDescent
from mamlbook.model import Model
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import LEFT, RIGHT, WIDTH, Panel, still_picture
from mamlbook.tasks.base import Data, Tasks
from mamlbook.tasks.quadratic import half_squared_error

LOW, HIGH = -0.6, 1.6
ROLES = {"tangent": "first", "secant": "second", "loss": "third"}  # no methods


def kink_figure(
    alpha: float = 0.5,
    w: float = 0.4,
    *,
    title: str = "A kink in the loss is a jump in the MAML objective",
    caption: str | None = None,
) -> Widget:
    """The figure in which the one weight theta of the model relu(theta) x learns from one example x = y = 1.

    The loss L(theta) = (relu(theta) - 1)^2 / 2 has a kink at 0. One step of size ``alpha`` leads from theta, first
    ``w``, to phi = theta - alpha L'(theta), and the MAML objective F(theta) = L(phi) jumps at 0 from 1/2 to
    (1 - alpha)^2 / 2, because below 0 the step goes nowhere. Differentiation at theta does not see the jump; a finite
    difference across 0 does.

    Raises:
        ValueError: ``alpha`` outside [0, 1], or ``w`` outside [-0.6, 1.6].
    """
    for name, value, low, high in [("alpha", alpha, 0, 1), ("w", w, LOW, HIGH)]:
        if not low <= value <= high:
            raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value}")
    first = {"alpha": float(alpha), "w": float(w), "h": 0.1}
    alt = (
        "Over the weight θ, the loss L stays at 1/2 up to θ = 0 and falls from there to 0 at θ = 1, without a jump. "
        f"The MAML objective F is 1/2 up to θ = 0 and starts again at {(1 - alpha) ** 2 / 2:.3g} beyond it. "
        f"At θ = {w:g}, the tangent of F and a secant."
    )
    if caption is None:
        caption = (
            "The model relu(θ) x with one example x = y = 1 has the loss L(θ) = (relu(θ) − 1)² / 2, continuous with a "
            "kink at 0. The step φ = θ − αL′(θ) moves only a θ above 0, so F(θ) = L(φ) jumps there from 1/2 to "
            "(1 − α)² / 2."
        )
    data = {"first": first, "range": [LOW, HIGH], "roles": ROLES}
    return widget("kink", data, title=title, alt=alt, fallback=_still(first), caption=caption)


class _Relu(nn.Module):
    """The model relu(theta) x, whose theta begins at ``w``."""

    def __init__(self, w: float):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([w], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.w) * x


def _example(tasks: int) -> Data:
    """x = y = 1, for every task."""
    one = torch.ones(tasks, 1, 1, dtype=torch.float64)
    return Data(one, one)


def _objective(alpha: float, steps: int, places: Sequence[float]) -> list[float]:
    """The loss at every place for no step, F for one: each place is the start of a task of its own."""
    model, example = Model(_Relu(0.0), half_squared_error), _example(len(places))
    starts = (torch.tensor(places, dtype=torch.float64)[:, None],)
    adapted = GradientDescent(alpha, steps)(model, example, unroll=0, theta=starts)
    return model.losses(model(adapted.phi, example.x), example.y).tolist()


def _slope(alpha: float, w: float) -> float:
    """What differentiation through the step gives for the slope of F."""
    learner = maml(Model(_Relu(w), half_squared_error), alpha, steps=1)
    (gradient,) = learner.meta_gradient(Tasks(_example(1), _example(1), torch.arange(1)))
    return gradient.item()


def _still(first: dict[str, Any]) -> str:
    """The first picture."""
    alpha, w, h = first["alpha"], first["w"], first["h"]
    ticks = (-0.5, 0, 0.5, 1, 1.5)
    panel = Panel((LOW, HIGH), (0, 0.6), ticks, (0, 0.1, 0.2, 0.3, 0.4, 0.5), "loss and objective", 300)
    # The open circle where F starts again; F itself begins at the circle's edge.
    radius = 5.5 * (HIGH - LOW) / (WIDTH - LEFT - RIGHT)
    ratio = 5.5 * 0.6 / (panel.height - 48) / radius
    turns = [math.tau * (number + 0.3) / 24 for number in range(25)]  # off the axes, where pixels would be ties
    above = [radius + (HIGH - radius) * number / 80 for number in range(81)]
    again, here = _objective(alpha, 1, [1e-300, w])  # F starts again just above 0
    slope, ends = _slope(alpha, w), [w - h, w + h]
    heights = _objective(alpha, 1, ends)
    xs = [LOW + (HIGH - LOW) * number / 110 for number in range(111)]
    panel.curves.extend(
        [
            ("maml", [LOW, 0], [0.5, 0.5]),
            ("maml", above, _objective(alpha, 1, above)),
            (ROLES["loss"], xs, _objective(alpha, 0, xs)),
            ("theta", [w, w], list(panel.y_domain)),
            (ROLES["tangent"], [w - 0.3, w + 0.3], [here + slope * by for by in (-0.3, 0.3)]),
            (ROLES["secant"], ends, heights),
        ]
    )
    panel.points.append(("maml", 0, 0.5))
    if again < 0.5:
        ring = [radius * math.cos(turn) for turn in turns], [again + ratio * radius * math.sin(turn) for turn in turns]
        panel.curves.append(("maml", *ring))
    panel.points.extend((ROLES["secant"], end, height) for end, height in zip(ends, heights, strict=True))
    panel.points.append((ROLES["tangent"], w, here))
    names = {ROLES["loss"]: "loss L", "maml": "MAML objective F", ROLES["tangent"]: "tangent"}
    names |= {ROLES["secant"]: "secant", "theta": "weight"}
    return still_picture([panel], names, "weight θ")
