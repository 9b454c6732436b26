"""The figure of the solved head: ridge regression on the features of a network, and gradient steps on the same head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from mamlbook.inner.head_weights import head_features
from mamlbook.inner.kernel import FeatureKernel
from mamlbook.model import Model
from mamlbook.networks import mlp
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.network import SHAPES, flat
from mamlbook.pages.figures.widgets.still import Panel, still_picture
from mamlbook.stored import load_theta

MOST = 20  # points
GOLDEN = (math.sqrt(5) - 1) / 2
PLACES = [round(-4.8 + 9.6 * ((0.6 + number * GOLDEN) % 1), 3) for number in range(MOST)]
RIDGES = [float(f"{digit}e{power}") for power in range(-6, 3) for digit in (1, 2, 5)][:-2]  # up to 100
STEPS = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]
ROLES = {"solved": "first", "steps": "second", "start": "third", "truth": "truth"}

CAPTION = (
    "The body of the network is fixed, and its last layer, the head, has 41 weights. The ridge regression pulls them "
    "to the start with the strength λ. The steps descend the same objective; their size is one over its largest "
    "curvature. The whole wave, dotted, does not follow the points that you move."
)


def solved_head(
    start: Sequence[Any],
    lam: float = 0.05,
    steps: int = 10,
    *,
    points: int = 10,
    amplitude: float = 3.5,
    phase: float = 0.8,
    title: str = "Solved at once, or step by step?",
    caption: str | None = None,
) -> Widget:
    """The figure in which the head of a network is solved for by ridge regression, and by gradient steps beside it.

    With features z, zbar = (z, 1) and the kernel k(x, x') = <zbar(x), zbar(x')> the solved network is
    f_theta(x) + k(x, X) a, a = (k(X, X) + lam K I)^-1 (Y - f_theta(X)); the S steps on the mean squared error plus
    lam abs(W - W_theta)^2 have the size 1 / (2 (mu / K + lam)), mu the largest eigenvalue of k(X, X).

    ``start`` holds the six parameters of a 1-40-40-1 ReLU network in PyTorch's order, shapes (40, 1), (40,),
    (40, 40), (40,), (1, 40), (1,). ``lam`` is 1, 2 or 5 times a power of ten from 1e-6 to 100; ``steps`` is 0 or 1, 2
    or 5 times a power of ten up to 10,000; ``points`` of 1 to 20 lie on the wave of ``amplitude`` and ``phase``.

    Raises:
        ValueError: a parameter of the wrong number, shape or value, or a first picture out of range.

    References: ridge regression on learned features is R2-D2, [Bertinetto et al., 2019](https://arxiv.org/abs/1805.08136).
    """
    first = _first(lam, steps, points, amplitude, phase)
    data = {"roles": ROLES, "start": flat("start", start), "ridges": RIDGES, "stops": STEPS, "places": PLACES}
    data["first"] = first
    found = _fitted(data)
    return widget(
        "ridge",
        data,
        title=title,
        alt=_alt(data, found),
        fallback=_still(data, found),
        caption=CAPTION if caption is None else caption,
    )


def _first(lam: float, steps: int, points: int, amplitude: float, phase: float) -> dict[str, Any]:
    """The first state, if the figure can show it."""
    for name, value, stops in (("lam", lam, RIDGES), ("steps", steps, STEPS)):
        if value not in stops:
            raise ValueError(f"{name}: expected one of {', '.join(f'{stop:g}' for stop in stops)}, got {value}")
    if points not in range(1, MOST + 1):
        raise ValueError(f"points: expected a whole number from 1 to {MOST}, got {points}")
    for name, value, low, high in (("amplitude", amplitude, 0.1, 5), ("phase", phase, 0, math.pi)):
        if not low <= value <= high:
            raise ValueError(f"{name}: expected {low:g} to {high:.3g}, got {value}")
    wave = {"amplitude": float(amplitude), "phase": float(phase)}
    return {"lam": float(lam), "steps": int(steps), "number": int(points), **wave}


def _wave(data: dict[str, Any], x: Tensor) -> Tensor:
    return data["first"]["amplitude"] * torch.sin(x - data["first"]["phase"])


def _fitted(data: dict[str, Any]) -> dict[str, tuple[Tensor, float]]:
    """What the solution, the steps and the start make of 101 places, and their errors on the points."""
    first = data["first"]
    theta = [
        torch.tensor(p, dtype=torch.float64).reshape(shape) for p, shape in zip(data["start"], SHAPES, strict=True)
    ]
    model = Model(load_theta(mlp(1, 40, 40, 1).double(), tuple(theta)), mse_loss)
    x = torch.tensor(data["places"][: first["number"]], dtype=torch.float64).view(1, -1, 1)
    xs = torch.linspace(-5, 5, 101, dtype=torch.float64).view(1, -1, 1)
    weights = tuple(p.detach()[None] for p in model.theta)
    y, before, everywhere = _wave(data, x), model(weights, x), model(weights, xs)
    gram, _ = FeatureKernel().gram(model, weights, x)
    across = head_features(model, weights, xs) @ head_features(model, weights, x).mT
    curvatures, basis = torch.linalg.eigh(gram[0] + first["lam"] * first["number"] * torch.eye(first["number"]))
    left = 1 - curvatures / curvatures[-1]  # what a step leaves of each direction
    found = {}
    for name, share in (
        ("solved", torch.ones_like(left)),
        ("steps", 1 - left ** first["steps"]),
        ("start", torch.zeros_like(left)),
    ):
        a = basis @ torch.diag(share / curvatures) @ basis.T @ (y - before)[0]
        error = (before[0] + gram[0] @ a - y[0]).square().mean().item()
        found[name] = ((everywhere[0] + across[0] @ a).flatten().detach(), error)
    return found


def _alt(data: dict[str, Any], found: dict[str, tuple[Tensor, float]]) -> str:
    """The first picture in words."""
    first = data["first"]
    apart = (found["solved"][0] - found["steps"][0]).abs().max().item()
    return (
        f"A wave with {first['number']} points on it. With λ = {first['lam']:g} the solved head has an error of "
        f"{found['solved'][1]:.2g} on the points, the head after {first['steps']} gradient steps "
        f"{found['steps'][1]:.2g}, the start {found['start'][1]:.2g}; solution and steps are up to {apart:.2g} apart."
    )


def _still(data: dict[str, Any], found: dict[str, tuple[Tensor, float]]) -> str:
    """The first picture."""
    xs = torch.linspace(-5, 5, 101, dtype=torch.float64)
    panel = Panel((-5, 5), (-5.5, 5.5), (-4, -2, 0, 2, 4), (-4, -2, 0, 2, 4), "y", 340)
    panel.curves.append((ROLES["truth"], xs.tolist(), _wave(data, xs).tolist()))
    panel.curves.extend((ROLES[name], xs.tolist(), found[name][0].tolist()) for name in ("start", "steps", "solved"))
    shown = data["places"][: data["first"]["number"]]
    panel.points.extend(("support", x, _wave(data, torch.tensor(x, dtype=torch.float64)).item()) for x in shown)
    steps = data["first"]["steps"]
    names = {"solved": "solved", "steps": f"{steps} steps", "start": "start", "truth": "true wave"}
    return still_picture([panel], {**{ROLES[name]: words for name, words in names.items()}, "support": "points"}, "x")
