"""The figure of two quadratic tasks: one start, what each task makes of it, and the two objectives it may minimise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.bowls import closed_form, mean_optimum, task_weights
from mamlbook.pages.figures.widgets.still import Panel, still_picture

LOW, HIGH = -0.6, 1.6


def two_tasks_figure(
    h: Sequence[float] = (1.0, 3.0),
    c: Sequence[float] = (0.0, 1.0),
    alpha: float = 0.25,
    steps: int = 1,
    theta: float = 0.5,
    *,
    title: str = "One start for two tasks: what is it good for?",
    caption: str | None = None,
) -> Widget:
    """The figure in which a start theta serves two tasks with losses h_i / 2 (theta - c_i)^2.

    S steps of size ``alpha`` take theta to phi_i = c_i + (1 - alpha h_i)^S (theta - c_i). The joint objective is the
    mean loss at theta, the MAML objective the mean loss at phi_i; their minimisers are the means of the optima with
    weights h_i and h_i (1 - alpha h_i)^(2S). ``h``, ``c``: two numbers each; theta and the optima in [-0.6, 1.6].

    Raises:
        ValueError: not two tasks, or a number out of the range that the figure shows.
    """
    for name, values, low, high in [
        ("h", h, 0.25, 5),
        ("c", c, LOW, HIGH),
        ("alpha", [alpha], 0, 0.6),
        ("steps", [steps], 0, 10),
        ("theta", [theta], LOW, HIGH),
    ]:
        if name in "hc" and len(values) != 2:
            raise ValueError(f"{name}: expected two numbers, one a task, got {len(values)}")
        if not all(low <= value <= high for value in values):
            raise ValueError(f"{name}: expected {low:g} to {high:g}, got {', '.join(map(str, values))}")
    first = {"h": [*map(float, h)], "c": [*map(float, c)], "alpha": float(alpha), "steps": steps, "theta": float(theta)}
    alt = (
        "Above, the losses of two tasks over the start theta, two parabolas with different curvature. Below, their "
        f"mean before and after {steps} gradient step{'' if steps == 1 else 's'}; the two means have different minima."
    )
    if caption is None:
        caption = (
            f"Task b has the loss h/2 (θ − c)², with its own curvature h and optimum c: {c[0]:g} and {c[1]:g}. "
            "A step of size α multiplies θ − c by 1 − αh (negative: it overshoots), so every value here is exact. "
            "Joint means before any step, MAML after S steps."
        )
    data = {"first": first, "range": [LOW, HIGH]}
    return widget("two_tasks", data, title=title, alt=alt, fallback=_still(first), caption=caption)


def _still(first: dict[str, Any]) -> str:
    """The first picture."""
    h, c, theta = first["h"], first["c"], first["theta"]
    exact = {"joint": closed_form(h, c, first["alpha"], 0), "maml": closed_form(h, c, first["alpha"], first["steps"])}

    def loss(task: int, at: float) -> float:
        return h[task] / 2 * (at - c[task]) ** 2

    def objective(role: str, at: float) -> float:
        return exact[role].loss(torch.tensor([at], dtype=torch.float64)).item()

    adapted = exact["maml"].adapted(torch.tensor([theta], dtype=torch.float64)).flatten().tolist()
    xs = [LOW + (HIGH - LOW) * number / 80 for number in range(81)]
    ticks = (-0.5, 0, 0.5, 1, 1.5)
    upper = Panel((LOW, HIGH), (0, 1.5), ticks, (0, 0.5, 1, 1.5), "loss of each task", 230)
    lower = Panel((LOW, HIGH), (0, 0.75), ticks, (0, 0.25, 0.5, 0.75), "mean loss of both", 200)
    for task, role in enumerate(("task1", "task2")):
        upper.curves.append((role, xs, [loss(task, x) for x in xs]))
        upper.points.append((role, adapted[task], loss(task, adapted[task])))
    for role in exact:
        lower.curves.append((role, xs, [objective(role, x) for x in xs]))
        best = mean_optimum(task_weights(role, h, first["alpha"], first["steps"]), c)
        if best is not None:
            lower.points.append((role, best, objective(role, best)))
    for panel in (upper, lower):
        panel.curves.append(("theta", [theta, theta], list(panel.y_domain)))
    names = {"task1": "task 1 (mark: adapted)", "task2": "task 2", "joint": "joint objective", "maml": "MAML objective"}
    return still_picture([upper, lower], {**names, "theta": "start"}, "start θ")
