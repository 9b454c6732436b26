"""The figure of a memory of solutions: where training on few points ends, and how it gets there."""

from __future__ import annotations

import math
from typing import Any

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture

STEPS = 150
START, OPTIMA = 1.5, (0.0, 1.0)
JACOBIAN = 0.5  # the mean of 1 - alpha x^2 at alpha = 1/2, where x^2 is 1, or 0 and 2 with equal chance
VARIANCES = (0.0, 0.25)  # of 1 - alpha x^2, for one point of each task
MOST = 20  # points
ROLES = {"memory": "second", "maml": "maml", "exact": "truth"}

CAPTION = (
    "Two tasks y = c x with c = 0 and 1, one inner step of size 1/2 on half the mean squared error of K points, and "
    "unlimited query points. In task 1 x² is 1; in task 2 it is 0 or 2 with equal chance: such a point teaches "
    "nothing, or everything. The courses begin at 1.5 and are means over all draws of points, computed exactly."
)


def memory_of_solutions(
    rate: float = 0.1,
    shots: int = 1,
    beta: float = 0.5,
    *,
    title: str = "A memory of solutions: less bias, more lag",
    caption: str | None = None,
) -> Widget:
    """The figure in which two linear tasks are learned from ``shots`` points with a memory of their solutions.

    Task b is y = c_b x with c = (0, 1). In task 1 every x^2 is 1; in task 2 it is 0 or 2 with equal chance. One inner
    step of size 1/2 leaves J_b = 1 - x^2 / 2 of theta - c_b, averaged over the points, with mean 1/2 and variance
    (0, 1/4) / ``shots``. With u_b <- (1 - rate) u_b + rate phi_b and an outer step along mean_b J_b (u_b - c_b), task b
    has the weight 1/4 + rate Var J_b on average once theta rests. The figure shows the mean of theta over the outer
    steps and where it ends over the rate.

    ``rate`` in [0.01, 1]; ``shots`` of 1 to 20; ``beta`` in [0.05, 1].

    Raises:
        ValueError: a number out of the range that the figure shows.

    References:
        [Wang et al., 2023](https://arxiv.org/abs/2106.04911).
    """
    for name, value, low in (("rate", rate, 0.01), ("beta", beta, 0.05)):
        if not low <= value <= 1:
            raise ValueError(f"{name}: expected {low:g} to 1, got {value}")
    if shots not in range(1, MOST + 1):
        raise ValueError(f"shots: expected a whole number from 1 to {MOST}, got {shots}")
    first = {"rate": float(rate), "shots": int(shots), "beta": float(beta)}
    task = {"start": START, "optima": OPTIMA, "jacobian": JACOBIAN, "variances": VARIANCES}
    data = {"first": first, "steps": STEPS, "most": MOST, **task, "roles": ROLES}
    caption = CAPTION if caption is None else caption
    return widget("memory", data, title=title, alt=_alt(first), fallback=_still(first), caption=caption)


def _course(rate: float, share: float, beta: float) -> list[float]:
    """The mean of theta after every outer step; ``share`` multiplies the variances of one point."""
    theta, memory, course = START, [0.0, 0.0], [START]
    for step in range(STEPS):
        new = rate if step else 1.0  # the first solution fills the memory
        slopes = []
        for b, (c, variance) in enumerate(zip(OPTIMA, VARIANCES, strict=True)):
            old = (1 - new) * memory[b]
            slopes.append(JACOBIAN * old + new * (JACOBIAN**2 + share * variance) * (theta - c))
            memory[b] = old + new * JACOBIAN * (theta - c)
        theta -= beta * sum(slopes) / 2
        course.append(theta)
    return course


def _end(rate: float, share: float) -> float:
    """Where the mean of theta rests."""
    one, two = (JACOBIAN**2 + rate * share * variance for variance in VARIANCES)
    return (one * OPTIMA[0] + two * OPTIMA[1]) / (one + two)


def _alt(first: dict[str, Any]) -> str:
    """The first picture in words."""
    rate, shots, beta = first["rate"], first["shots"], first["beta"]
    least = min(_course(rate, 1 / shots, beta))
    return (
        f"Above, the mean of θ over {STEPS} outer steps from 1.5, with K = {shots} and β = {beta:g}: MAML goes to "
        f"{_end(1, 1 / shots):.3f}, MAML with unlimited points to 0.5, and with a memory of rate {rate:g} θ goes down "
        f"to {least:.2f} on its way to {_end(rate, 1 / shots):.3f}. Below, where θ ends over the rate, from near 0.5 "
        f"at small rates up to MAML's {_end(1, 1 / shots):.3f} at rate 1."
    )


def _still(first: dict[str, Any]) -> str:
    """The first picture."""
    rate, beta, share = first["rate"], first["beta"], 1 / first["shots"]
    times = list(range(STEPS + 1))
    courses = {
        ROLES["exact"]: _course(1, 0, beta),
        ROLES["maml"]: _course(1, share, beta),
        ROLES["memory"]: _course(rate, share, beta),
    }
    low, high = (pick(map(pick, courses.values())) for pick in (min, max))
    low = min(low, 0) - 0.1
    ticks = [number / 2 for number in range(math.ceil(2 * low), 4)]
    course = Panel((0, STEPS), (low, high + 0.1), (0, 50, 100, 150), ticks, "mean of θ over outer steps", 250)
    course.curves.extend((role, times, values) for role, values in courses.items())
    places = (0, 0.2, 0.4, 0.6, 0.8, 1)
    label = "where it ends, over the rate of the memory (mark: at the rate)"
    end = Panel((0, 1), (0.48, 0.68), places, (0.5, 0.55, 0.6, 0.65), label, 220)
    rates = [number / 50 for number in range(51)]
    end.curves.append((ROLES["exact"], [0, 1], [0.5, 0.5]))
    end.curves.append((ROLES["maml"], [0, 1], [_end(1, share)] * 2))
    end.curves.append((ROLES["memory"], rates, [_end(one, share) for one in rates]))
    end.points.append((ROLES["memory"], rate, _end(rate, share)))
    words = {"memory": "with a memory", "maml": "MAML", "exact": "MAML, unlimited points"}
    return still_picture([course, end], {ROLES[name]: word for name, word in words.items()}, "rate of the memory")
