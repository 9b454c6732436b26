"""Numbers of several seeds side by side, a row for each setting."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor

from mamlbook.pages.figures.styling import drawing, line


def rows(series: Mapping[str, Mapping[str, Tensor]], labels: Mapping[str, str], xlabel: str) -> Figure:
    """Every seed as a mark on the row of its setting, with a bar at the mean; rows in the order they first appear.

    ``series`` is by role or neutral curve (a key of ``figures.styling.COLOURS`` or ``NEUTRAL``), and each a table from
    row to values; ``labels`` names them. A row need not occur in every series; values that are not finite are left out.

    Shapes: every value is (seeds,).
    """
    names = list(dict.fromkeys(row for table in series.values() for row in table))
    with drawing(6.6, 0.9 + 0.33 * len(names)) as (fig, ax):
        for number, (role, table) in enumerate(series.items()):
            look = line(role, markers=True) | {"linestyle": "none"}
            shift = 0.22 * (number - (len(series) - 1) / 2)
            for row, values in table.items():
                place, values = names.index(row) + shift, values[values.isfinite()]
                label = labels[role] if row == next(iter(table)) else None
                ax.plot(values, [place] * len(values), alpha=0.75, label=label, **look)
                ax.plot([values.mean()] * 2, [place - 0.3, place + 0.3], color=look["color"], linewidth=1.6)
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        ax.set_xlabel(xlabel)
        ax.set_xlim(left=0)
        ax.grid(axis="y", visible=False)
        if len(series) > 1:  # above the axes, where no mark can be
            ax.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0, ncols=len(series))
    return fig
