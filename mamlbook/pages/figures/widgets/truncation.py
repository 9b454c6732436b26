"""The figure of truncation: steps down a terrace, and how far off the gradient is that goes back a part of them."""

from __future__ import annotations

import math
from typing import Any

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture

STEPS = 40
LOW, HIGH = 0.2, 4.0  # of the start
RATES, PULLS = (0.01, 0.08), (0, 5)
SEEN = (0.0, 4.2)  # of the weights
DOWNWARDS = (math.acos(-0.3) / 2, math.pi - math.acos(-0.3) / 2)  # where the loss has a negative curvature
LEAST = 1e-3  # the smallest distance that is seen
PULLED, FREE = "first", "second"

CAPTION = (
    "One weight with the loss 0.3 φ² + (1 − cos 2φ)/2, and 40 gradient steps; the pull adds λ/2 (φ − θ)². Full marks "
    "are steps that are differentiated, empty ones are left out. Without a pull a step in the band stretches the "
    "gradient, and one outside shrinks it. The distance is relative to the length of the exact gradient; the query "
    "gradient cancels."
)


def truncated_steps(
    theta: float = 2.8,
    lam: float = 3.0,
    alpha: float = 0.05,
    last: int = 10,
    *,
    title: str = "How far is a truncated gradient from the exact one?",
    caption: str | None = None,
) -> Widget:
    """The figure in which the last inner steps down a terrace are differentiated and the others are left out.

    One weight takes S = 40 steps of size ``alpha`` from ``theta`` on L(phi) = 0.3 phi^2 + (1 - cos 2 phi) / 2, with
    the pull ``lam`` / 2 (phi - theta)^2 and without it. With r_s = 1 - alpha (h_s + lam) the gradient that goes back
    through the ``last`` = k steps multiplies the query gradient by J_k = r_{S-1} ... r_{S-k} + alpha lam sum_{j<k}
    r_{S-1} ... r_{S-j}, and is off by abs(J_k / J_S - 1).

    ``theta`` in [0.2, 4]; ``lam`` in [0, 5]; ``alpha`` in [0.01, 0.08]; ``last`` of 0 to 40.

    Raises:
        ValueError: a number out of the range that the figure shows.

    References: [Shaban et al., 2019](https://arxiv.org/abs/1810.10667).
    """
    for name, value, (low, high) in (("theta", theta, (LOW, HIGH)), ("lam", lam, PULLS), ("alpha", alpha, RATES)):
        if not low <= value <= high:
            raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value}")
    if last not in range(STEPS + 1):
        raise ValueError(f"last: expected a whole number from 0 to {STEPS}, got {last}")
    first = {"theta": float(theta), "lam": float(lam), "alpha": float(alpha), "last": int(last)}
    data = {"roles": {"pulled": PULLED, "free": FREE}, "steps": STEPS, "range": [LOW, HIGH], "rates": RATES}
    data |= {"pulls": PULLS, "plot": SEEN, "band": DOWNWARDS, "least": LEAST, "first": first}
    return widget(
        "truncation",
        data,
        title=title,
        alt=_alt(first),
        fallback=_still(first),
        caption=CAPTION if caption is None else caption,
    )


def _walk(theta: float, lam: float, alpha: float) -> tuple[list[float], list[float]]:
    """The weights phi^0 ... phi^S, and the distances of the gradients that go back through 0 ... S steps."""
    path, factors = [theta], []
    for _ in range(STEPS):
        phi = path[-1]
        factors.append(1 - alpha * (0.6 + 2 * math.cos(2 * phi) + lam))
        path.append(phi - alpha * (0.6 * phi + math.sin(2 * phi) + lam * (phi - theta)))
    product, pulled = 1.0, 0.0
    jacobians = [1.0]
    for factor in reversed(factors):
        pulled += alpha * lam * product
        product *= factor
        jacobians.append(product + pulled)
    return path, [abs(one / jacobians[-1] - 1) for one in jacobians]


def _both(first: dict[str, Any]) -> list[tuple[str, list[float], list[float]]]:
    """Role, path and distances, without the pull and with it."""
    pulls = ((FREE, 0.0), (PULLED, first["lam"]))
    return [(role, *_walk(first["theta"], lam, first["alpha"])) for role, lam in pulls]


def _alt(first: dict[str, Any]) -> str:
    """The first picture in words."""
    (*_, free), (*_, pulled) = _both(first)
    last = first["last"]
    return (
        f"40 inner steps from θ = {first['theta']:g} down a loss with a terrace. Over the number of steps that are "
        f"differentiated, the relative distance to the exact gradient: without a pull {free[1]:.2g} for one step and "
        f"{free[last]:.2g} for {last}, with the pull of {first['lam']:g} {pulled[1]:.2g} and {pulled[last]:.2g}."
    )


def _still(first: dict[str, Any]) -> str:
    """The first picture."""
    steps = (0, 10, 20, 30, 40)
    way = Panel((-1, STEPS + 1), SEEN, steps, (0, 1, 2, 3, 4), "weight over the inner steps", 250)
    ends = list(way.x_domain)
    way.bands.append(("third", ends, [DOWNWARDS[0]] * 2, [DOWNWARDS[1]] * 2))
    both = _both(first)
    top = max(10.0, *(value for *_, found in both for value in found))
    powers = range(round(math.log10(LEAST)), math.ceil(math.log10(top)) + 1)
    ticks = [10.0**power for power in powers]
    label = "relative distance, by steps differentiated"
    distance = Panel((-1, STEPS + 1), (ticks[0], ticks[-1]), steps, ticks, label, 250, log=True)
    for role, path, found in both:
        way.curves.append((role, [*range(STEPS + 1)], path))
        way.points.extend((role, s, path[s]) for s in range(STEPS - first["last"], STEPS))
        seen = [k for k in range(STEPS) if found[k] > LEAST]
        distance.curves.append((role, seen, [found[k] for k in seen]))
        if found[first["last"]] > LEAST:
            distance.points.append((role, first["last"], found[first["last"]]))
    names = {PULLED: f"with the pull of {first['lam']:g}", FREE: "without a pull"}
    return still_picture([way, distance], names, "steps differentiated")
