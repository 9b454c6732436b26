"""The figure of the prior: gradient steps from a start, and the Gaussian prior whose posterior mean they are."""

from __future__ import annotations

import math
from typing import Any

import torch

from mamlbook.analysis.bayes import Belief, gain_of_steps, implied_prior, posterior
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture
from mamlbook.tasks.base import Data

ROLES = {"prior": "second"}  # no method: what the steps believe before they see points
LOW, HIGH, STEPS = -2.2, 2.2, 40
SLOPE, TAU, NOISE = 1.0, 1.0, 1.0
X: tuple[float, ...] = (-0.53, -0.79, -0.21, -0.69, -0.87, -0.2, 0.84, 0.6, 0.53, -0.56)
X += (0.07, -0.45, -0.65, -0.79, -0.57, 0.85, 0.66, 0.61, 0.6, -0.61)
OFF: tuple[float, ...] = (-0.52, 1.31, -0.22, -1.95, 0.31, -0.29, -1.17, -0.92, -0.63, -0.02)
OFF += (-0.43, 0.07, 1.84, -0.8, -0.81, -0.25, 1.1, -0.71, 1.43, -1.31)
Y = tuple(round(SLOPE * x + off, 4) for x, off in zip(X, OFF, strict=True))

CAPTION = (
    "Tasks are lines through the origin. Their slopes have the mean 0 and the deviation 1, and the points noise of "
    "deviation 1. The band round the steps is the 95 % interval of the posterior under the prior that they amount to; "
    "the grey one is that of the posterior under the tasks' own prior."
)


def prior_of_steps(
    theta: float = 0.0,
    alpha: float = 0.05,
    steps: int = 5,
    shots: int = 5,
    *,
    title: str = "A start and its steps are a prior",
    caption: str | None = None,
) -> Widget:
    """The figure in which gradient steps on the slope of a line and Bayes' rule go the same way.

    Tasks are y = c x + noise with c ~ N(0, 1) and noise of deviation 1. S steps of size ``alpha`` on half the squared
    error end at the mean of the posterior under N(theta, (r^{-S} - 1) / h), r = 1 - alpha h, h = sum x^2. Beside it
    stand the posterior under the tasks' own prior and the share of tasks that an interval of the steps holds.

    ``theta`` in [-2.2, 2.2]; ``alpha`` in [0.01, 0.25]; ``steps`` of 0 to 40; ``shots`` of 1 to 20.

    Raises:
        ValueError: a number out of the range that the figure shows.

    References:
        [Grant et al., 2018](https://arxiv.org/abs/1801.08930).
    """
    for name, value, low, high in (("theta", theta, LOW, HIGH), ("alpha", alpha, 0.01, 0.25)):
        if not low <= value <= high:
            raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value}")
    for name, number, least, most in (("steps", steps, 0, STEPS), ("shots", shots, 1, len(X))):
        if number not in range(least, most + 1):
            raise ValueError(f"{name}: expected a whole number from {least} to {most}, got {number}")
    first = {"theta": float(theta), "alpha": float(alpha), "steps": int(steps), "shots": int(shots)}
    data = {"x": X, "y": Y, "tau": TAU, "noise": NOISE, "range": [LOW, HIGH], "first": first, "best": _best()}
    data["roles"] = ROLES
    return widget(
        "prior",
        data,
        title=title,
        alt=_alt(first),
        fallback=_still(first),
        caption=CAPTION if caption is None else caption,
    )


def _best(alpha: float = 0.05, shots: int = 5) -> int:
    """The number of steps whose prior is nearest to that of the tasks."""
    h = sum(x * x for x in X[:shots])
    return round(math.log(1 + h * TAU**2 / NOISE**2) / -math.log(1 - alpha * h))


def _support(shots: int) -> Data:
    return Data(*(torch.tensor(values[:shots], dtype=torch.float64).reshape(1, -1, 1) for values in (X, Y)))


def _exact(shots: int) -> Belief:
    one = torch.eye(1, dtype=torch.float64)
    return posterior(_support(shots), 0 * one[0], TAU**2 * one, NOISE)


def _after(first: dict[str, Any], steps: int) -> float:
    """The slope after so many steps."""
    x, y = _support(first["shots"])
    gain = gain_of_steps(x, first["alpha"], steps)
    return first["theta"] + (gain @ (y - x * first["theta"])).item()


def _believed(first: dict[str, Any]) -> tuple[float, float] | None:
    """The variances of the prior that the steps amount to and of its posterior, if there is one with a width."""
    support = _support(first["shots"])
    try:
        prior = implied_prior(support.x, first["alpha"], first["steps"], NOISE)
    except ValueError:
        return None
    theta = torch.tensor([first["theta"]], dtype=torch.float64)
    after = posterior(support, theta, prior, NOISE).covariance
    return (prior.item(), after.item()) if first["steps"] else None


def _alt(first: dict[str, Any]) -> str:
    """The first picture in words."""
    mean, variance = (part.item() for part in _exact(first["shots"]))
    words = (
        f"The slope goes from the start {first['theta']:g} in {first['steps']} steps of size {first['alpha']:g} to "
        f"{_after(first, first['steps']):.2f}; the posterior of the tasks, from {first['shots']} points, is {mean:.2f} "
        f"with the deviation {variance**0.5:.2f}."
    )
    believed = _believed(first)
    if believed is None:
        return words + " The steps amount to no prior with a width."
    prior, after = (value**0.5 for value in believed)
    return f"{words} The steps amount to a prior of deviation {prior:.2f} and a posterior of deviation {after:.2f}."


def _still(first: dict[str, Any]) -> str:
    """The first picture."""
    path = Panel((-1, STEPS + 1), (LOW, HIGH), (0, 10, 20, 30, 40), (-2, -1, 0, 1, 2), "slope over inner steps", 250)
    mean, variance = (part.item() for part in _exact(first["shots"]))
    path.curves.append(("truth", [0, STEPS], [mean, mean]))
    path.curves.append(("maml", [*range(STEPS + 1)], [_after(first, s) for s in range(STEPS + 1)]))
    path.points.append(("maml", first["steps"], _after(first, first["steps"])))
    label = "density of the slope, from −2.2 to 2.2"
    belief = Panel((LOW, HIGH), (0, 2), (-2, -1, 0, 1, 2), (0, 0.5, 1, 1.5, 2), label, 230)
    slopes = [LOW + (HIGH - LOW) * number / 120 for number in range(121)]
    known = [("truth", mean, variance)]
    believed = _believed(first)
    if believed is not None:
        known += [(ROLES["prior"], first["theta"], believed[0]), ("maml", _after(first, first["steps"]), believed[1])]
    for role, middle, spread in known:
        heights = [math.exp(-((s - middle) ** 2) / 2 / spread) / math.sqrt(2 * math.pi * spread) for s in slopes]
        belief.curves.append((role, slopes, heights))
    names = {"maml": "gradient steps", ROLES["prior"]: "prior of the steps", "truth": "posterior of the tasks"}
    return still_picture([path, belief], names, "slope")
