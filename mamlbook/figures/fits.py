"""A curve before and after it was fitted to points."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor

from mamlbook.figures.style import COLOURS, drawing, line
from mamlbook.tasks.base import Data


def fits(query: Data, panels: Mapping[str, tuple[Data, Tensor, Tensor]]) -> Figure:
    """One task, and for each title its support points, the start's predictions and the solution's.

    Shapes: ``query`` is (K, 1) in x and y, the truth; the predictions (K, 1) belong to its x. Points (n, 1).
    """
    order = query.x[:, 0].argsort()
    x = query.x[order, 0]
    with drawing(8.4, 3.4, columns=len(panels), sharey=True, squeeze=False) as (fig, axes):
        for ax, (title, (support, start, solution)) in zip(axes[0], panels.items(), strict=True):
            ax.plot(x, query.y[order, 0], label="wave", **line("truth"))
            ax.plot(x, start[order, 0].detach(), label="start", **line("joint"))
            ax.plot(x, solution[order, 0].detach(), label="solution", **line("maml"))
            ax.plot(support.x[:, 0], support.y[:, 0], "o", color=COLOURS["support"], label="points")
            ax.set(title=title, xlabel="x")
        axes[0, 0].set_ylabel("y")
        fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return fig
