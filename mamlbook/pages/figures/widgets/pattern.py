"""The figure of patterns: the reader chooses which layers of a meta-trained network adapt at which inner step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.network import EVERYTHING, LAYERS, SHAPES, descended, flat
from mamlbook.pages.figures.widgets.still import Panel, still_picture

PRESETS = {
    "all": "All layers (MAML)",
    "head": "Head only (ANIL)",
    "body": "Body only (BOIL)",
    "none": "None",
    "staircase": "Staircase",
}
WAVES = 8
MOST_STEPS = 6  # columns that a thumb can tell apart on a phone
XS = torch.linspace(-5, 5, 101, dtype=torch.float64)
SIZES = tuple(math.prod(shape) for shape in SHAPES[::2])  # weights of each layer, and multiplications for one point


def adaptation_pattern(
    start: Sequence[Any],
    alpha: float = 0.01,
    *,
    steps: int = 5,
    preset: str = "head",
    shots: int = 10,
    seed: int = 0,
    title: str = "Which layers adapt, and at which step?",
    caption: str | None = None,
) -> Widget:
    """The figure in which a pattern of layers and steps decides what gradient descent on a new sine wave may change.

    phi_l^{s+1} = phi_l^s - ``alpha`` m_{s,l} grad_l L(phi^s),  m_{s,l} in {0, 1},  s = 0, ..., ``steps`` - 1.

    ``start`` holds the six parameters of a 1-40-40-1 ReLU network in PyTorch's order, meta-trained or not. They are
    written with as many decimal digits as a float32 needs. The first pattern is a ``preset``: all, head, body, none or
    staircase, which adds a layer at each step from the head down. The reader goes through eight waves with ``shots``
    support points each, 1 to 20, drawn by ``seed`` from the distribution of the MAML paper.

    Raises:
        ValueError: a parameter of the wrong number, shape or value, an unknown preset, or a number out of range.
    """
    _check(alpha, steps, preset, shots)
    masks = _masks(steps)
    data = {
        "start": flat("start", start),
        "alpha": float(alpha),
        "layers": LAYERS,
        "sizes": SIZES,
        "presets": [{"name": name, "label": PRESETS[name], "mask": mask} for name, mask in masks.items()],
        "waves": _waves(shots, seed),
        "first": {"wave": 0, "step": steps, "mask": masks[preset]},
    }
    data["axis"] = _axis(data)
    if caption is None:
        caption = (
            f"Gradient steps of size {alpha:g} on {shots} support points, from the same weights for every pattern; "
            "ANIL and BOIL meta-train under their patterns too. A step runs the whole network forward. Its gradient "
            "then goes down to the lowest layer that adapts, and is taken for the weights of those that do. The work "
            "saved is all other multiplications in the network’s matrix products."
        )
    first = _first(data)
    alt = _alt(data, preset, first)
    return widget("pattern", data, title=title, alt=alt, fallback=_still(data, first), caption=caption)


def _check(alpha: float, steps: int, preset: str, shots: int) -> None:
    """Say which argument is wrong, if one is."""
    if not 0 < alpha <= 0.1:
        raise ValueError(f"alpha: expected a rate above 0 and at most 0.1, got {alpha}")
    if preset not in PRESETS:
        raise ValueError(f"preset: expected one of {', '.join(PRESETS)}, got {preset}")
    for name, value, high in [("steps", steps, MOST_STEPS), ("shots", shots, 20)]:
        if value not in range(1, high + 1):
            raise ValueError(f"{name}: expected a whole number from 1 to {high}, got {value}")


def _masks(steps: int) -> dict[str, list[list[bool]]]:
    """The presets: for every step, which of the layers adapt."""
    top = len(LAYERS) - 1
    adapts = {
        "all": lambda step, layer: True,
        "head": lambda step, layer: layer == top,
        "body": lambda step, layer: layer < top,
        "none": lambda step, layer: False,
        "staircase": lambda step, layer: layer >= top - step,
    }
    return {
        name: [[adapts[name](step, layer) for layer in range(top + 1)] for step in range(steps)] for name in PRESETS
    }


def _waves(shots: int, seed: int) -> list[dict[str, Any]]:
    """Waves of the paper's distribution and where their support points lie, rounded so that a few digits say all."""
    draw = np.random.default_rng(seed)
    return [
        {
            "amplitude": round(draw.uniform(0.1, 5), 2),
            "phase": round(draw.uniform(0, math.pi), 2),
            "places": draw.uniform(-5, 5, shots).round(2).tolist(),
        }
        for _ in range(WAVES)
    ]


def _errors(data: dict[str, Any], wave: dict[str, Any], mask: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """The outputs, and the support and query error, after 0, 1, ..., S steps under a mask."""
    points = [(x, wave["amplitude"] * math.sin(x - wave["phase"])) for x in wave["places"]]
    truth = wave["amplitude"] * torch.sin(XS - wave["phase"])
    outputs, errors = descended(data["start"], points, data["alpha"], mask, XS)
    return {
        "points": points,
        "truth": truth.tolist(),
        "outputs": [output.tolist() for output in outputs],
        "support": errors,
        "query": [(output - truth).square().mean().item() for output in outputs],
    }


def _axis(data: dict[str, Any]) -> dict[str, list[float]]:
    """Domain and ticks of the log axis of errors, the same for every wave and pattern."""
    mask = [EVERYTHING] * len(data["first"]["mask"])
    runs = [_errors(data, wave, mask) for wave in data["waves"]]
    found = [value for run in runs for kind in ("support", "query") for value in run[kind] if 0 < value < math.inf]
    # Another pattern may go a little lower; far below or above, a curve leaves the picture.
    low, high = max(min(found) / 2, 1e-4), min(1.5 * max(found), 1e4)
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return {"domain": [float(f"{low:.3g}"), float(f"{high:.3g}")], "ticks": [float(f"1e{power}") for power in powers]}


def _first(data: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first picture under its own pattern, and where every layer adapts."""
    mask, wave = data["first"]["mask"], data["waves"][0]
    return _errors(data, wave, mask), _errors(data, wave, [EVERYTHING] * len(mask))


def _alt(data: dict[str, Any], preset: str, first: tuple[dict[str, Any], dict[str, Any]]) -> str:
    """The first picture in words."""
    here, every = first
    what = {
        "all": "every layer adapts at every step",
        "head": "the head adapts at every step, linear1 and linear2 at none",
        "body": "linear1 and linear2 adapt at every step, the head at none",
        "none": "nothing adapts",
        "staircase": "a layer more adapts at each step, from the head down",
    }[preset]
    return (
        f"A grid of three layers by inner steps, {data['first']['step']} in number: {what}. The mean squared error on "
        f"the whole wave goes from {here['query'][0]:.2g} to {here['query'][-1]:.2g}, and to {every['query'][-1]:.2g} "
        f"where every layer adapts. Below, the wave with {len(here['points'])} support points and the curve of the "
        "network after the steps."
    )


def _still(data: dict[str, Any], first: tuple[dict[str, Any], dict[str, Any]]) -> str:
    """The first picture: the pattern, the errors after every step, and the fit."""
    here, every = first
    mask, axis = data["first"]["mask"], data["axis"]
    steps = range(len(mask) + 1)
    ends = (-0.2, len(mask) + 0.2)
    grid = Panel(ends, (0.4, 3.6), steps[1:], (1, 2, 3), "layers that adapt at each step (layer 3 is the head)", 124)
    grid.points.extend(
        ("maml", step, layer) for step, row in enumerate(mask, 1) for layer, yes in enumerate(row, 1) if yes
    )
    label = "mean squared error by steps taken (thin: every layer adapts)"
    course = Panel(ends, tuple(axis["domain"]), steps, axis["ticks"], label, 220, log=True)
    for role in ("support", "query"):
        course.curves.append((role, steps, here[role]))
        course.contours.append((role, steps, every[role]))
        course.points.extend((role, step, value) for step, value in zip(steps, here[role], strict=True))
    label = "y, after the steps (thin: every layer adapts)"
    fit = Panel((-5, 5), (-5.5, 5.5), (-4, -2, 0, 2, 4), (-4, -2, 0, 2, 4), label, 320)
    fit.curves.append(("truth", XS.tolist(), here["truth"]))
    fit.curves.append(("maml", XS.tolist(), here["outputs"][-1]))
    fit.contours.append(("maml", XS.tolist(), every["outputs"][-1]))
    fit.points.extend(("support", x, y) for x, y in here["points"])
    words = {"maml": "with this pattern", "truth": "true wave", "query": "error on the wave"}
    return still_picture([grid, course, fit], {**words, "support": "support points, error there"}, "x")
