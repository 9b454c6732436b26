"""Curves over one quantity, in panels side by side: what a knob, a rate or the length of training does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation
from torch import Tensor

from mamlbook.evaluation import confidence
from mamlbook.pages.figures.styling import COLOURS, NAMES, NEUTRAL, drawing, line


def panels(
    x: Sequence[float] | Tensor,
    values: Mapping[str, Mapping[str, Tensor]],
    xlabel: str,
    ylabel: str = "",
    *,
    labels: Mapping[str, str] = NAMES,
    xscale: str = "linear",
    yscale: Sequence[str] | str = "linear",
    markers: bool = True,
) -> Figure:
    """A panel for each title, a line in it for each name, with the 95 % interval over seeds as a band.

    A name that is a role, a key of ``figures.styling.COLOURS``, has its colour; any other takes the next of the
    neutral looks. A name that is not in ``labels`` stands for itself. The scales are those of matplotlib, and
    ``yscale`` is one for all panels or one for each. ``markers=False`` is for smooth curves. One legend
    serves all panels if the lines of each are lines of the first.

    Shapes: ``x`` is (n,), every value (seeds, n), or (n,) for a line without a band.

    Raises:
        ValueError: a value has not one number for each x, or the scales are not one for each panel.
    """
    scales = [yscale] * len(values) if isinstance(yscale, str) else list(yscale)
    if len(scales) != len(values):
        raise ValueError(f"yscale: expected one scale for each of {len(values)} panels, got {len(scales)}")
    wrong = [tuple(v.shape) for table in values.values() for v in table.values() if v.shape[-1] != len(x)]
    if wrong:
        raise ValueError(
            f"values: expected {len(x)} numbers along the last axis, as many as x has, got shape {wrong[0]}"
        )
    place = torch.as_tensor(x)
    with drawing(6.6, 3.4, columns=len(values), squeeze=False) as (fig, axes):
        for axis, (title, table), scale in zip(axes[0], values.items(), scales, strict=True):
            for number, (name, numbers) in enumerate(table.items()):
                known = name in COLOURS or name in NEUTRAL
                look = line(name if known else list(NEUTRAL)[number % len(NEUTRAL)], markers=markers)
                _banded(axis, place, numbers, look | {"label": labels.get(name, name)})
            axis.set(title=title, xlabel=xlabel, yscale=scale)
            # Where zero has a place on a logarithmic axis, it is one step before the smallest number.
            axis.set_xscale(xscale, **({"linthresh": place[place > 0].min().item()} if xscale == "symlog" else {}))
        axes[0, 0].set_ylabel(ylabel)
        _legends(axes[0], list(values.values()))
    return fig


def _banded(axis: Axes, place: Tensor, numbers: Tensor, look: dict[str, Any]) -> None:
    """The mean over seeds as a line, and its interval as a band."""
    mean, half = confidence(numbers) if numbers.ndim == 2 else (numbers, torch.zeros_like(numbers))
    axis.plot(place, mean, **look)
    axis.fill_between(place, mean - half, mean + half, color=look["color"], alpha=0.18, linewidth=0)


def _legends(axes: Sequence[Axes], tables: Sequence[Mapping[str, Tensor]]) -> None:
    """One legend in the first panel; where others have other lines, one below each, where no line can be in its way."""
    if max(map(len, tables)) == 1:
        return
    if all(table.keys() <= tables[0].keys() for table in tables):
        axes[0].legend()
        return
    for axis in axes:
        below = axis.transAxes + ScaledTranslation(0, -0.55, axis.figure.dpi_scale_trans)
        axis.legend(loc="upper left", bbox_to_anchor=(0, 0), bbox_transform=below, borderaxespad=0)
