"""What a sweep found: a number for each setting of a knob."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mamlbook.pages.figures.styling import COLOURS, INK, MUTED, drawing


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
    ax.plot(place + shift, seeds, "o", color=COLOURS["support"], mec="white", mew=0.8, ms=6)
