"""Many algorithms against one another: a row for each, under the heading of its group."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from torch import Tensor

from mamlbook.evaluation import confidence
from mamlbook.pages.figures.styling import COLOURS, INK, MUTED, drawing, line


def field(
    groups: Mapping[str, Mapping[str, Tensor]], xlabel: str, limits: tuple[float, float], reference: str
) -> Figure:
    """Every seed as a dot and the 95 % interval of their mean, on a logarithmic axis; a line at the reference's mean.

    ``groups[heading][name]`` are the values of one row. Values that are not finite, or beyond the ``limits``, are
    left out, and the row then says at its right end how many of how many are shown.

    Shapes: every value is (seeds,).

    Raises:
        ValueError: the reference is none of the rows.
    """
    table = {name: values for rows in groups.values() for name, values in rows.items()}
    if reference not in table:
        raise ValueError(f"reference: expected one of {sorted(table)}, got {reference!r}")
    with drawing(6.6, 0.7 + 0.26 * (len(table) + len(groups))) as (fig, ax):
        ax.set(xscale="log", xlim=limits, xlabel=xlabel)
        ax.axvline(table[reference].mean().item(), color=line(reference)["color"], linewidth=1.2, zorder=1)
        lines = [entry for heading, rows in groups.items() for entry in ((heading, None), *rows.items())]
        for place, (name, values) in enumerate(lines):
            if values is None:
                ax.annotate(name, (0, place), (-6, 0), ("axes fraction", "data"), "offset points", **_HEADING)
            else:
                _row(ax, place, name, values, limits)
        named = [place for place, (_, values) in enumerate(lines) if values is not None]
        ax.set_yticks(named, [lines[place][0] for place in named])
        ax.set_ylim(len(lines) - 0.3, -0.7)
        ax.tick_params(axis="y", length=0, labelcolor=INK)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_locator(NullLocator())
    return fig


_HEADING = {"ha": "right", "va": "center", "color": MUTED, "fontweight": "bold", "annotation_clip": False}


def _row(ax: Axes, place: int, name: str, values: Tensor, limits: tuple[float, float]) -> None:
    inside = values[values.isfinite() & (values < limits[1])]
    colour = line(name)["color"] if name in COLOURS else INK
    ax.plot(inside, [place] * len(inside), "o", color=colour, alpha=0.35, ms=4.5, mew=0)
    if len(inside) > 1:
        mean, half = confidence(inside)
        # An interval may reach below zero, which a logarithmic axis does not have.
        low = max((mean - half).item(), limits[0])
        ax.plot([low, (mean + half).item()], [place] * 2, color=colour, linewidth=2)
        ax.plot(mean, place, "|", color=colour, ms=11, mew=2.2)
    if len(inside) < len(values):
        shown = f"{len(inside)} of {len(values)}"
        # Beside the axes, where no dot can hide it.
        ax.annotate(shown, (1, place), (4, 0), ("axes fraction", "data"), "offset points", va="center", color=INK)
