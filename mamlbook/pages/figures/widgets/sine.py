"""The sine figure: three networks that differ only in their start adapt, in the page, to points the reader moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.network import EVERYTHING, descended, flat
from mamlbook.pages.figures.widgets.still import Curve, Panel, still_picture

NAMES = {
    "maml": "meta-learned",
    "joint": "jointly trained",
    "random": "random",
    "fomaml": "first-order",
    "reptile": "Reptile",
}
MOST = 20  # points
GOLDEN = (math.sqrt(5) - 1) / 2


def sine_adaptation(
    starts: Mapping[str, Sequence[Any]],
    alpha: float = 0.01,
    *,
    steps: int = 2,
    points: int = 10,
    amplitude: float = 3.5,
    phase: float = 0.8,
    seed: int = 0,
    title: str = "Three starts, one new wave: which learns it in a few steps?",
    caption: str | None = None,
) -> Widget:
    """The figure in which networks adapt to a sine wave by gradient descent with rate ``alpha``, live.

    ``starts`` maps a role (maml, joint, random, fomaml, reptile) to the six parameters of a 1-40-40-1 ReLU network in
    PyTorch's order, shapes (40, 1), (40,), (40, 40), (40,), (1, 40), (1,). They are written with as many decimal
    digits as a float32 needs, and these decimals, read as float64, are what the figure computes with. ``steps`` of
    0 to 10, ``points`` of 1 to 20, ``amplitude`` and ``phase`` are the first picture; ``seed`` places its points.

    Raises:
        ValueError: an unknown role, a parameter of the wrong number, shape or value, or a first picture out of range.
    """
    if not starts:
        raise ValueError("starts: expected at least one start, got none")
    data = {
        "alpha": float(alpha),
        "starts": {name: _parameters(name, parameters) for name, parameters in starts.items()},
        "first": _first(steps, points, amplitude, phase, seed),
    }
    words = _joined([NAMES[name] for name in starts])
    alt = (
        f"A sine wave with {points} points on it, and the curves that networks with a {words} start give after "
        f"{steps} gradient step{'' if steps == 1 else 's'} on the points."
    )
    if caption is None:
        caption = (
            f"The networks differ only in the weights they start from. Each takes gradient steps of size {alpha:g} on "
            "the mean squared error of the points. The whole wave, dotted, is shown to none of them; it does not "
            "follow the points that you move."
        )
    return widget("sine", data, title=title, alt=alt, fallback=_still(data), caption=caption)


def _parameters(name: str, parameters: Sequence[Any]) -> list[list[float]]:
    """The parameters of one start, which has to be a known one."""
    if name not in NAMES:
        raise ValueError(f"starts: expected the names {', '.join(NAMES)}, got {name}")
    return flat(f"starts[{name!r}]", parameters)


def _first(steps: int, points: int, amplitude: float, phase: float, seed: int) -> dict[str, Any]:
    """The first picture; its x are a golden-ratio sequence, so that any number of them is spread evenly."""
    for word, value, low, high in [
        ("steps", steps, 0, 10),
        ("points", points, 1, MOST),
        ("amplitude", amplitude, 0.1, 5),
        ("phase", phase, 0, math.pi),
    ]:
        if not low <= value <= high:
            raise ValueError(f"{word}: expected {low:g} to {high:.3g}, got {value}")
    shift = np.random.default_rng(seed).random()
    places = [round(-4.8 + 9.6 * ((shift + number * GOLDEN) % 1), 3) for number in range(MOST)]
    return {"amplitude": float(amplitude), "phase": float(phase), "places": places, "points": points, "steps": steps}


def _still(data: dict[str, Any]) -> str:
    """The first picture."""
    first = data["first"]
    wave = [(x, first["amplitude"] * math.sin(x - first["phase"])) for x in first["places"][: first["points"]]]
    xs = torch.linspace(-5, 5, 101, dtype=torch.float64)
    curves: list[Curve] = [("truth", xs.tolist(), (first["amplitude"] * torch.sin(xs - first["phase"])).tolist())]
    for name in reversed(data["starts"]):
        outputs, _ = descended(data["starts"][name], wave, data["alpha"], [EVERYTHING] * first["steps"], xs)
        curves.append((name, xs.tolist(), outputs[-1].tolist()))
    panel = Panel((-5, 5), (-5.5, 5.5), (-4, -2, 0, 2, 4), (-4, -2, 0, 2, 4), "y", 340, curves)
    panel.points.extend(("support", x, y) for x, y in wave)
    names = {name: f"{NAMES[name]} start" for name in data["starts"]}
    return still_picture([panel], {**names, "truth": "true wave", "support": "points"}, "x")


def _joined(words: list[str]) -> str:
    """Words with commas and an "or" before the last."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
