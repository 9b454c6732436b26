"""The figure of four arrows: where joint training, Reptile, FOMAML and MAML would move one start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from mamlbook.algorithms import joint
from mamlbook.inner import GradientDescent
from mamlbook.learner import MetaLearner
from mamlbook.metagradient import Exact, FirstOrder, Reptile
from mamlbook.model import Model
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture
from mamlbook.tasks.base import Data, Tasks
from mamlbook.tasks.quadratic import half_squared_error

X_RANGE, Y_RANGE = (-2.0, 2.0), (-1.4, 1.4)

# Optimum, curvature along and across the valley, direction of the valley in degrees.
TASKS = [
    ((-1.2, -0.4), 0.8, 2.1, 80),
    ((1.0, -0.5), 0.7, 2.9, 90),
    ((-0.1, 0.9), 0.7, 2.6, -20),
]

CAPTION = (
    "Three tasks whose valleys are bent; bend 0 makes them quadratic. Every arrow is a mean over the tasks b: −∇L(θ) "
    "for joint training, φ − θ for Reptile, −∇L(φ) for FOMAML and −(dφ/dθ)ᵀ∇L(φ) for MAML, where dφ/dθ is the "
    "product of S factors I − αH, each with the Hessian H at its own point of the inner path. All arrows are drawn "
    "equally long, so compare their directions here and their lengths in the text. A trail follows one method's arrow "
    "with outer rate 0.2 and steps of at most 0.05, 600 of them unless it comes to rest before."
)


def gradient_arrows(
    theta: Sequence[float] = (0.4, -0.3),
    alpha: float = 0.2,
    steps: int = 3,
    kappa: float = 0.8,
    objective: str = "maml",
    *,
    title: str = "Four arrows at one start: where does each method go?",
    caption: str | None = None,
) -> Widget:
    """The figure in which a start theta, two weights, serves three tasks with bent valleys.

    With (p, q) the coordinates of theta - c_b along and across the valley of task b, its loss is

        L_b(theta) = (f_b p^2 + g_b w^2) / 2,   w = q + kappa (sqrt(1 + p^2) - 1),

    a quadratic for kappa = 0. From theta, S steps of size ``alpha`` lead task b to phi_b, and J_b = d phi_b / d theta
    is the product of S factors I - alpha H, each Hessian at its own point of the path. Arrows are means over tasks:

        joint -grad L_b(theta),   Reptile phi_b - theta,   FOMAML -grad L_b(phi_b),   MAML -J_b^T grad L_b(phi_b).

    ``objective``: "maml" or "joint", whose contours are drawn first. theta in [-2, 2] x [-1.4, 1.4].

    Raises:
        ValueError: not two weights, an unknown objective, or a number out of the range that the figure shows.
    """
    first = {"theta": [*theta], "alpha": alpha, "steps": steps, "kappa": kappa, "objective": objective}
    _check(first)
    first |= {"theta": [*map(float, theta)], "alpha": float(alpha), "kappa": float(kappa)}
    alt = (
        "A plane of two weights with the optima of three tasks and a start θ, from which "
        f"{steps} gradient step{'' if steps == 1 else 's'} on each task lead towards its optimum. Four arrows at θ, "
        "those of joint training, Reptile, FOMAML and MAML, over contours of the mean loss "
        f"{'after' if objective == 'maml' else 'before'} adapting."
    )
    data = {"first": first, "tasks": _tasks(), "ranges": [X_RANGE, Y_RANGE]}
    caption = CAPTION if caption is None else caption
    return widget("arrows", data, title=title, alt=alt, fallback=_still(first), caption=caption)


def _check(first: dict[str, Any]) -> None:
    """Say which argument is wrong, if one is."""
    if len(first["theta"]) != 2:
        raise ValueError(f"theta: expected two numbers, got {len(first['theta'])}")
    if first["objective"] not in ("maml", "joint"):
        raise ValueError(f"objective: expected maml or joint, got {first['objective']}")
    for name, value, low, high in [
        ("theta", first["theta"][0], *X_RANGE),
        ("theta", first["theta"][1], *Y_RANGE),
        ("alpha", first["alpha"], 0, 0.3),
        ("steps", first["steps"], 0, 10),
        ("kappa", first["kappa"], 0, 1),
    ]:
        if not low <= value <= high:
            raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value}")


def _tasks() -> list[dict[str, Any]]:
    """The tasks as the script reads them, the direction of a valley as a unit vector."""
    return [
        {"c": list(c), "axis": [math.cos(math.radians(turn)), math.sin(math.radians(turn))], "flat": f, "steep": g}
        for c, f, g, turn in TASKS
    ]


class _Valleys(nn.Module):
    """Two weights theta, asked for a valley: (sqrt(f) p, sqrt(g) w), half of whose square is the loss."""

    def __init__(self, first: dict[str, Any]):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(first["theta"], dtype=torch.float64))
        self.kappa = first["kappa"]

    def forward(self, x: Tensor) -> Tensor:
        c, axis, curvature = x.split(2, dim=-1)
        gap = self.theta - c
        p = (gap * axis).sum(-1)
        q = gap[..., 1] * axis[..., 0] - gap[..., 0] * axis[..., 1]
        w = q + self.kappa * ((1 + p.square()).sqrt() - 1)
        return curvature.sqrt() * torch.stack([p, w], -1)


def _examples(repeats: int = 1) -> Data:
    """The valleys, each as six numbers: optimum, direction, curvature along and across."""
    rows = [[*task["c"], *task["axis"], task["flat"], task["steep"]] for task in _tasks()]
    valleys = torch.tensor(rows, dtype=torch.float64).repeat(repeats, 1)[:, None]
    return Data(valleys, torch.zeros_like(valleys[..., :2]))


def _still(first: dict[str, Any]) -> str:
    """The first picture: contours, inner paths, arrows with the method's mark at their tip."""
    panel = Panel(X_RANGE, Y_RANGE, (-2, -1, 0, 1, 2), (-1, 0, 1), "second weight", 485)
    panel.contours.extend(_contours(first))
    model, valleys = Model(_Valleys(first), half_squared_error), _examples()
    theta = torch.tensor(first["theta"], dtype=torch.float64)
    solver = GradientDescent(first["alpha"], first["steps"])
    path = torch.stack([at.phi[0] for at in solver.path(model, valleys, unroll=0)]).detach()
    ways = {"joint": joint(model), "reptile": MetaLearner(model, solver, Reptile())}
    ways |= {"fomaml": MetaLearner(model, solver, FirstOrder()), "maml": MetaLearner(model, solver, Exact())}
    directions = {
        role: -way.meta_gradient(Tasks(valleys, valleys, torch.arange(len(TASKS))))[0] for role, way in ways.items()
    }
    for task, steps in zip(_tasks(), path.unbind(1), strict=True):
        panel.curves.append(("second", *steps.T.tolist()))
        panel.points.append(("first", *task["c"]))
    for role, direction in directions.items():
        if direction.norm() > 0:
            tip = theta + 0.5 * direction / direction.norm()
            panel.curves.append((role, *torch.stack([theta, tip]).T.tolist()))
            panel.points.append((role, *tip.tolist()))
    names = {"maml": "MAML", "fomaml": "FOMAML's", "reptile": "Reptile's", "joint": "joint training's arrow"}
    return still_picture([panel], {**names, "second": "inner paths", "first": "optima of the tasks"}, "first weight")


def _contours(first: dict[str, Any]) -> list[tuple[str, list[float], list[float]]]:
    """Contours of the first objective on a grid of 40 x 28 cells."""
    xs = torch.linspace(*X_RANGE, 41, dtype=torch.float64)
    ys = torch.linspace(*Y_RANGE, 29, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).flatten(0, 1)
    model, valleys = Model(_Valleys(first), half_squared_error), _examples(len(grid))
    steps = first["steps"] if first["objective"] == "maml" else 0
    # Every place and valley is a task of its own, which starts there.
    starts = (grid.repeat_interleave(len(TASKS), 0),)
    phi = GradientDescent(first["alpha"], steps)(model, valleys, unroll=0, theta=starts).phi
    losses = model.losses(model(phi, valleys.x), valleys.y).detach()
    values = losses.view(len(ys), len(xs), len(TASKS)).mean(-1)
    low, high = values.min(), values.quantile(0.9)
    levels = [(low + (high - low) * ((number + 1) / 10) ** 2).item() for number in range(9)]
    drawn = Figure().subplots().contour(xs, ys, values, levels)
    return [(first["objective"], *line.T.tolist()) for lines in drawn.allsegs for line in lines]
