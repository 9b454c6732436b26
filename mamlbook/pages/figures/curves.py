"""Losses over meta-steps, and errors over inner steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from mamlbook.evaluation import confidence
from mamlbook.pages.figures.styling import INK, NAMES, drawing, line
from mamlbook.training import History


def curve(history: History | Mapping[str, History], window: int = 50) -> Figure:
    """The query loss after adaptation over meta-steps, as a running mean.

    ``history`` is one run, or several by role (a key of ``figures.styling.COLOURS``).
    """
    runs = {"maml": history} if isinstance(history, History) else history
    with drawing(6.6, 3.2) as (fig, ax):
        for role, run in runs.items():
            ax.plot(range(1, len(run.losses) + 1), run.smoothed(window), label=NAMES[role], **line(role))
        ax.set(xlabel="meta-step", ylabel="query loss after adaptation")
        ax.set_ylim(bottom=0)
        if len(runs) > 1:
            ax.legend()
    return fig


def steps(errors: Mapping[str, Tensor]) -> Figure:
    """An error after 0, 1, ..., S inner steps: a line for each role, with the 95 % interval of its mean as a band.

    Shapes: every value is (n, S + 1), over n tasks or n seeds.
    """
    with drawing(6.6, 3.6) as (fig, ax):
        for role, values in errors.items():
            mean, half = confidence(values)
            x = range(len(mean))
            ax.plot(x, mean, label=NAMES[role], **line(role, markers=True))
            ax.fill_between(x, mean - half, mean + half, color=line(role)["color"], alpha=0.18, linewidth=0)
        ax.set(xlabel="inner steps", ylabel="mean squared error")
        ax.set_ylim(bottom=0)
        ax.legend()
    return fig


def bars(values: Mapping[str, Tensor], labels: Mapping[str, str], groups: Sequence[str], ylabel: str) -> Figure:
    """A bar for each role in each group, at the mean over seeds, with every seed as a dot.

    Shapes: ``values[role]`` is (groups, seeds).
    """
    width = 0.8 / len(values)
    with drawing(6.6, 3.2) as (fig, ax):
        for number, (role, table) in enumerate(values.items()):
            x = torch.arange(len(groups)) + (number - (len(values) - 1) / 2) * width
            ax.bar(x, table.mean(1), width * 0.92, color=line(role)["color"], alpha=0.85, label=labels[role])
            ax.plot(
                x[:, None].expand_as(table).flatten(),
                table.flatten(),
                "o",
                color=INK,
                mec="white",
                mew=0.8,
                ms=5,
            )
        ax.set_xticks(range(len(groups)), groups)
        ax.set_ylabel(ylabel)
        ax.grid(axis="x", visible=False)
        ax.legend()
    return fig
