"""Where one start is not enough: how sensitive a result is to each knob, and how a start follows moving tasks."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from mamlbook.pages.figures.styling import MUTED, NEUTRAL, drawing, line


def sensitivity(knobs: Mapping[str, Mapping[str, Tensor]], base: Mapping[str, str], xlabel: str) -> Figure:
    """A row for each knob: every setting a dot at its mean over seeds, with a bar from the best to the worst seed.

    ``base`` names the setting that every knob is turned away from, drawn hollow. Settings of which a seed is not finite
    have no place on the axis; they are named at its right end.

    Shapes: ``knobs[knob][setting]`` is (seeds,).
    """
    with drawing(6.8, 0.85 * len(knobs) + 0.8) as (fig, ax):
        ax.set_xscale("log")
        for row, (knob, settings) in enumerate(knobs.items()):
            finite = {name: values for name, values in settings.items() if values.isfinite().all()}
            for place, name in enumerate(sorted(finite, key=lambda name: finite[name].mean().item())):
                # Neighbours take turns below and above the row, so that their names do not meet.
                _setting(ax, row, name, finite[name], hollow=name == base[knob], below=place % 2 == 0)
            if lost := ", ".join(name for name in settings if name not in finite):
                options = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
                ax.annotate(f"not finite: {lost}", (1, row), (2, 0), fontsize=9.5, color=MUTED, **options)
        ax.set_yticks(range(len(knobs)), list(knobs))
        ax.set_ylim(len(knobs) - 0.4, -0.6)
        ax.set_xlabel(xlabel)
        ax.grid(axis="y", visible=False)
    return fig


def _setting(ax: Axes, row: int, name: str, values: Tensor, *, hollow: bool, below: bool) -> None:
    colour = line("maml")["color"]
    ax.plot([values.min(), values.max()], [row, row], color=colour, alpha=0.35, linewidth=5)
    ax.plot(
        values.mean(), row, "o", color=colour, markerfacecolor="white" if hollow else colour, markersize=7, zorder=3
    )
    place, away = (values.mean().item(), row), (0, -9 if below else 9)
    va = "top" if below else "bottom"
    ax.annotate(name, place, away, textcoords="offset points", ha="center", va=va, fontsize=9.5)


def tracking(exact: Mapping[str, tuple[Tensor, Tensor]], measured: Mapping[str, tuple[Tensor, Tensor]]) -> Figure:
    """The mean squared distance to a moving target over the outer step q: lines in closed form, dots simulated.

    Shapes: a label's value is q and the mean squared distance, both (n,).
    """
    with drawing(6.6, 3.4) as (fig, ax):
        for neutral, (label, (q, distance)) in zip(NEUTRAL, exact.items(), strict=False):
            ax.plot(q, distance, label=label, **line(neutral))
            if label in measured:
                ax.plot(*measured[label], "o", color=line(neutral)["color"], markeredgecolor="white", markersize=8)
        ax.set(xscale="log", yscale="log", xlabel="outer step q", ylabel="mean squared distance")
        ax.legend()
    return fig
