"""How long contenders take for the same work, and the limit that the machine sets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from mamlbook.pages.figures.styling import INK, MUTED, drawing, line
from mamlbook.stored import RESULTS, recall

OURS = "mamlbook"  # how the names of the package's own contenders begin
_METHODS = {"maml": "second order", "fomaml": "first order", "reptile": "Reptile"}
_NETWORKS = {"mlp": "sine", "conv4-stride": "conv4, strided", "conv4-max": "conv4, max-pooling"}


def recall_times(what: str = "milliseconds", *, name: str = "meta-step", folder: Path = RESULTS) -> dict[str, dict]:
    """A number of every contender in every workload of the stored benchmark, and the milliseconds at the ``limit``.

    Raises:
        FileNotFoundError: there is no such result.
    """
    stored, times = recall(name, folder=folder), {}
    for workload in stored["workloads"]:
        rows = {row["contender"]: row[what] for row in workload["rows"] if what in row}
        times[workload["name"]] = {"limit": _limit(workload, stored["limit"]["gflops"]), **rows}
    return times


def race(result: Mapping[str, Any], names: Sequence[str] | None = None, columns: int = 2) -> Figure:
    """A panel for each workload of a stored ``meta-step``, a row for each contender, the fastest on top.

    The mark is the median over rounds, its bar the quartiles, on a logarithmic axis; beside it, how many times as long
    as the package's fastest. The dashed line is the limit: the workload's operations over the best rate that was
    measured. ``names`` picks workloads and their order; without it all are drawn.

    Raises:
        ValueError: a name is none of the stored workloads.
    """
    stored = {workload["name"]: workload for workload in result["workloads"]}
    names = list(stored) if names is None else list(names)
    unknown = [name for name in names if name not in stored]
    if unknown or not names:
        raise ValueError(f"names: expected some of {', '.join(stored)}, got {', '.join(unknown) or 'none'}")
    workloads = [stored[name] for name in names]
    columns = min(columns, len(workloads))
    lines = math.ceil(len(workloads) / columns)
    most = max(len(workload["rows"]) for workload in workloads)
    with drawing(5.2 * columns, (1.0 + 0.27 * most) * lines, rows=lines, columns=columns, squeeze=False) as (fig, axes):
        for ax, workload in zip(axes.flat, workloads, strict=False):
            _panel(ax, workload, result["limit"]["gflops"])
        for ax in axes.flat[len(workloads) :]:
            ax.set_visible(False)
    return fig


def _limit(workload: Mapping[str, Any], gflops: float) -> float:
    """The milliseconds that a workload's operations take at the best rate that was measured."""
    return workload["flops"] / gflops / 1e6


def _panel(ax: Axes, workload: Mapping[str, Any], gflops: float) -> None:
    timed = sorted((row for row in workload["rows"] if "milliseconds" in row), key=lambda row: row["milliseconds"])
    limit = _limit(workload, gflops)
    for place, row in enumerate(timed):
        look = line("first" if row["contender"].startswith(OURS) else "second", markers=True)
        ax.plot(row["quartiles"], [place] * 2, color=look["color"], linewidth=2)
        ax.plot(row["milliseconds"], place, look["marker"], color=look["color"], ms=6)
        if row["ratio"] is not None:
            beside = (max(row["quartiles"][1], row["milliseconds"]), place), (8, 0), "data", "offset points"
            ax.annotate(f"{row['ratio']:.3g}×", *beside, va="center", color=MUTED, fontsize=10)
    ax.axvline(limit, color=MUTED, linestyle=(0, (2, 2)), linewidth=1.4)
    longest = max((row["milliseconds"] for row in timed), default=limit)
    ax.set(xscale="log", xlim=(limit / 1.6, longest * 4), ylim=(len(timed) - 0.4, -0.6), xlabel="milliseconds")
    ax.set_yticks(range(len(timed)), [row["contender"] for row in timed])
    ax.tick_params(axis="y", length=0, labelcolor=INK)
    ax.grid(axis="y", visible=False)
    ax.xaxis.set_major_locator(LogLocator(subs=(1,)))
    ax.xaxis.set_major_formatter("{x:g}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    steps, tasks = workload["steps"], workload["tasks"]
    of_method = _METHODS.get(workload["method"], workload["method"])
    several = workload["network"].startswith("conv4") and workload["queries"] > 1
    queries = f", {workload['queries']} queries a class" if several else ""
    ax.set_title(
        f"{_NETWORKS.get(workload['network'], workload['network'])}, {of_method}\n"
        f"{steps} step{'s' * (steps > 1)}, {tasks} task{'s' * (tasks > 1)}{queries}"
    )
