"""The figure in which the reader chooses a GPU and a meta-step, and sees what decides how long it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mamlbook.pages.display import table
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture
from mamlbook.stored import is_stored, recall

WAYS = {"one by one": "One task after another", "all at once": "All tasks at once", "compiled": "Compiled"}
AXES = {"tasks": "tasks B", "width": "width of the network", "steps": "inner steps S"}
ROLES = {"cpu": "first", "model": "second", "gpu": "third"}  # no methods: machines

# The GPU that the sliders choose from: microseconds a kernel, gigabytes a second, operations a second in 10^12.
LAUNCHES = [0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100]
BANDWIDTHS = [100, 200, 320, 500, 1000, 2000, 3500, 5000]
RATES = [1, 2, 4, 8, 15, 30, 60]
REPLAYED = 2  # microseconds between kernels of a graph that is launched as one

CAPTION = (
    "MAML on the sine network; along each axis the other two quantities stay at 25 tasks, width 40 and one step. The "
    "processor's times are measured, on one thread. The GPU's come from the model: the largest of kernels times their "
    "launches, bytes over bandwidth, and operations over rate. Bytes are those of all tasks at once. A kernel that "
    "Python launches cannot take less than Python takes, so that the sliders begin there; the kernels of compiled code "
    "are launched as one graph."
)


def crossover_explorer(
    cpu: Mapping[str, Any] | None = None,
    gpu: Mapping[str, Any] | None = None,
    *,
    axis: str = "tasks",
    way: str = "all at once",
    title: str = "Would a GPU be faster?",
    caption: str = CAPTION,
) -> Widget:
    """Times of a meta-step over tasks, width or steps: measured on a processor, by the model on a GPU of one's choice.

    ``cpu`` and ``gpu`` are what ``experiments.crossover`` writes, by default what is stored; where nothing is stored
    for a GPU the figure says so. The other arguments choose the first picture.

    Raises:
        ValueError: a first picture that there is not.
        FileNotFoundError: nothing is stored for a processor.
    """
    for name, value, known in (("axis", axis, AXES), ("way", way, WAYS)):
        if value not in known:
            raise ValueError(f"{name}: expected one of {', '.join(known)}, got {value}")
    cpu = recall("crossover-cpu") if cpu is None else cpu
    if gpu is None and is_stored("crossover-cuda"):
        gpu = recall("crossover-cuda")
    data = _data(cpu, gpu) | {"first": {"axis": axis, "way": way}}
    return widget("crossover", data, title=title, alt=_alt(data), fallback=_still(data), caption=caption)


def recall_crossover(device: str) -> dict[tuple[int, ...], dict[str, Any]]:
    """The stored workloads of a device, ``cpu`` or ``cuda``, by (tasks, width, steps); none if it was not measured."""
    workloads = recall(f"crossover-{device}")["workloads"] if is_stored(f"crossover-{device}") else []
    return {tuple(workload[axis] for axis in AXES): workload for workload in workloads}


def crossover_table(sizes: Sequence[tuple[int, ...]]) -> Any:
    """The milliseconds of every way to execute some workloads, on a processor and on a GPU, for Jupyter to display.

    ``sizes`` are (tasks, width, steps). What was not measured is said to be so.
    """
    stored = [recall_crossover(device) for device in ("cpu", "cuda")]
    lines = []
    for size in sizes:
        for way, words in WAYS.items():
            times = [rows.get(size, {"times": {}})["times"].get(way) for rows in stored]
            shown = ["not measured yet" if time is None else _short(time["milliseconds"]) for time in times]
            lines.append([", ".join(map(str, size)), words.lower(), *shown])
    return table(["tasks, width, steps", "execution", "CPU, ms", "GPU, ms"], lines)


def _short(value: float) -> str:
    """Three digits, in plain figures."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


def model(row: Mapping[str, Any], way: str, launch: float, bandwidth: float, rate: float) -> float:
    """max(n t, bytes / bandwidth, operations / rate), in milliseconds.

    ``launch`` is t in microseconds, ``bandwidth`` in 10^9 bytes a second, ``rate`` in 10^12 operations a second.
    """
    parts = row["kernels"][way] * launch / 1e3, row["bytes"] / bandwidth / 1e6, row["operations"] / rate / 1e9
    return max(parts)


def _data(cpu: Mapping[str, Any], gpu: Mapping[str, Any] | None) -> dict[str, Any]:
    rows = [_row(workload, cpu, gpu) for workload in cpu["workloads"]]
    base = rows[0]
    along = {
        axis: sorted(
            (row for row in rows if all(row[other] == base[other] for other in AXES if other != axis)),
            key=lambda row: row[axis],
        )
        for axis in AXES
    }
    host = {way: _nearest(LAUNCHES, _host(rows, way)) for way in WAYS if way != "compiled"}
    return {
        "ways": WAYS,
        "axes": AXES,
        "roles": ROLES,
        "rows": along,
        "base": {axis: base[axis] for axis in AXES},
        "launches": LAUNCHES,
        "bandwidths": BANDWIDTHS,
        "rates": RATES,
        "chosen": {"launch": host | {"compiled": REPLAYED}, "bandwidth": 320, "rate": 8},
        "gpu": None if gpu is None else gpu["device"],
    }


def _row(workload: Mapping[str, Any], cpu: Mapping[str, Any], gpu: Mapping[str, Any] | None) -> dict[str, Any]:
    size = {axis: workload[axis] for axis in AXES}
    of = {name: workload[name] for name in ("operations", "bytes", "kernels")}
    return size | of | {"cpu": _times(cpu, size), "gpu": {} if gpu is None else _times(gpu, size)}


def _times(result: Mapping[str, Any], size: Mapping[str, int]) -> dict[str, float]:
    """The milliseconds of each way in the workload of that size."""
    rows = (row for row in result["workloads"] if all(row[axis] == size[axis] for axis in AXES))
    return {way: time["milliseconds"] for row in rows for way, time in row["times"].items()}


def _host(rows: list[dict[str, Any]], way: str) -> float:
    """The microseconds that Python and PyTorch take for a kernel that computes next to nothing."""
    return min(1e3 * row["cpu"][way] / row["kernels"][way] for row in rows)


def _nearest(stops: list[float], value: float) -> float:
    return min(stops, key=lambda stop: abs(math.log(stop / value)))


def _chosen(data: dict[str, Any]) -> tuple[list[dict[str, Any]], list[float], list[float | None]]:
    """The rows of the first picture, the model's times and the processor's."""
    first, chosen = data["first"], data["chosen"]
    way = first["way"]
    rows = [row for row in data["rows"][first["axis"]] if way in row["kernels"]]
    speed = chosen["launch"][way], chosen["bandwidth"], chosen["rate"]
    return rows, [model(row, way, *speed) for row in rows], [row["cpu"].get(way) for row in rows]


def _alt(data: dict[str, Any]) -> str:
    rows, times, measured = _chosen(data)
    axis, way = data["first"]["axis"], data["first"]["way"]
    ends = [f"{row[axis]}: {cpu:.3g} and {gpu:.3g}" for row, gpu, cpu in zip(rows, times, measured, strict=True) if cpu]
    return (
        f"Milliseconds of a meta-step over the {AXES[axis]}, {WAYS[way].lower()}, on a logarithmic axis: measured on a "
        f"processor, and by the model on a GPU. At {'; at '.join((ends[0], ends[-1]))}."
    )


def _still(data: dict[str, Any]) -> str:
    rows, times, measured = _chosen(data)
    axis, place = data["first"]["axis"], list(range(len(rows)))
    known = [(i, time) for i, time in zip(place, measured, strict=True) if time]
    values = times + [time for _, time in known]
    ticks = [
        10.0**power for power in range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    ]
    names = [str(row[axis]) for row in rows]
    panel = Panel(
        (-0.12, place[-1] + 0.12), (ticks[0], ticks[-1]), place, ticks, "milliseconds", 320, log=True, x_names=names
    )
    panel.curves.append((ROLES["cpu"], [i for i, _ in known], [time for _, time in known]))
    panel.curves.append((ROLES["model"], place, times))
    legend = {ROLES["cpu"]: "processor, measured", ROLES["model"]: "GPU, by the model"}
    return still_picture([panel], legend, AXES[axis])
