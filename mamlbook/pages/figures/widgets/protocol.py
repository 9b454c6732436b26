"""The figure in which the reader compares two rows of a few-shot table on as many test tasks as wished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mamlbook.evaluation import confidence
from mamlbook.pages.few_shot import Cell, recall_table
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture

TASKS = (20, 50, 100, 200, 400, 600)
ROLES = {"mean": "first", "paired": "second", "separate": "third"}
CAPTION = (
    "The difference of two rows on the first test tasks, mean over the trainings of each. In pairs: the interval of "
    "the mean difference, task by task. Apart: that of two measurements that share no task. Both intervals speak of "
    "these trained networks alone."
)


def tasks_needed(
    table: Mapping[str, Mapping[str, Cell]] | None = None,
    *,
    row: str = "fomaml",
    against: str = "maml",
    title: str = "How many test tasks?",
    caption: str = CAPTION,
) -> Widget:
    """The difference of two rows over the number of test tasks, with its interval in pairs and apart.

    ``table`` is what ``recall_table`` gives, by default what is stored; ``row`` and ``against`` choose the first
    picture, in the first column that has both.

    Raises:
        ValueError: no column has both rows.
        FileNotFoundError: nothing is stored.
    """
    table = recall_table() if table is None else table
    columns = [_column(name, cells) for name, cells in table.items() if len(cells) > 1]
    for place, column in enumerate(columns):
        names = [one["name"] for one in column["rows"]]
        if row in names and against in names:
            first = {"column": place, "row": names.index(row), "against": names.index(against)}
            break
    else:
        raise ValueError(f"row, against: expected two rows of one column of the table, got {row!r} and {against!r}")
    # Values that are compared on the first tasks have to exist.
    least = min(len(one["right"]) // 2 for column in columns for one in column["rows"])
    counts = [count for count in TASKS if count <= least]
    data = {"columns": columns, "tasks": counts, "roles": ROLES, "first": first}
    cells = table[columns[place]["name"]]
    lines = [_ends(cells[row].tasks[:count], cells[against].tasks[:count]) for count in counts]
    return widget(
        "protocol",
        data,
        title=title,
        alt=_alt(row, against, counts, lines),
        fallback=_still(counts, lines),
        caption=caption,
    )


def _column(name: str, cells: Mapping[str, Cell]) -> dict[str, Any]:
    rows = []
    for row, cell in cells.items():
        total = cell.right.sum(0)
        text = "".join(np.base_repr(number, 36).zfill(2).lower() for number in total.tolist())
        seeds = [round(mean, 4) for mean in cell.seeds.tolist()]
        rows.append({"name": row, "right": text, "of": cell.queries * len(cell.right), "seeds": seeds})
    return {"name": name, "rows": rows}


def _ends(one: Tensor, other: Tensor) -> tuple[float, float, float]:
    """The mean difference and the half-widths of its intervals, in pairs and apart."""
    mean, paired = (value.item() for value in confidence((one - other)[:, None]))
    halves = [confidence(values[:, None]).half.item() for values in (one, other)]
    return mean, paired, torch.tensor(halves).norm().item()


def _alt(row: str, against: str, counts: Sequence[int], lines: Sequence[tuple[float, float, float]]) -> str:
    told = [
        f"at {count} tasks {mean:.1f}, plus or minus {paired:.1f} in pairs and {apart:.1f} apart"
        for count, (mean, paired, apart) in ((counts[0], lines[0]), (counts[-1], lines[-1]))
    ]
    return f"Accuracy of {row} minus that of {against} in points, by the number of test tasks: {'; '.join(told)}."


def _still(counts: Sequence[int], lines: Sequence[tuple[float, float, float]]) -> str:
    places = list(range(len(counts)))
    means, paired, apart = (list(column) for column in zip(*lines, strict=True))
    most = max(abs(mean) + half for mean, half in zip(means, apart, strict=True))
    step = next(size for size in (1, 2, 5, 10, 20, 50) if most / size <= 4 or size == 50)
    ticks = [step * number for number in range(-4, 5) if abs(step * number) <= most + step]
    domain = (-0.12, places[-1] + 0.12), (ticks[0], ticks[-1])
    panel = Panel(*domain, places, ticks, "points of accuracy", 300, x_names=[str(count) for count in counts])
    panel.curves.append((ROLES["mean"], places, means))
    for role, halves in (("paired", paired), ("separate", apart)):
        for sign in (-1, 1):
            ends = [mean + sign * half for mean, half in zip(means, halves, strict=True)]
            panel.curves.append((ROLES[role], places, ends))
    legend = {ROLES["mean"]: "difference", ROLES["paired"]: "interval, in pairs", ROLES["separate"]: "interval, apart"}
    return still_picture([panel], legend, "test tasks")
