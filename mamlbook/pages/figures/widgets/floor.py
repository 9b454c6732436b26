"""The figure of the noise's floor: meta-training on bowls with B tasks at the rate beta, and with one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture

ALPHA, START = 0.3, 3.0  # inner rate of the one step on curvature 1; first distance from the best start
OUTER = (1 - ALPHA) ** 2  # the curvature that theta feels
MOST = 1000  # tasks
BETAS = [0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
BATCHES = [1, 2, 4, 8, 16, 32, 64]

CAPTION = (
    "Bowls of curvature h = 1 whose optima have the variance τ² = 1. One inner step at α = 0.3, so that the outer loop "
    "feels the curvature h̄ = 0.49; θ begins at the distance 3 from the best start. The curves are exact: what is left "
    "of that distance, squared, plus the variance of the noise. θ moves when a meta-batch is complete."
)


def noise_floor(
    beta: float = 0.4,
    tasks: int = 16,
    used: int = 400,
    *,
    title: str = "A quarter of the meta-batch at a quarter of the rate",
    caption: str = CAPTION,
) -> Widget:
    """The figure in which a start is meta-trained on bowls by descent, with noise that levels off at a floor.

    With the curvature H = h (1 - alpha h)^(2S) that theta feels, k outer steps on B = ``tasks`` fresh tasks at the rate
    ``beta`` leave the expected squared distance (1 - beta H)^(2k) R^2 + V (1 - (1 - beta H)^(2k)) of a first R, where
    V = beta H / (2 - beta H) / B for optima of variance 1. The figure shows it over the tasks, and beside it a single
    task in each meta-batch, at the rate ``beta`` and at ``beta`` / B. Its numbers are those after ``used`` tasks.

    Raises:
        ValueError: ``beta`` or ``tasks`` not among those of the sliders, or ``used`` no whole number up to 1000.
    """
    stops: list[tuple[str, float, Sequence[float]]] = [("beta", beta, BETAS), ("tasks", tasks, BATCHES)]
    for name, value, known in stops:
        if value not in known:
            raise ValueError(f"{name}: expected one of {', '.join(map(str, known))}, got {value}")
    if not (isinstance(used, int) and 0 <= used <= MOST):
        raise ValueError(f"used: expected a whole number from 0 to {MOST}, got {used}")
    first = {"beta": float(beta), "tasks": int(tasks), "used": used}
    data = {"first": first, "outer": OUTER, "start": START, "most": MOST, "betas": BETAS, "batches": BATCHES}
    data["roles"] = {"batch": "first", "same": "second", "ratio": "third"}
    return widget("floor", data, title=title, alt=_alt(first), fallback=_still(first), caption=caption)


def _settings(first: dict[str, Any]) -> list[tuple[float, int]]:
    """The rate and the meta-batch of every curve."""
    return [(first["beta"], first["tasks"]), (first["beta"], 1), (first["beta"] / first["tasks"], 1)]


def _course(beta: float, tasks: int) -> tuple[Tensor, Tensor]:
    """The tasks used and the expected squared distance, step by step."""
    distance, found = START**2, [START**2]
    for _ in range(MOST // tasks):
        distance = (1 - beta * OUTER) ** 2 * distance + (beta * OUTER) ** 2 / tasks
        found.append(distance)
    return tasks * torch.arange(len(found)), torch.tensor(found, dtype=torch.float64)


def _alt(first: dict[str, Any]) -> str:
    at = [_course(*setting)[1][first["used"] // setting[1]].item() for setting in _settings(first)]
    return (
        f"Expected squared distance to the best start over the tasks used, on a logarithmic axis, from {START**2:g}. "
        f"After {first['used']} tasks it is {at[0]:.2g} with {first['tasks']} tasks a step at the rate "
        f"{first['beta']:g}, {at[1]:.2g} with one task at the same rate, and {at[2]:.2g} with one task at the rate "
        f"{first['beta'] / first['tasks']:g}."
    )


def _still(first: dict[str, Any]) -> str:
    """The first picture."""
    ticks = [0.001, 0.01, 0.1, 1, 10, 100]
    label = "expected squared distance to the best start"
    panel = Panel((0, MOST), (ticks[0], ticks[-1]), range(0, MOST + 1, 200), ticks, label, 320, log=True)
    for role, setting in zip(("first", "second", "third"), _settings(first), strict=True):
        used, distance = _course(*setting)
        panel.curves.append((role, used.tolist(), distance.tolist()))
        panel.points.append((role, first["used"], distance[first["used"] // setting[1]].item()))
    panel.curves.append(("theta", [first["used"]] * 2, list(panel.y_domain)))
    names = {"first": "B tasks at the rate β", "second": "one task at β", "third": "one task at β/B"}
    return still_picture([panel], names, "tasks used")
