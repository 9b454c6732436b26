"""The sine figure: three networks that differ only in their start adapt, in the page, to points the reader moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mamlbook.figures.widgets.base import Widget, widget
from mamlbook.figures.widgets.still import Panel, still

SHAPES = ((40, 1), (40,), (40, 40), (40,), (1, 40), (1,))
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


def adapt(start: Sequence[Any], points: Sequence[Sequence[float]], alpha: float, steps: int) -> list[Tensor]:
    """What gradient descent on the mean squared error makes of a start, in float64: the figure's arithmetic in PyTorch.

    ``start`` holds the six parameters, flat or shaped; ``points`` are (x, y) pairs. Returns six tensors shaped as
    the network's parameters.
    """
    phi = [torch.as_tensor(p, dtype=torch.float64).reshape(shape) for p, shape in zip(start, SHAPES, strict=True)]
    x, y = torch.as_tensor(points, dtype=torch.float64).split(1, dim=1)
    for _ in range(steps):
        phi = [p.detach().requires_grad_() for p in phi]
        gradient = torch.autograd.grad((predict(phi, x) - y).square().mean(), phi)
        phi = [p - alpha * g for p, g in zip(phi, gradient, strict=True)]
    return [p.detach() for p in phi]


def predict(phi: Sequence[Tensor], x: Tensor) -> Tensor:
    """The network's outputs: (K, 1) to (K, 1)."""
    w1, b1, w2, b2, w3, b3 = phi
    return torch.relu(torch.relu(x @ w1.T + b1) @ w2.T + b2) @ w3.T + b3


def _parameters(name: str, parameters: Sequence[Any]) -> list[list[float]]:
    """Six flat lists of numbers, each the shortest decimal that names its float32."""
    if name not in NAMES:
        raise ValueError(f"starts: expected the names {', '.join(NAMES)}, got {name}")
    arrays = [p.detach().cpu().numpy() if isinstance(p, Tensor) else np.asarray(p) for p in parameters]
    if len(arrays) != len(SHAPES):
        raise ValueError(f"starts[{name!r}]: expected {len(SHAPES)} parameters of shapes {SHAPES}, got {len(arrays)}")
    for number, (array, shape) in enumerate(zip(arrays, SHAPES, strict=True)):
        if array.shape != shape:
            raise ValueError(f"starts[{name!r}][{number}]: expected shape {shape}, got {array.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"starts[{name!r}][{number}]: expected finite numbers, got nan or infinity")
    return [[float(str(value)) for value in array.astype(np.float32).ravel()] for array in arrays]


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
    """The first picture, computed in PyTorch."""
    first = data["first"]
    wave = [(x, first["amplitude"] * math.sin(x - first["phase"])) for x in first["places"][: first["points"]]]
    xs = torch.linspace(-5, 5, 101, dtype=torch.float64)
    curves = [("truth", xs.tolist(), (first["amplitude"] * torch.sin(xs - first["phase"])).tolist())]
    for name in reversed(data["starts"]):
        phi = adapt(data["starts"][name], wave, data["alpha"], first["steps"])
        curves.append((name, xs.tolist(), predict(phi, xs[:, None]).flatten().tolist()))
    panel = Panel((-5, 5), (-5.5, 5.5), (-4, -2, 0, 2, 4), (-4, -2, 0, 2, 4), "y", 340, curves)
    panel.points.extend(("support", x, y) for x, y in wave)
    names = {name: f"{NAMES[name]} start" for name in data["starts"]}
    return still([panel], {**names, "truth": "true wave", "support": "points"}, "x")


def _joined(words: list[str]) -> str:
    """Words with commas and an "or" before the last."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
