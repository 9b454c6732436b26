"""What the words mean, drawn: the two loops, and an episode."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mamlbook.pages.figures.styling import COLOURS, MUTED, NEUTRAL, drawing
from mamlbook.tasks.base import Tasks


def two_loops(tasks: int = 3) -> Figure:
    """One meta-step: theta fans out to the tasks, each adapts on its support set, query losses come back as a mean."""
    with drawing(6.6, 4.2) as (fig, ax):
        ax.set(xlim=(0.3, 10.3), ylim=(0, 5.9))
        ax.axis("off")
        _box(ax, (1.0, 3.4), r"$\theta$", COLOURS["theta"], size=20)
        ax.text(1.0, 4.1, "one start\nfor every task", ha="center", va="bottom", fontsize=12, color=MUTED)
        for number in range(1, tasks + 1):
            height = 4.8 - 2.8 * (number - 1) / max(tasks - 1, 1)
            _box(ax, (4.5, height), rf"$\phi_{number}$", COLOURS["maml"], size=17)
            _box(ax, (7.2, height), rf"$L_{number}(\phi_{number})$", COLOURS["query"], size=14)
            _arrow(ax, (1.5, 3.4), (4.0, height), COLOURS["maml"])
            _arrow(ax, (5.0, height), (6.4, height), COLOURS["query"])
            _arrow(ax, (8.0, height), (9.25, 3.4 + (height - 3.4) * 0.12), COLOURS["query"])
        ax.text(2.7, 5.35, "inner loop: S steps\non the support set", ha="center", fontsize=12, color=COLOURS["maml"])
        ax.text(7.2, 5.5, "judged on the query set", ha="center", fontsize=12, color=COLOURS["query"])
        _box(ax, (9.75, 3.4), "mean", COLOURS["query"], size=13)
        back = {"arrowstyle": "-|>", "color": COLOURS["theta"], "lw": 1.6, "connectionstyle": "bar,fraction=-0.2"}
        ax.annotate("", (1.0, 2.8), (9.75, 2.8), arrowprops=back)
        ax.text(5.3, 0.5, r"outer loop: the gradient of the mean in $\theta$ moves $\theta$", ha="center", fontsize=12)
    return fig


def unrolled(steps: int = 3) -> Figure:
    """The graph of the inner loop: each phi reaches the next directly and through its gradient."""
    detour = NEUTRAL["second"][0]
    with drawing(6.8, 2.9) as (fig, ax):
        ax.set(xlim=(-0.45, steps + 1.4), ylim=(-0.75, 1.75))
        ax.axis("off")
        for step in range(steps + 1):
            name = rf"$\phi^{step}$" if step else r"$\theta=\phi^0$"
            _box(ax, (step, 0), name, COLOURS["theta" if step == 0 else "maml"], size=14)
        for step in range(steps):
            _box(ax, (step + 0.5, 1.05), rf"$g(\phi^{step})$", detour, size=12)
            _arrow(ax, (step + (0.34 if step == 0 else 0.24), 0), (step + 0.78, 0), COLOURS["maml"])
            _arrow(ax, (step + 0.08, 0.3), (step + 0.36, 0.76), detour)
            _arrow(ax, (step + 0.64, 0.76), (step + 0.92, 0.3), detour)
            ax.text(step + 0.5, -0.18, r"$I$", ha="center", va="top", fontsize=12, color=COLOURS["maml"])
            ax.text(step + 0.5, 1.45, rf"$-\alpha H_{step}$", ha="center", fontsize=12, color=detour)
        _box(ax, (steps + 1, 0), rf"$L(\phi^{steps})$", COLOURS["query"], size=14)
        _arrow(ax, (steps + 0.24, 0), (steps + 0.66, 0), COLOURS["query"])
        ax.text(steps + 0.46, -0.18, r"$q$", ha="center", va="top", fontsize=12, color=COLOURS["query"])
        _arrow(ax, (steps + 1, -0.62), (0, -0.62), NEUTRAL["third"][0])
        ax.text((steps + 1) / 2, -0.7, "backward, carrying one vector", ha="center", va="top", fontsize=12)
    return fig


def episode(tasks: Tasks, ways: int, *, task: int = 0) -> Figure:
    """One few-shot task as pictures: a row for each class, its support drawings on the left, its queries on the right.

    Shapes: x of both sets is (B, ways * K, 1, height, width), class after class.
    """
    sets = (tasks.support.x[task], tasks.query.x[task])
    shots, queries = (len(x) // ways for x in sets)
    columns = shots + queries
    with drawing(1.0 * columns + 1.4, 1.0 * ways + 0.5, rows=ways, columns=columns, squeeze=False) as (fig, axes):
        for axis in axes.flat:
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
        for way in range(ways):
            for column in range(columns):
                kind = int(column >= shots)
                picture = sets[kind][way * (shots, queries)[kind] + column - kind * shots, 0]
                _picture(axes[way, column], picture, ("support", "query")[kind])
            axes[way, 0].set_ylabel(f"class {way}", rotation=0, ha="right", va="center")
        axes[0, 0].set_title("support", fontsize=12, loc="center", color=COLOURS["support"])
        for column in range(shots, columns):
            axes[0, column].set_title("query", fontsize=12, loc="center", color=COLOURS["query"])
    return fig


def _picture(ax: Axes, picture: Tensor, role: str) -> None:
    ax.imshow(1 - picture, cmap="gray", vmin=0, vmax=1)
    for spine in ax.spines.values():
        spine.set(visible=True, color=COLOURS[role], linewidth=1.6)


def _box(ax: Axes, centre: tuple[float, float], text: str, colour: str, size: int) -> None:
    frame = {"boxstyle": "round,pad=0.4", "facecolor": "white", "edgecolor": colour, "lw": 1.6}
    ax.text(*centre, text, ha="center", va="center", fontsize=size, color=colour, bbox=frame)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.4})
