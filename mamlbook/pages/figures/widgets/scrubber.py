"""The figure of whole meta-trainings: their stored starts adapt, and are measured, in the page."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from mamlbook.analysis.diagnostics import agreement, hessian_product, task_gradients
from mamlbook.model import Model
from mamlbook.networks import mlp
from mamlbook.numerics import Params, dot
from mamlbook.pages.figures.styling import NAMES
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.network import EVERYTHING, SHAPES, descended
from mamlbook.pages.figures.widgets.sine import GOLDEN
from mamlbook.pages.figures.widgets.still import Panel, still_picture
from mamlbook.stored import load_theta
from mamlbook.tasks.base import Data

METHODS = ("maml", "joint")
STEPS, POINTS, LARGEST = 10, 10, 127
GRID = torch.linspace(-5, 5, 101, dtype=torch.float64)
AXES = {"top": 5, "bend": 2.5, "bends": (0, 1, 2), "agree": (-0.05, 1.05)}  # ends, and ticks of the curvature


class Course(NamedTuple):
    """A stored training: the meta-steps of its starts, the starts, and what all seeds were measured to have.

    Shapes: ``loss`` is (seeds, starts, S + 1), ``curvature`` and ``agreement`` are (seeds, starts).
    """

    at: list[int]
    starts: list[Params]
    loss: Tensor
    curvature: Tensor
    agreement: Tensor


class Measured(NamedTuple):
    """One start on one wave: outputs and query loss after every inner step, alpha g^T H g / g^T g, and agreement."""

    outputs: list[Tensor]
    loss: list[float]
    curvature: float
    agreement: float


def training_scrubber(
    results: Mapping[str, Mapping[str, Any]],
    weights: Mapping[str, Params],
    *,
    step: int = 0,
    steps: int = 1,
    amplitude: float = 3.0,
    phase: float = 0.8,
    title: str = "Follow a meta-training: what does the start learn first?",
    caption: str | None = None,
) -> Widget:
    """The figure in which the starts of whole meta-trainings adapt, live, to a wave that the reader chooses.

    ``results`` maps a role (maml, joint) to what ``experiments.through_training`` stores of it, and ``weights`` the
    role to the starts of its first seed, six tensors each. The figure carries every parameter of a start as whole
    numbers of one byte and their unit, the largest weight over 127, and computes with these in float64; on the stored
    trainings this moves no mean error of a start by more than 0.05. The first picture is at the start nearest to the
    meta-step ``step``, after ``steps`` of 0 to 10, on the wave of ``amplitude`` and ``phase``.

    Raises:
        ValueError: an unknown role, results of different meta-steps, weights of the wrong number, shape or value, or a
            first picture out of range.
    """
    courses = _courses(results, weights)
    at = next(iter(courses.values())).at
    first = _first(at, step, steps, amplitude, phase)
    packed = {name: [quantised(theta) for theta in course.starts] for name, course in courses.items()}
    alpha = float(next(iter(results.values()))["training"]["alpha"])
    data: dict[str, Any] = {
        "alpha": alpha,
        "at": at,
        "ticks": [0, *(10**k for k in range(1, int(math.log10(at[-1])) + 1))],
        "steps": STEPS,
        "names": {name: NAMES[name] for name in courses},
        "starts": {name: _encoded(own) for name, own in packed.items()},
        "units": {name: [[unit for _, unit in start] for start in own] for name, own in packed.items()},
        "curves": {name: _curves(course) for name, course in courses.items()},
        "first": first,
        **AXES,
    }
    found = {name: measured(restored(own[first["start"]]), first, alpha) for name, own in packed.items()}
    if caption is None:
        caption = _about(courses, alpha, next(iter(results.values()))["waves"])
    return widget("scrubber", data, title=title, alt=_alt(data, found), fallback=_still(data, found), caption=caption)


def _about(courses: Mapping[str, Course], alpha: float, waves: int) -> str:
    course = next(iter(courses.values()))
    return (
        f"The starts of one training of each method, {len(course.at)} of {course.at[-1]:,} meta-steps, on a log scale. "
        f"Each takes inner steps of size {alpha:g} on your points. Lines in the small plots are means over {waves} "
        f"other waves, thin ones before the steps; bands hold the trainings of all {len(course.loss)} seeds, and the "
        "marks are your wave. Every weight is rounded to one byte."
    )


def quantised(theta: Params) -> list[tuple[np.ndarray, float]]:
    """Each parameter as whole numbers from -127 to 127, int8, and the unit that they count, the largest over 127."""
    found = []
    for parameter in theta:
        array = parameter.detach().cpu().double().numpy().ravel()
        unit = float(f"{abs(array).max() / LARGEST:.8g}") or 1.0
        found.append((np.rint(array / unit).clip(-LARGEST, LARGEST).astype(np.int8), unit))
    return found


def restored(packed: Sequence[tuple[np.ndarray, float]]) -> Params:
    """The parameters that the figure computes with, in float64."""
    pairs = zip(packed, SHAPES, strict=True)
    return tuple(torch.from_numpy(numbers.astype(np.float64) * unit).view(shape) for (numbers, unit), shape in pairs)


def measured(theta: Params, state: Mapping[str, Any], alpha: float) -> Measured:
    """What the figure shows of a start on the wave of ``state``, by the package, in float64."""
    amplitude, phase = state["amplitude"], state["phase"]
    wave = amplitude * (GRID - phase).sin()
    points = state.get("points") or [[x, amplitude * math.sin(x - phase)] for x in state["places"]]
    outputs, _ = descended(theta, points, alpha, [EVERYTHING] * STEPS, GRID)
    model = Model(load_theta(mlp(1, 40, 40, 1).double(), theta), mse_loss)
    support = Data(*torch.tensor(points, dtype=torch.float64)[None].split(1, dim=-1))
    query = Data(GRID.view(1, -1, 1), wave.view(1, -1, 1))
    g, other = (task_gradients(model, data) for data in (support, query))
    curvature = alpha * dot(g, hessian_product(model, support, g)) / dot(g, g)
    loss = [(output - wave).square().mean().item() for output in outputs]
    return Measured(outputs, loss, curvature.item(), agreement(g, other).item())


def _courses(results: Mapping[str, Mapping[str, Any]], weights: Mapping[str, Params]) -> dict[str, Course]:
    """Every method's training, after a look at its form."""
    if not results or not set(results) <= set(METHODS) or set(results) != set(weights):
        raise ValueError(
            f"results, weights: expected both for the same of {', '.join(METHODS)}, got {', '.join(results) or 'none'} "
            f"and {', '.join(weights) or 'none'}"
        )
    courses = {name: _course(name, result, weights[name]) for name, result in results.items()}
    if len({tuple(course.at) for course in courses.values()}) > 1:
        raise ValueError("results: expected the same meta-steps for all methods, got different ones")
    return courses


def _course(name: str, result: Mapping[str, Any], weights: Params) -> Course:
    at, size = list(result["at"]), len(SHAPES)
    if len(weights) != size * len(at):
        raise ValueError(
            f"weights[{name!r}]: expected {size} tensors for each of {len(at)} starts, got {len(weights)}; pass "
            f"recall_weights('through-training-{name}')"
        )
    starts = [tuple(weights[size * n : size * (n + 1)]) for n in range(len(at))]
    for theta, meta_step in zip(starts, at, strict=True):
        shapes = tuple(tuple(p.shape) for p in theta)
        if shapes != SHAPES:
            raise ValueError(f"weights[{name!r}]: expected the shapes {SHAPES} at meta-step {meta_step}, got {shapes}")
        if not all(p.isfinite().all() for p in theta):
            raise ValueError(f"weights[{name!r}]: expected finite numbers at meta-step {meta_step}, got nan")
    rows = (torch.tensor(result["runs"][quantity], dtype=torch.float64) for quantity in Course._fields[2:])
    return Course(at, starts, *rows)


def _first(at: list[int], step: int, steps: int, amplitude: float, phase: float) -> dict[str, Any]:
    """The first picture; its x are a golden-ratio sequence, so that they are spread evenly."""
    for word, value, low, high in [
        ("step", step, 0, at[-1]),
        ("steps", steps, 0, STEPS),
        ("amplitude", amplitude, 0.1, 5),
        ("phase", phase, 0, 3.1),
    ]:
        if not low <= value <= high:
            raise ValueError(f"{word}: expected {low:g} to {high:g}, got {value}")
    start = min(range(len(at)), key=lambda n: abs(at[n] - step))
    places = [round(-4.8 + 9.6 * ((0.3 + n * GOLDEN) % 1), 1) for n in range(POINTS)]
    return {"start": start, "steps": steps, "amplitude": float(amplitude), "phase": float(phase), "places": places}


def _encoded(starts: Sequence[Sequence[tuple[np.ndarray, float]]]) -> str:
    """The whole numbers of all starts one after the other, a byte each, in base 64."""
    return base64.b64encode(b"".join(numbers.tobytes() for start in starts for numbers, _ in start)).decode()


def _curves(course: Course) -> dict[str, dict[str, Any]]:
    """What is measured of the shown training at each start, and the least and the largest of all seeds."""
    rows = {quantity: getattr(course, quantity) for quantity in Course._fields[2:]}
    parts = {
        "own": {quantity: row[0] for quantity, row in rows.items()},
        "lows": {quantity: row.amin(0) for quantity, row in rows.items()},
        "highs": {quantity: row.amax(0) for quantity, row in rows.items()},
    }
    return {part: {quantity: _short(row) for quantity, row in own.items()} for part, own in parts.items()}


def _short(values: Tensor) -> list:
    """Nested lists of numbers with four digits: a curve needs no more."""
    return [_short(row) if row.ndim else float(f"{row.item():.4g}") for row in values]


def _alt(data: dict[str, Any], found: Mapping[str, Measured]) -> str:
    """The first picture in words."""
    steps, at = data["first"]["steps"], data["at"][data["first"]["start"]]
    fell = [f"from {own.loss[0]:.2f} to {own.loss[steps]:.2f} ({NAMES[name]})" for name, own in found.items()]
    return (
        f"A wave with {POINTS} points, and what the starts of two trainings make of it after {at:,} meta-steps: "
        f"{steps} inner step{'s take' if steps != 1 else ' takes'} the error {' and '.join(fell)}. Below, over the "
        "meta-steps, the mean error after the inner steps, alpha times the curvature along the gradient, and the "
        "agreement of the support and the query gradient."
    )


def _still(data: dict[str, Any], found: Mapping[str, Measured]) -> str:
    """The first picture: the wave above three curves over the meta-steps."""
    first, grid = data["first"], GRID.tolist()
    wave = [first["amplitude"] * math.sin(x - first["phase"]) for x in grid]
    fit = Panel((-5, 5), (-5.5, 5.5), (-4, -2, 0, 2, 4), (-4, 0, 4), "y", 250, [("truth", grid, wave)])
    names, times = list(found)[::-1], [math.log10(1 + step) for step in data["at"]]
    fit.curves.extend((name, grid, found[name].outputs[first["steps"]].tolist()) for name in names)
    fit.points.extend(("support", x, first["amplitude"] * math.sin(x - first["phase"])) for x in first["places"])
    ticks = [math.log10(1 + step) for step in data["ticks"]]
    words = [f"{step:,}" for step in data["ticks"]]
    panels, curves, now = [fit], data["curves"], times[first["start"]]
    after = "1 inner step" if first["steps"] == 1 else f"{first['steps']} inner steps"
    for quantity, label, domain, marks in [
        ("loss", f"mean error after {after}", (0, data["top"]), (0, 2, 4)),
        ("curvature", "α × curvature along the gradient", (0, data["bend"]), data["bends"]),
        ("agreement", "agreement of support and query gradient", data["agree"], (0, 0.5, 1)),
    ]:
        panel = Panel((times[0], times[-1]), domain, ticks, marks, label, 130, x_names=words)
        for name in names:
            rows = [curves[name][part][quantity] for part in ("own", "lows", "highs")]
            own, lows, highs = ([r[first["steps"]] for r in row] if quantity == "loss" else row for row in rows)
            panel.curves.append((name, times, own))
            panel.bands.append((name, times, lows, highs))
        panel.curves.append(("theta", [now, now], list(domain)))
        panels.append(panel)
    legend = {**{name: NAMES[name] for name in found}, "truth": "wave", "theta": "start shown", "support": "points"}
    return still_picture(panels, legend, "meta-step")
