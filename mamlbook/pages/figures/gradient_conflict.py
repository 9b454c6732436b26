"""Two tasks that pull in different directions, and the steps that could settle it."""

from __future__ import annotations

import math

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mamlbook.pages.figures.styling import MUTED, drawing, look
from mamlbook.weighting.gradients import conflict_averse

BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.5}


def conflict(gradients: Tensor, c: float) -> Figure:
    """Where two tasks want to go, -g_1 and -g_2, their mean, and the conflict-averse step in the ball around it.

    Shapes: ``gradients`` is (2, 2), a row for each task.

    Raises:
        ValueError: ``gradients`` has another shape.
    """
    if gradients.shape != (2, 2):
        raise ValueError(f"gradients: expected two of two entries, (2, 2), got {tuple(gradients.shape)}")
    pulls = -gradients.double()
    mean = pulls.mean(0)
    averse = conflict_averse(pulls @ pulls.T, c) @ pulls
    ends = {
        "task1": (pulls[0], "task 1"),
        "task2": (pulls[1], "task 2"),
        "maml": (mean, "their mean"),
        "first": (averse, "conflict-averse"),
    }
    with drawing(6.6, 3.2) as (fig, ax):
        reach = 1.35 * max(end.norm().item() for end, _ in ends.values())
        _helps_both(ax, pulls, 3 * reach)
        turn = torch.linspace(0, 2 * math.pi, 200)
        ax.plot(
            mean[0] + c * mean.norm() * turn.cos(),
            mean[1] + c * mean.norm() * turn.sin(),
            color=MUTED,
            linewidth=1.2,
            linestyle=(0, (4, 3)),
        )
        for role, (end, name) in ends.items():
            _pull(ax, end, look(role)[0], name)
        places = torch.stack([end for end, _ in ends.values()] + [torch.zeros(2).double()])
        (left, bottom), (right, top) = places.min(0).values.tolist(), places.max(0).values.tolist()
        wide, high = right - left, max(top - bottom, 0.3 * (right - left))
        ax.set(xlim=(left - 0.22 * wide, left + 1.18 * wide), xticks=[], yticks=[])
        ax.set(ylim=(bottom - 0.3 * high, bottom + 1.1 * high))
        ax.set_aspect("equal")
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
    return fig


def _pull(ax: Axes, end: Tensor, colour: str, name: str) -> None:
    x, y = end.tolist()
    arrow = {"arrowstyle": "-|>", "color": colour, "lw": 2.4, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 16}
    ax.annotate("", (x, y), (0, 0), arrowprops=arrow)
    right, up = (end / end.norm() * 10).tolist()
    ha = "left" if right > 3 else "right" if right < -3 else "center"
    ax.annotate(name, (x, y), (right, up), textcoords="offset points", ha=ha, va="center", color=colour, bbox=BEHIND)


def _helps_both(ax: Axes, pulls: Tensor, reach: float) -> None:
    """Shade the directions in which both losses fall: the wedge between the two edges at right angles to the pulls."""
    angles = torch.linspace(0, 2 * math.pi, 721, dtype=torch.float64)
    around = torch.stack([angles.cos(), angles.sin()], 1)
    inside = (around @ pulls.T > 0).all(1)
    wedge = around[inside]
    if not len(wedge):
        return
    # In order around the wedge, also where it lies across the angle 0.
    middle = wedge.mean(0)
    side = wedge @ torch.stack([-middle[1], middle[0]])
    edge = reach * wedge[side.argsort()]
    ax.fill([0, *edge[:, 0].tolist()], [0, *edge[:, 1].tolist()], color=MUTED, alpha=0.18, linewidth=0)
