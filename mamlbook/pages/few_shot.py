"""The stored table of few-shot accuracies: cells with the score of every test task, and how a page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mamlbook.evaluation import confidence
from mamlbook.pages.display import table
from mamlbook.stored import RESULTS, recall

NAME = "omniglot-table"
WAYS = {"5w1s": 5, "5w1s-alphabets": 5, "5w5s": 5, "20w1s": 20, "20w5s": 20}
QUERIES = 5


class Cell(NamedTuple):
    """One cell of the table.

    Shapes: ``right``, how many queries of each test task are right, is (seeds, tasks); ``queries`` are those of a task.
    """

    right: Tensor
    queries: int

    @property
    def tasks(self) -> Tensor:
        """The accuracy of every task in per cent, mean over seeds: (tasks,)."""
        return 100 * self.right.double().mean(0) / self.queries

    @property
    def seeds(self) -> Tensor:
        """The accuracy of every seed in per cent, mean over tasks: (seeds,)."""
        return 100 * self.right.double().mean(1) / self.queries


def recall_table(*, folder: Path = RESULTS) -> dict[str, dict[str, Cell]]:
    """The stored cells by column and row; a cell of which no seed was measured is left out.

    Raises:
        FileNotFoundError: there is no such result.
    """
    found: dict[str, dict[str, Cell]] = {}
    for column, rows in recall(NAME, folder=folder)["cells"].items():
        for row, stored in rows.items():
            seeds = [numbers(one["right"]) for one in stored["seeds"].values() if one["right"] is not None]
            if seeds:
                found.setdefault(column, {})[row] = Cell(torch.stack(seeds), WAYS[column] * QUERIES)
    return found


def numbers(text: str) -> Tensor:
    """The whole numbers of a text with two letters for each, in base 36.

    >>> numbers("0a10")
    tensor([10, 36])
    """
    return torch.tensor([int(text[place : place + 2], 36) for place in range(0, len(text), 2)])


def few_shot_table(
    rows: Sequence[str],
    columns: Sequence[str],
    papers: Mapping[str, Mapping[str, str]] | None = None,
    *,
    folder: Path = RESULTS,
) -> Any:
    """Accuracies in per cent with their intervals over seeds, for Jupyter to display.

    A cell that is missing says what it would cost, in minutes of one core.
    ``papers`` are columns of their own, by name and row. A cell with a single seed has no interval and says so.

    Raises:
        FileNotFoundError: there is no such result.
    """
    cells, missing = recall_table(folder=folder), recall(NAME, folder=folder)["missing"]
    lines = []
    for row in rows:
        ours = [_cell(cells.get(column, {}).get(row), missing.get(column, {}).get(row)) for column in columns]
        lines.append([row, *ours, *(told.get(row, "–") for told in (papers or {}).values())])
    return table(["", *columns, *(papers or {})], lines)


def _cell(cell: Cell | None, missing: Mapping[str, Any] | None) -> str:
    if cell is None:
        seconds = None if missing is None else missing["seconds"]
        return "missing" if seconds is None else f"missing ({max(1, round(seconds / 60))} min)"
    if len(cell.right) == 1:
        return f"{cell.seeds.item():.1f}, one seed"
    mean, half = confidence(cell.seeds)
    counted = "" if missing is None else f" ({len(cell.right)} seeds)"
    return f"{mean:.1f} ± {half:.1f}{counted}"
