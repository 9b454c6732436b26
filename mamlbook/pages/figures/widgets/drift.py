"""The figure of a start that follows moving tasks: its lag and its noise over the share q of an outer step."""

from __future__ import annotations

import math
import random
from typing import Any

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture

STEPS, DRAWS = 150, 5
FASTEST = 0.05  # v
QUIETEST, LOUDEST = 0.1, 1.0  # tau / sqrt(B)
# A logarithmic scale in numbers of two digits.
SHARES = sorted({float(f"{10 ** (number / 50 - 2):.2g}") for number in range(101)})
ROLES = {"error": "first", "lag": "second", "noise": "third"}

CAPTION = (
    "Every outer step moves the mean of the optima, the target, by v. A meta-batch of B tasks shows it with noise of "
    "deviation τ/√B, and the outer step takes the start a share q of the way there. The first plot is one training, "
    "with a band of one deviation round the mean of all trainings; the second is the mean squared error in the "
    "long run."
)


def moving_target(
    v: float = 0.01,
    noise: float = 0.5,
    q: float = 0.02,
    *,
    title: str = "A start that follows: lag or noise",
    caption: str | None = None,
) -> Widget:
    """The figure in which a start follows quadratic tasks whose mean optimum moves by ``v`` in every outer step.

    The outer step takes the start a share ``q`` of the way to the mean optimum of the meta-batch, which misses the
    target by a random number of deviation ``noise``, tau / sqrt(B). The error e, start less target, obeys
    e <- (1 - q) (e - v) + q xi and settles at the mean -lag = -v (1 - q) / q with the variance
    q / (2 - q) tau^2 / B. The figure shows one training, and lag^2, variance and their sum over q.

    ``v`` in [0, 0.05]; ``noise`` in [0.1, 1]; ``q`` in [0.01, 1], taken to the nearest number of two digits that the
    slider has.

    Raises:
        ValueError: a number out of the range that the figure shows.
    """
    for name, value, low, high in (("v", v, 0, FASTEST), ("noise", noise, QUIETEST, LOUDEST), ("q", q, 0.01, 1)):
        if not low <= value <= high:
            raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value}")
    nearest = min(SHARES, key=lambda share: abs(math.log(share / q)))
    first = {"v": float(v), "noise": float(noise), "q": nearest, "draw": 0}
    data = {"first": first, "steps": STEPS, "shares": SHARES, "xi": _draws(), "roles": ROLES}
    alt = _alt(first)
    return widget(
        "drift", data, title=title, alt=alt, fallback=_still(first), caption=CAPTION if caption is None else caption
    )


def _draws() -> list[list[float]]:
    """Gaussian numbers of deviation 1, one for each outer step, of several trainings; the same on every machine."""
    generator = random.Random(0)
    return [[round(generator.gauss(0, 1), 3) for _ in range(STEPS)] for _ in range(DRAWS)]


def _parts(v: float, noise: float, q: float) -> tuple[float, float]:
    """lag^2 and variance in the long run."""
    return (v * (1 - q) / q) ** 2, q / (2 - q) * noise**2


def _path(first: dict[str, Any]) -> list[float]:
    """The start after every outer step of the first training."""
    theta, path = 0.0, [0.0]
    for step, xi in enumerate(_draws()[0], start=1):
        theta += first["q"] * (first["v"] * step + first["noise"] * xi - theta)
        path.append(theta)
    return path


def _alt(first: dict[str, Any]) -> str:
    """The first picture in words."""
    v, noise, q = first["v"], first["noise"], first["q"]
    lag, variance = _parts(v, noise, q)
    least = min(SHARES, key=lambda share: sum(_parts(v, noise, share)))
    return (
        f"Above, over {STEPS} outer steps: a target that moves by {v:g} a step, noisy meta-batches round it, and a "
        f"start that follows with q = {q:g} and ends {v * STEPS - _path(first)[-1]:.2f} behind. Below, over q: the "
        f"squared lag, which falls, the noise, which rises, and their sum, the mean squared error. At q = {q:g} they "
        f"are {lag:.2g}, {variance:.2g} and {lag + variance:.2g}; the least sum, "
        f"{sum(_parts(v, noise, least)):.2g}, is near q = {least:g}."
    )


def _ticks(low: float, high: float) -> list[float]:
    """At most six round numbers."""
    size = next(size for size in (0.1, 0.2, 0.5, 1, 2, 5) if (high - low) / size <= 6)
    return [round(size * number, 6) for number in range(math.ceil(low / size), math.floor(high / size) + 1)]


def _still(first: dict[str, Any]) -> str:
    """The first picture."""
    v, noise, q = first["v"], first["noise"], first["q"]
    low, high = -2.2 * noise, v * STEPS + 2.2 * noise
    ticks = (0, 50, 100, 150)
    times = list(range(STEPS + 1))
    course = Panel((0, STEPS), (low, high), ticks, _ticks(low, high), "position over outer steps", 250)
    means = [v * step - v * (1 - q) / q * (1 - (1 - q) ** step) for step in times]
    off = [math.sqrt(_parts(v, noise, q)[1] * (1 - (1 - q) ** (2 * step))) for step in times]
    below, above = ([mean + sign * by for mean, by in zip(means, off, strict=True)] for sign in (-1, 1))
    course.bands.append(("maml", times, below, above))
    course.curves.extend([("truth", [0, STEPS], [0, v * STEPS]), ("maml", times, _path(first))])
    course.points.extend(
        ("third", step, v * step + noise * xi) for step, xi in enumerate(_draws()[0], start=1) if step % 5 == 0
    )
    parts = {share: _parts(v, noise, share) for share in SHARES}
    sums = [sum(both) for both in parts.values()]
    ends = 10.0 ** math.floor(math.log10(min(sums) / 3)), 10.0 ** math.ceil(math.log10(max(sums)))
    powers = [10.0**power for power in range(round(math.log10(ends[0])), round(math.log10(ends[1])) + 1)]
    logs, places = [math.log10(share) for share in SHARES], (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)
    label = "mean squared error over q, and its two parts (marks: at q)"
    names = [f"{place:g}" for place in places]
    error = Panel((-2, 0), ends, [math.log10(p) for p in places], powers, label, 250, log=True, x_names=names)
    curves = {"second": [lag for lag, _ in parts.values()], "third": [rest for _, rest in parts.values()]}
    for role, values in (curves | {"first": sums}).items():
        inside = [(x, y) for x, y in zip(logs, values, strict=True) if y >= ends[0]]
        error.curves.append((role, [x for x, _ in inside], [y for _, y in inside]))
        at = values[SHARES.index(q)]
        if at >= ends[0]:
            error.points.append((role, math.log10(q), at))
    words = {"truth": "target", "maml": "start θ", "first": "error", "second": "lag²", "third": "meta-batches, noise"}
    return still_picture([course, error], words, "share q of an outer step")
