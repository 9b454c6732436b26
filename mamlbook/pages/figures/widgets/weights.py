"""The figure of weights: where joint training, Reptile, FOMAML, MAML and iMAML start for two quadratic tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mamlbook.pages.figures.styling import NAMES
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.bowls import kept, mean_optimum, task_weights
from mamlbook.pages.figures.widgets.still import Panel, still_picture

LOW, HIGH = -2.5, 3.5  # of the pictures
LEAST, MOST = -2.0, 3.0  # of the optima, so that a start outside them can still be seen
METHODS = ("joint", "reptile", "fomaml", "maml", "imaml")

CAPTION = (
    "Task b has the loss h/2 (θ − c)², with its own curvature h and optimum c, and r = 1 − αh. Each start is "
    "the mean of the two optima with the weights h (joint), 1 − rˢ (Reptile), hrˢ (FOMAML), hr²ˢ (MAML) "
    "and h(λ/(h + λ))² (iMAML with an exact inner solution, which takes no steps). All are judged by the mean "
    "loss after S steps of size α. An empty mark is a point that the outer loop runs away from."
)


def weights_figure(
    alpha: float = 0.1,
    steps: int = 3,
    lam: float = 1.0,
    h: Sequence[float] = (0.5, 4.0),
    c: Sequence[float] = (-1.0, 2.0),
    *,
    title: str = "One start for two tasks: where does each method put it?",
    caption: str | None = None,
) -> Widget:
    """The figure in which five methods meta-train one start for two tasks with losses h_b / 2 (theta - c_b)^2.

    With r_b = 1 - ``alpha`` h_b and S = ``steps``, each start is the mean of the optima sum_b w_b c_b / sum_b w_b with

        joint w = h,   Reptile w = 1 - r^S,   FOMAML w = h r^S,   MAML w = h r^(2S),   iMAML w = h (lam / (h + lam))^2,

    the last for an inner problem solved exactly. Where the weights sum to less than 0, gradient descent in the outer
    loop runs away from that mean at every rate; where they sum to 0, there is none. ``h``, ``c``: two numbers each;
    ``alpha`` in [0, 1], ``steps`` of 0 to 10, ``lam`` in [0, 10], h in [0.25, 5] and c in [-2, 3].

    Raises:
        ValueError: not two tasks, or a number out of the range that the figure shows.
    """
    first = _first(alpha, steps, lam, h, c)
    data = {"first": first, "range": [LOW, HIGH], "optima": [LEAST, MOST]}
    return widget(
        "weights",
        data,
        title=title,
        alt=_alt(first),
        fallback=_still(first),
        caption=CAPTION if caption is None else caption,
    )


def _first(alpha: float, steps: int, lam: float, h: Sequence[float], c: Sequence[float]) -> dict[str, Any]:
    """The first picture's settings, every one in its range."""
    for name, values, low, high in [
        ("alpha", [alpha], 0, 1),
        ("lam", [lam], 0, 10),
        ("h", h, 0.25, 5),
        ("c", c, LEAST, MOST),
    ]:
        if name in "hc" and len(values) != 2:
            raise ValueError(f"{name}: expected two numbers, one a task, got {len(values)}")
        if not all(low <= value <= high for value in values):
            raise ValueError(f"{name}: expected {low:g} to {high:g}, got {', '.join(map(str, values))}")
    if steps not in range(11):
        raise ValueError(f"steps: expected a whole number from 0 to 10, got {steps}")
    return {"h": [*map(float, h)], "c": [*map(float, c)], "alpha": float(alpha), "steps": int(steps), "lam": float(lam)}


def _start(method: str, first: dict[str, Any], steps: int) -> float | None:
    """Where a method's outer loop ends, or None where it ends nowhere."""
    h = first["h"]
    if method == "imaml":
        weights = [curvature * part**2 for curvature, part in zip(h, kept(h, first["lam"]), strict=True)]
    else:
        weights = task_weights(method, h, first["alpha"], steps)
    return mean_optimum(weights, first["c"])


def _alt(first: dict[str, Any]) -> str:
    """The first picture in words."""
    starts = {method: _start(method, first, first["steps"]) for method in METHODS}
    words = [f"{NAMES[method]} {'none' if at is None else f'{at:.2f}'}" for method, at in starts.items()]
    return (
        f"Two tasks with optima at {first['c'][0]:g} and {first['c'][1]:g} and curvatures {first['h'][0]:g} and "
        f"{first['h'][1]:g}. Above, the starts that five methods choose for {first['steps']} inner steps of size "
        f"{first['alpha']:g}, one below the other: {', '.join(words)}. Below, the same starts over 0 to 10 steps."
    )


def _still(first: dict[str, Any]) -> str:
    """The first picture."""
    ticks = (-2, -1, 0, 1, 2, 3)
    line = Panel((LOW, HIGH), (0, 5.6), ticks, (), "start θ of each method between the two optima", 190)
    course = Panel((-0.25, 10.25), (LOW, HIGH), range(11), ticks, "start θ, by the number of steps", 260)
    for optimum in first["c"]:
        line.curves.append(("theta", [optimum, optimum], [0, 5.6]))
        line.points.append(("theta", optimum, 0))
        course.curves.append(("theta", [-0.25, 10.25], [optimum, optimum]))
    course.curves.append(("theta", [first["steps"], first["steps"]], [LOW, HIGH]))
    for height, method in zip(range(5, 0, -1), METHODS, strict=True):
        at = _start(method, first, first["steps"])
        if at is not None and LOW <= at <= HIGH:
            line.points.append((method, at, height))
        starts = [(steps, _start(method, first, steps)) for steps in range(11)]
        there = [(steps, at) for steps, at in starts if at is not None]
        course.curves.append((method, [steps for steps, _ in there], [at for _, at in there]))
        course.points.extend((method, steps, at) for steps, at in there if LOW <= at <= HIGH)
    return still_picture(
        [line, course],
        {**{m: NAMES[m] for m in METHODS}, "theta": "optima of the tasks, and steps S"},
        "inner steps S",
    )
