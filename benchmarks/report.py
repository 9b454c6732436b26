"""What was measured, as text to read and as a result to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.limit import faster
from benchmarks.race import OURS

HEADER = (
    *("contender", "ms", "quartiles", "times ours", "first call, s", "second start, s"),
    *("error", "in float64", "loss", "MiB"),
)


def block(workload: Mapping[str, Any], gflops: float) -> str:
    """One workload as a table in Markdown, with the time that its operations would take at the limit."""
    limit = workload["flops"] / gflops / 1e6
    lines = [
        f"### {workload['name']}: {workload['network']}, {workload['method']}, {workload['steps']} inner steps, "
        f"{workload['tasks']} tasks of {workload['data']}{_details(workload)}",
        f"{workload['flops'] / 1e6:.4g} MFLOP, at the limit {limit:.3g} ms; {workload['rounds']} rounds",
    ]
    return "\n".join([*lines, "", *table([HEADER, *map(_cells, workload["rows"])])])


def _details(workload: Mapping[str, Any]) -> str:
    queries = f" with {workload['queries']} queries{' of each class' if workload['network'] != 'mlp' else ''}"
    replicas = workload.get("replicas", 1)
    return queries + (f", {replicas} trainings at once" if replicas > 1 else "")


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    if "wrong" in row:
        return (row["contender"], f"wrong: {row['wrong']}", *[""] * (len(HEADER) - 2))
    low, high = row["quartiles"]
    return (
        row["contender"],
        f"{row['milliseconds']:.4g}",
        f"{low:.4g} to {high:.4g}",
        "" if row["ratio"] is None else f"{row['ratio']:.3g}",
        f"{row['first_call_seconds']:.2g}",
        f"{row['second_start_seconds']:.2g}" if "second_start_seconds" in row else "",
        f"{row['error']:.0e}",
        f"{row['double_error']:.0e}" if "double_error" in row else "",
        f"{row['loss']:.3g}" if "loss" in row else "",
        f"{row['bytes'] / 2**20:.1f}" if "bytes" in row else "",
    )


def against(workloads: Sequence[Mapping[str, Any]]) -> str:
    """The fastest of this package against the fastest of all others in each workload: a table in Markdown.

    The ratio is the other's time over that of this package, the median over rounds.
    """
    rows = [("workload", "ours", "ms", "the fastest other", "its ms", "its time over ours")]
    for workload in workloads:
        timed = sorted((row for row in workload["rows"] if "milliseconds" in row), key=lambda row: row["milliseconds"])
        ours = next((row for row in timed if row["contender"].startswith(OURS)), None)
        other = next((row for row in timed if not row["contender"].startswith(OURS)), None)
        cells = [cell for row in (ours, other) for cell in _name_and_time(row)]
        rows.append((workload["name"], *cells, f"{other['ratio']:.3g}" if ours and other else ""))
    return "\n".join(table(rows))


def _name_and_time(row: Mapping[str, Any] | None) -> tuple[str, str]:
    return (row["contender"], f"{row['milliseconds']:.4g}") if row else ("", "")


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose first row is its header; columns that are empty but for it are left out."""
    kept = [column for column in range(len(rows[0])) if any(row[column] for row in rows[1:])]
    widths = [max(len(row[column]) for row in rows) for column in kept]
    lines = ["| " + " | ".join(row[c].ljust(w) for c, w in zip(kept, widths, strict=True)) + " |" for row in rows]
    return [lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]]


def merged(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> dict[str, Any]:
    """A new result with the workloads of an older one that were not run again, in the older one's order.

    The reasons of who was missing go with the workloads: those of a workload that was run again are the new ones. On
    the same device the limit is the better of the two.
    """
    if old is None:
        return dict(new)
    again = {workload["name"]: workload for workload in new["workloads"]}
    workloads = [again.pop(workload["name"], workload) for workload in old["workloads"]] + list(again.values())
    done = {workload["name"] for workload in new["workloads"]}
    missing = list(new["missing"])
    for entry in old["missing"]:
        kept = [name for name in entry["workloads"] if name not in done]
        missing += [{**entry, "workloads": kept}] if kept else []
    limit = faster(old["limit"], new["limit"]) if old["device"] == new["device"] else new["limit"]
    return {**new, "limit": limit, "missing": grouped(missing), "workloads": workloads}


def grouped(missing: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry for each contender and reason, with the workloads that it missed for it."""
    table: dict[tuple[str, str], list[str]] = {}
    for entry in missing:
        table.setdefault((entry["contender"], entry["reason"]), []).extend(entry["workloads"])
    return [{"contender": name, "reason": reason, "workloads": names} for (name, reason), names in table.items()]
