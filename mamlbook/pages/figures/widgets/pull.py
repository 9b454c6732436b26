"""The figure of the pull: iMAML's inner solutions, the weights they give two quadratic tasks, and its gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.bowls import closed_form, kept
from mamlbook.pages.figures.widgets.still import Panel, still_picture

LOW, HIGH = -0.4, 1.4  # of the parameter
LEAST, MOST = 0.01, 100  # of the pull
STEPS = 100
IMAML = "first"  # its own colour is that of task 2

CAPTION = (
    "Task b has the loss h/2 (φ − c)², with its own curvature h and optimum c. The inner problem adds the pull "
    "λ/2 (φ − θ)²; its solution φ* keeps λ/(h + λ) of the distance to c, so the task has the weight h(λ/(h + λ))² in "
    "the meta-gradient. S steps of size α leave (1 − α(h + λ))ˢ of the way from θ to φ*. The thin line is MAML without "
    "a pull, with as many steps of the same size as go about as far: αS = 1/λ."
)


def proximal_pull(
    h: Sequence[float] = (1.0, 3.0),
    c: Sequence[float] = (0.0, 1.0),
    theta: float = 0.6,
    lam: float = 1.0,
    alpha: float = 0.05,
    steps: int = 10,
    *,
    title: str = "A pull back to the start decides which task is heard",
    caption: str | None = None,
) -> Widget:
    """The figure in which two tasks with losses h_b / 2 (phi - c_b)^2 are solved under a pull back to theta.

    The inner problem phi*_b = argmin h_b / 2 (phi - c_b)^2 + ``lam`` / 2 (phi - theta)^2 keeps lam / (h_b + lam) of the
    distance to c_b, so task b has the weight h_b (lam / (h_b + lam))^2 in iMAML's meta-gradient. S = ``steps`` gradient
    steps of size ``alpha`` leave q_b^S of the way to phi*_b, q_b = 1 - alpha (h_b + lam). The figure compares the
    implicit gradient at that phi, lam / (h_b + lam) L_b'(phi), with the derivative of L_b(phi) through the steps. The
    reference is MAML without a pull, with weights h_b (1 - alpha h_b)^(2S) at alpha S = 1 / lam.

    ``h``, ``c``: two numbers each, h in [0.25, 4]; c and ``theta`` in [-0.4, 1.4]; ``lam`` in [0.01, 100]; ``alpha`` in
    [0.01, 0.25]; ``steps`` of 0 to 100.

    Raises:
        ValueError: not two tasks, or a number out of the range that the figure shows.

    References:
        [Rajeswaran et al., 2019](https://arxiv.org/abs/1909.04630).
    """
    first = _first(h, c, theta, lam, alpha, steps)
    return widget(
        "pull",
        {"first": first, "range": [LOW, HIGH], "roles": {"imaml": IMAML}},
        title=title,
        alt=_alt(first),
        fallback=_still(first),
        caption=CAPTION if caption is None else caption,
    )


def _first(
    h: Sequence[float], c: Sequence[float], theta: float, lam: float, alpha: float, steps: int
) -> dict[str, Any]:
    """The first picture's settings, every one in its range."""
    for name, values, low, high in [
        ("h", h, 0.25, 4),
        ("c", c, LOW, HIGH),
        ("theta", [theta], LOW, HIGH),
        ("lam", [lam], LEAST, MOST),
        ("alpha", [alpha], 0.01, 0.25),
    ]:
        if name in "hc" and len(values) != 2:
            raise ValueError(f"{name}: expected two numbers, one a task, got {len(values)}")
        if not all(low <= value <= high for value in values):
            raise ValueError(f"{name}: expected {low:g} to {high:g}, got {', '.join(map(str, values))}")
    if steps not in range(STEPS + 1):
        raise ValueError(f"steps: expected a whole number from 0 to {STEPS}, got {steps}")
    tasks = {"h": [*map(float, h)], "c": [*map(float, c)]}
    return {**tasks, "theta": float(theta), "lam": float(lam), "alpha": float(alpha), "steps": int(steps)}


def _share(h: Sequence[float], kept: Sequence[float]) -> float | None:
    """The share of task 1 in the meta-gradient, by what each task keeps of the distance to its optimum."""
    one, two = (curvature * part**2 for curvature, part in zip(h, kept, strict=True))
    return one / (one + two) if one + two > 0 else None


def _imaml(h: Sequence[float], lam: float) -> float:
    share = _share(h, kept(h, lam))
    assert share is not None  # a pull keeps something of every distance
    return share


def _after(first: dict[str, Any]) -> list[float]:
    """The parameter of each task after the steps."""
    exact = closed_form(first["h"], first["c"], first["alpha"], first["steps"], first["lam"])
    return exact.pulled(torch.tensor([first["theta"]], dtype=torch.float64)).flatten().tolist()


def _alt(first: dict[str, Any]) -> str:
    """The first picture in words."""
    h, c, lam = first["h"], first["c"], first["lam"]
    pulled = [optimum + part * (first["theta"] - optimum) for part, optimum in zip(kept(h, lam), c, strict=True)]
    after = _after(first)
    return (
        f"Above, the losses of two tasks, parabolas with optima at {c[0]:g} and {c[1]:g} and curvatures {h[0]:g} and "
        f"{h[1]:g}, the start {first['theta']:g} and where {first['steps']} steps lead, {after[0]:.2f} and "
        f"{after[1]:.2f}; the solutions under a pull of strength {lam:g} are {pulled[0]:.2f} and "
        f"{pulled[1]:.2f}. Below, the share of task 1 in iMAML's meta-gradient goes from "
        f"{100 * _imaml(h, LEAST):.0f}% at the pull {LEAST:g} to {100 * _imaml(h, MOST):.0f}% at {MOST:g}; at {lam:g} "
        f"it is {100 * _imaml(h, lam):.0f}%."
    )


def _still(first: dict[str, Any]) -> str:
    """The first picture."""
    h, c, theta, alpha = first["h"], first["c"], first["theta"], first["alpha"]
    label = f"loss of each task over φ (mark: after {first['steps']} steps; dashed: the start θ)"
    bowls = Panel((LOW, HIGH), (0, 0.8), (0, 0.5, 1), (0, 0.2, 0.4, 0.6, 0.8), label, 250)
    xs = [LOW + (HIGH - LOW) * number / 80 for number in range(81)]
    for task, (role, phi) in enumerate(zip(("task1", "task2"), _after(first), strict=True)):
        bowls.curves.append((role, xs, [h[task] / 2 * (x - c[task]) ** 2 for x in xs]))
        height = h[task] / 2 * (phi - c[task]) ** 2
        if LOW <= phi <= HIGH and height <= 0.8:
            bowls.points.append((role, phi, height))
    bowls.curves.append(("theta", [theta, theta], [0, 0.8]))
    ends = (math.log10(LEAST), math.log10(MOST))
    label = "share of task 1 in the meta-gradient, the rest is task 2's (mark: at λ)"
    weights = Panel(ends, (0, 1), (-2, -1, 0, 1, 2), (0, 0.25, 0.5, 0.75, 1), label, 230)
    logs = [ends[0] + (ends[1] - ends[0]) * number / 80 for number in range(81)]
    # MAML takes one step at least: alpha S = 1 / lam and S >= 1.
    fewer = [log for log in logs if 10**log * alpha <= 1]
    maml = [_share(h, [(1 - alpha * curvature) ** (1 / (alpha * 10**log)) for curvature in h]) for log in fewer]
    there = [(log, share) for log, share in zip(fewer, maml, strict=True) if share is not None]
    weights.curves.append(("maml", [log for log, _ in there], [share for _, share in there]))
    weights.curves.append((IMAML, logs, [_imaml(h, 10**log) for log in logs]))
    weights.points.append((IMAML, math.log10(first["lam"]), _imaml(h, first["lam"])))
    names = {"task1": "task 1", "task2": "task 2", IMAML: "iMAML", "maml": "MAML, αS = 1/λ"}
    return still_picture([bowls, weights], names, "log₁₀ of the pull λ")
