"""The figure in which the reader chooses a meta-step and sees what it costs in arithmetic, bytes and time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture
from mamlbook.stored import recall

NAMES = {
    "maml": "MAML",
    "checkpointed": "Checkpointed",
    "truncated": "Truncated",
    "imaml": "iMAML",
    "fomaml": "FOMAML",
    "reptile": "Reptile",
}
# Two methods have no role of their own.
ROLES = {name: {"checkpointed": "second", "truncated": "third"}.get(name, name) for name in NAMES}
TASKS = [1, 5, 10, 25, 50, 100, 200, 500]

# The contenders of the benchmark that are told, slowest first, and what they are called here.
EXECUTIONS = {
    "higher": "one task after another (higher)",
    "mamlbook": "all tasks at once (mamlbook)",
    "JAX": "jit, vmap and grad (JAX)",
    "mamlbook compiled": "all at once, compiled (mamlbook)",
}
CHECKPOINTED = {
    "mamlbook checkpointed": "all at once (mamlbook)",
    "mamlbook compiled checkpointed": "all at once, compiled (mamlbook)",
}

CAPTION = (
    "Checkpointed is MAML computed twice to save memory, truncated goes back through the last step only, iMAML takes "
    "five Hessian-vector products. Operations of the matrix products, by formula; bytes alive at the fullest moment, "
    "weights and examples left out, as counted; times on one thread as the stored benchmark has them, for the nearest "
    "of its workloads. The limit is the operations over the best rate that was measured."
)


def cost_explorer(
    counted: Mapping[str, Any] | None = None,
    timed: Mapping[str, Any] | None = None,
    *,
    method: str = "maml",
    steps: int = 5,
    tasks: int = 25,
    width: int = 40,
    title: str = "What does this meta-step cost?",
    caption: str | None = None,
) -> Widget:
    """A meta-step of a chosen method, number of steps and tasks, and width: its operations, bytes, times and limit.

    ``counted`` is what ``experiments.cost`` writes and ``timed`` what ``benchmarks.meta_step`` does, by default the
    stored ones. Operations are computed in the figure; bytes are counted ones; times are those of the nearest workload
    of the benchmark on the sine network. The other arguments choose the first picture.

    Raises:
        ValueError: a first picture that was not counted.
        FileNotFoundError: a result is not stored.
    """
    counted = recall("cost") if counted is None else counted
    timed = recall("meta-step") if timed is None else timed
    data = _data(counted, timed)
    first = {"method": method, "steps": steps, "tasks": tasks, "width": width}
    known = {"method": data["methods"], "steps": data["steps"], "tasks": data["tasks"], "width": data["widths"]}
    for name, value in first.items():
        if value not in known[name]:
            raise ValueError(f"{name}: expected one of {', '.join(map(str, known[name]))}, got {value}")
    data["first"] = first
    alt = _alt(data, method, steps, tasks, width)
    caption = CAPTION if caption is None else caption
    return widget("cost", data, title=title, alt=alt, fallback=_still(data), caption=caption)


def _data(counted: Mapping[str, Any], timed: Mapping[str, Any]) -> dict[str, Any]:
    by_method = {name: counted["counted"][name] for name in NAMES}
    workloads = []
    for workload in timed["workloads"]:
        if workload["network"] == "mlp":
            workloads += _timed(workload, workload["method"], workload["flops"], EXECUTIONS)
            if workload["steps"] in counted["steps"]:
                each = by_method["checkpointed"]["40"]["operations"][counted["steps"].index(workload["steps"])]
                workloads += _timed(workload, "checkpointed", each * workload["tasks"], CHECKPOINTED)
    return {
        "methods": list(NAMES),
        "names": NAMES,
        "roles": ROLES,
        "steps": counted["steps"],
        "tasks": TASKS,
        "widths": [int(width) for width in by_method["maml"]],
        "peaks": {name: {w: rows["peak"] for w, rows in widths.items()} for name, widths in by_method.items()},
        "gflops": timed["limit"]["gflops"],
        "workloads": workloads,
    }


def _timed(workload: Mapping[str, Any], method: str, flops: int, words: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the benchmark measured of a method in one workload, if anything."""
    found = {row["contender"]: row["milliseconds"] for row in workload["rows"] if "milliseconds" in row}
    times = [[words[name], found[name]] for name in words if name in found]
    one = {"method": method, "steps": workload["steps"], "tasks": workload["tasks"], "flops": flops, "times": times}
    return [one] if times else []


def _alt(data: dict[str, Any], method: str, steps: int, tasks: int, width: int) -> str:
    last = data["steps"][-1]
    ends = {name: tasks * data["peaks"][name][str(width)][-1] / 1e6 for name in NAMES}
    words = ", ".join(f"{NAMES[name]} {value:.3g}" for name, value in ends.items())
    return (
        f"Megabytes at the fullest moment of a meta-step over 1 to {last} inner steps, {tasks} tasks, width {width}. "
        f"At {last} steps: {words}. {NAMES[method]} with S = {steps} is marked."
    )


def _still(data: dict[str, Any]) -> str:
    """Memory over steps, as the first picture has it."""
    first, steps = data["first"], data["steps"]
    lines = {n: [b * first["tasks"] / 1e6 for b in data["peaks"][n][str(first["width"])]] for n in NAMES}
    top = max(map(max, lines.values()))
    step = 10.0 ** math.floor(math.log10(top / 2))
    step *= max(part for part in (1, 2, 5) if part * step <= top / 2)
    ticks = [step * number for number in range(int(top / step) + 1)]
    panel = Panel((0, steps[-1]), (0, 1.06 * top), steps[::3], ticks, "MB at the fullest moment", 300)
    panel.curves.extend((ROLES[name], steps, line) for name, line in lines.items())
    panel.points.append(("theta", first["steps"], lines[first["method"]][steps.index(first["steps"])]))
    return still_picture([panel], {ROLES[name]: words for name, words in NAMES.items()}, "inner steps S")
