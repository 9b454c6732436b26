"""The field as one table to sort and to filter: what a row changes, what it costs, what it was measured to reach."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import torch

from mamlbook.algorithms import ALGORITHMS, Algorithm
from mamlbook.evaluation import confidence
from mamlbook.pages.field import BUDGETS, Measured, recall_field
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.sections import SECTIONS
from mamlbook.stored import RESULTS

STEPS = 5  # for which the arithmetic is told
COLUMNS = {
    "name": "algorithm",
    "changes": "changes",
    "work": f"arithmetic, S = {STEPS}",
    "error": "error",
    "apart": "minus MAML's",
}
NOTHING = "–"
# A viewer that does not trust the output drops the style sheet, and puts what is in cells to the right.
LEFT = ' style="text-align: left"'


def field_comparison(
    world: str = "waves",
    folder: str = "practice",
    title: str = "The field",
    caption: str | None = None,
    *,
    results: Path = RESULTS,
) -> Widget:
    """Every row of ``ALGORITHMS`` once, its name a link to its section, for a page in this folder of the book.

    The errors are those that ``recall_field`` has for the world, with one of the stored numbers of inner steps and one
    budget at a time; a row that is not stored has a dash. A difference is that of pairs of runs from the same seed.

    Raises:
        FileNotFoundError: the world was not measured.
    """
    views = _views(world, results)
    at_first, first = next(iter(views.items()))
    rows: list[dict[str, Any]] = [
        {"factor": row.factor, "words": " ".join([name, row.factor, row.replaces, row.assumes, row.memory, row.work])}
        | {"name": name, "work": _gradients(row)}
        for name, row in ALGORITHMS.items()
    ]
    if caption is None:
        caption = (
            f"Arithmetic: gradients for each task and meta-step, always with {STEPS} inner steps; a Hessian-vector "
            "product counts as two. Error: with the inner steps and the budget that are chosen above, at first "
            f"{at_first}; the mean over fresh seeds with its 95 % interval. Where a run came to no end, it says how "
            "many did. Minus MAML's: the mean difference from MAML with as many inner steps (one where there are "
            "none), seed by seed, with its interval; it is grey where zero lies inside. A dash: not measured."
        )
    data = {"rows": rows, "views": [{"label": label, "cells": cells} for label, cells in views.items()]}
    return widget("comparison", data, title=title, alt=None, fallback=_table(first, folder), caption=caption)


def _views(world: str, results: Path) -> dict[str, dict[str, list[Any]]]:
    """What can be chosen to be shown: the cells of every row that is stored, by its name."""
    found: dict[str, dict[str, list[Any]]] = {}
    for budget in BUDGETS:
        stored = recall_field(world, budget, folder=results).values()
        for steps in sorted({entry.steps for entry in stored if entry.steps is not None} or {1}):
            entries = [e for e in stored if e.steps in (None, steps) and e.row in ALGORITHMS]
            label = f"{'one inner step' if steps == 1 else f'{steps} inner steps'}, equal {budget}"
            found[label] = {entry.row: _cells(entry) for entry in entries}
    return dict(sorted(found.items(), key=lambda view: view[0].split(",")[0] != "one inner step"))


def _cells(entry: Measured) -> list[Any]:
    """The error and the difference: words and number of each, and on which side of MAML the difference lies."""
    ended = entry.errors[entry.errors.isfinite()]
    counted = "" if len(ended) == len(entry.errors) else f" ({len(ended)} of {len(entry.errors)} runs)"
    words, mean, _ = _interval(ended)
    apart, difference, side = _interval(entry.differences if entry.row != "maml" else entry.differences[:0])
    return [words + counted, mean, apart, difference, side]


def _interval(values: torch.Tensor) -> tuple[str, float | None, str]:
    if len(values) < 2:
        return NOTHING, None, "open"
    mean, half = (value.item() for value in confidence(values))
    side = "open" if abs(mean) <= half else "less" if mean < 0 else "more"
    return f"{mean:.3f} ± {half:.3f}".replace("-", "−"), mean, side


def _gradients(row: Algorithm) -> float | None:
    if row.gradients is None or row.products is None:
        return None
    return round(row.gradients(STEPS) + 2 * row.products(STEPS), 1)


def _table(cells: Mapping[str, list[Any]], folder: str) -> str:
    head = "".join(
        f'<th scope="col" role="columnheader" data-column="{key}"{LEFT}>{words}</th>' for key, words in COLUMNS.items()
    )
    body = "\n".join(_row(name, row, cells.get(name), folder) for name, row in ALGORITHMS.items())
    # On a phone its rows stand as blocks, which takes away what a screen reader knows of a table.
    return (
        f'<table class="mb-table" role="table">\n<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n'
        f'<tbody role="rowgroup">\n{body}\n</tbody>\n</table>'
    )


def _row(name: str, row: Algorithm, cells: list[Any] | None, folder: str) -> str:
    error, _, apart, _, side = cells or [NOTHING, None, NOTHING, None, "open"]
    gradients = _gradients(row)
    work = row.work if gradients is None else f"{gradients:g} gradient{'' if gradients == 1 else 's'}"
    link = f'<a href="{escape(SECTIONS[name].address(folder))}">{name}</a>'
    parts = {
        "name": f'<th scope="row" role="rowheader"{LEFT}>{link}{_aside(row.factor)}</th>',
        "changes": f'<td role="cell"{LEFT}>{escape(row.replaces)}{_aside(f"assumes {row.assumes}")}</td>',
        "work": f'<td role="cell"{LEFT}>{escape(work)}{_aside(f"memory: {row.memory}")}</td>',
        "error": f'<td role="cell" data-cell="error"{LEFT}>{error}</td>',
        "apart": f'<td role="cell" data-cell="apart" data-side="{side}"{LEFT}>{apart}</td>',
    }
    return '<tr role="row">' + "".join(parts[column] for column in COLUMNS) + "</tr>"


def _aside(words: str) -> str:
    """A line of its own below what a cell says, with a style sheet or without."""
    return f'<div class="mb-aside">{escape(words)}</div>'
