"""How the time of a meta-step grows with its steps, its tasks and the width of its network, above the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from mamlbook.pages.figures.styling import MUTED, drawing, line

# The lines that are drawn: what each is called, its look, and the contenders of the benchmark that it is of. Of these
# the first that took part counts, since so many inner steps are compiled only in pieces.
LINES = {
    "one task after another (higher)": ("third", ["higher"]),
    "all at once (mamlbook)": ("second", ["mamlbook"]),
    "JAX": ("fourth", ["JAX"]),
    "compiled (mamlbook)": ("first", ["mamlbook compiled", "mamlbook compiled checkpointed"]),
}
EXECUTIONS = {"one by one": "third", "all at once": "second", "compiled": "first"}


def scaling(result: Mapping[str, Any], names: Sequence[str], over: str) -> Figure:
    """The milliseconds of some workloads of a stored ``meta-step`` over their ``steps`` or ``tasks``.

    Both axes are logarithmic; the dotted line is the limit, operations over the best rate that was measured. A
    contender that did not take part in a workload has no mark there.

    Raises:
        ValueError: a name is none of the stored workloads, or ``over`` is neither.
    """
    labels = {"steps": "inner steps S", "tasks": "tasks B"}
    if over not in labels:
        raise ValueError(f"over: expected one of {', '.join(labels)}, got {over}")
    stored = {workload["name"]: workload for workload in result["workloads"]}
    unknown = [name for name in names if name not in stored]
    if unknown:
        raise ValueError(f"names: expected some of {', '.join(stored)}, got {', '.join(unknown)}")
    workloads = sorted((stored[name] for name in names), key=lambda workload: workload[over])
    lines: dict[str, tuple[str, dict[float, float]]] = {}
    for words, (look, contenders) in LINES.items():
        times = {}
        for workload in workloads:
            timed = {row["contender"]: row["milliseconds"] for row in workload["rows"] if "milliseconds" in row}
            if took_part := [timed[name] for name in contenders if name in timed]:
                times[workload[over]] = took_part[0]
        if times:
            lines[words] = look, times
    limit = {workload[over]: workload["flops"] / result["limit"]["gflops"] / 1e6 for workload in workloads}
    return _draw(lines, limit, labels[over])


def widths(result: Mapping[str, Any]) -> Figure:
    """The milliseconds of each execution in a stored ``cost`` over the width of the network, above the limit."""
    timed = result["timed"]
    sizes: dict[float, Any] = {int(width): row for width, row in timed["widths"].items()}
    lines = {
        execution: (look, {width: row["times"][execution]["milliseconds"] for width, row in sizes.items()})
        for execution, look in EXECUTIONS.items()
    }
    limit = {width: row["operations"] / timed["limit"]["gflops"] / 1e6 for width, row in sizes.items()}
    return _draw(lines, limit, "width n of the network")


def _draw(lines: Mapping[str, tuple[str, dict[float, float]]], limit: dict[float, float], xlabel: str) -> Figure:
    with drawing(6.6, 3.8) as (fig, ax):
        for words, (look, times) in lines.items():
            ax.plot(list(times), list(times.values()), label=words, **line(look, markers=True))
        ax.plot(list(limit), list(limit.values()), label="the limit", color=MUTED, linestyle=(0, (1, 2.5)))
        ax.set(xlabel=xlabel, ylabel="milliseconds", xscale="log", yscale="log")
        ax.set_xticks(list(limit), [f"{x:g}" for x in limit])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_locator(LogLocator(subs=(1,)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
        fig.legend(loc="outside upper left", ncols=2)
    return fig
