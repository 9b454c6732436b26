"""What a sweep found: a number for each setting of one knob, or for each pair of settings of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from torch import Tensor

from mamlbook.pages.figures.styling import COLOURS, INK, MUTED, drawing

DIGITS = 3  # significant ones, in the cells of a heat map


def dots(
    values: Mapping[str, Tensor],
    xlabel: str,
    ylabel: str,
    lines: Mapping[float, str] | None = None,
    *,
    logarithmic: bool = False,
) -> Figure:
    """Every seed as a dot above its setting, with a bar at the mean of the seeds, and level lines with their names.

    A setting with a seed that has no finite value gets a word in the place of its dots.

    Shapes: every value is (seeds,).

    Raises:
        ValueError: ``values`` is empty, or has something that is no row of seeds.
    """
    if not values or any(v.ndim != 1 or not len(v) for v in values.values()):
        shapes = {name: tuple(v.shape) for name, v in values.items()}
        raise ValueError(f"values: expected a tensor of shape (seeds,) for each setting, got {shapes}")
    with drawing(6.6, 3.4) as (fig, ax):
        for place, seeds in enumerate(values.values()):
            _column(ax, place, seeds)
        for level, name in (lines or {}).items():
            ax.axhline(level, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.4, zorder=1)
            # Beside the axes, where no dot can hide it.
            ax.annotate(name, (1, level), (5, 0), ("axes fraction", "data"), "offset points", va="center", color=INK)
        ax.set_xticks(range(len(values)), values)
        ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(-0.5, len(values) - 0.5))
        ax.grid(axis="x", visible=False)
        if logarithmic:
            ax.set_yscale("log", subs=[2, 5])
            ax.grid(axis="y", which="both")
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_formatter("{x:g}")
        else:
            ax.set_ylim(0, 1.06 * ax.get_ylim()[1])
    return fig


def _column(ax: Axes, place: int, seeds: Tensor) -> None:
    if not seeds.isfinite().all():
        ax.annotate("not finite", (place, 0.5), xycoords=("data", "axes fraction"), ha="center", color=INK)
        return
    # Side by side, so that seeds of nearly the same value are all seen.
    shift = torch.linspace(-0.12, 0.12, len(seeds)) if len(seeds) > 1 else torch.zeros(1)
    ax.hlines(seeds.mean().item(), place - 0.28, place + 0.28, color=COLOURS["maml"], linewidth=2.5)
    ax.plot(place + shift, seeds, "o", color=INK, mec="white", mew=0.8, ms=6)


def heat(table: Tensor, rows: Sequence[str], columns: Sequence[str], ylabel: str, xlabel: str, title: str) -> Figure:
    """A number for each pair of settings, written in its cell; the darker the larger, on a logarithmic scale.

    A frame marks the cells in which both settings have the same name. A cell without a finite number has a dash.

    Shapes: ``table`` is (rows, columns), of positive numbers.

    Raises:
        ValueError: the table does not have the shape of its labels, or nothing in it is a positive number.
    """
    if table.shape != (len(rows), len(columns)):
        raise ValueError(
            f"table: expected the shape {(len(rows), len(columns))} of its labels, got {tuple(table.shape)}"
        )
    finite = table[table.isfinite()]
    if not len(finite) or finite.min() <= 0:
        raise ValueError(f"table: expected positive numbers, got {table.tolist()}")
    with drawing(6.6, 0.5 * len(rows) + 1.2) as (fig, ax):
        scale = LogNorm(finite.min().item(), finite.max().item())
        ax.imshow(table.numpy(), cmap="Blues", norm=scale, aspect="auto")
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                _cell(ax, i, j, table[i, j].item(), scale, framed=row == column)
        ax.set_xticks(range(len(columns)), columns)
        ax.set_yticks(range(len(rows)), rows)
        ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
        ax.grid(visible=False)
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
    return fig


def _cell(ax: Axes, i: int, j: int, value: float, scale: LogNorm, *, framed: bool) -> None:
    known = value == value and abs(value) != float("inf")
    dark = known and scale(value) > 0.6
    # The "#" keeps zeros at the end, so that all cells are as exact; it would also leave a bare point.
    text = f"{value:#.{DIGITS}g}".rstrip(".") if known else "–"
    ax.text(j, i, text, ha="center", va="center", color="white" if dark else INK, fontsize=11)
    if framed:
        # White around the ink, which a dark cell would hide.
        cased = [withStroke(linewidth=4.5, foreground="white")]
        frame = Rectangle((j - 0.47, i - 0.45), 0.94, 0.9, fill=False, edgecolor=INK, lw=2, path_effects=cased)
        ax.add_patch(frame)
