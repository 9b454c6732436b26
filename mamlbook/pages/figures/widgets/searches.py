"""The figure of a search: error against the outer rate for any row of the field, beside MAML's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mamlbook.pages.field import BUDGETS, Measured, Searched, Trial, recall_field, recall_search
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture
from mamlbook.stored import RESULTS

ROLES = {"row": "second", "final": "first"}  # no methods: any of them
MARKS = [digit * 10.0**power for power in range(-3, 3) for digit in (1, 2, 5)]  # of the axis of errors
MOST = 40  # times the least error of a picture, which what is far above leaves
ROOM = 0.15  # powers of ten beside the least and the largest rate
CAPTION = (
    "Every search of the field: the least error on validation tasks that the first round found with each outer rate β, "
    "from one seed. Bars: the settings of the second round, from the least to the largest error of other seeds, "
    "with a dot at the mean. The ring is around the setting that was chosen."
)


def field_searches(
    row: str = "reptile",
    world: str = "waves",
    *,
    title: str = "What each search found",
    caption: str = CAPTION,
    results: Path = RESULTS,
) -> Widget:
    """Error against outer rate, for every entry of the field: both rounds of its search, and what was chosen.

    ``row`` is the one of the first picture, with its fewest inner steps.

    Raises:
        FileNotFoundError: the world was not measured.
        ValueError: there is no such row.
    """
    stored, measured = (
        recall_search(world, folder=results),
        [recall_field(world, one, folder=results) for one in BUDGETS],
    )
    names = list(stored)
    first = next((name for name in names if stored[name].row == row), None)
    if first is None:
        known = ", ".join(dict.fromkeys(entry.row for entry in stored.values()))
        raise ValueError(f"row: expected one that is stored, {known}, got {row!r}")
    betas = [one.beta for entry in stored.values() for one in (*entry.tried, *entry.final)]
    data = {
        "entries": [_entry(name, entry, [found[name] for found in measured]) for name, entry in stored.items()],
        "budgets": list(BUDGETS),
        "range": [round(math.log10(min(betas)) - ROOM, 4), round(math.log10(max(betas)) + ROOM, 4)],
        "marks": MARKS,
        "most": MOST,
        "roles": ROLES,
        "first": {"entry": names.index(first), "budget": 0, "beta": measured[0][first].settings["beta"]},
    }
    picture = _still(data, first, stored)
    return widget("searches", data, title=title, alt=_alt(first, stored[first]), fallback=picture, caption=caption)


def _entry(name: str, entry: Searched, measured: Sequence[Measured]) -> dict[str, Any]:
    """All of an entry in few characters: of a setting its outer rate, the rest in the order of ``names``, errors."""
    told = list(entry.tried[0].told)

    def row(trial: Trial) -> list[Any]:
        return [trial.beta, [trial.told[name] for name in told], [_rounded(trial.errors[one]) for one in BUDGETS]]

    chosen = [
        {
            "beta": one.settings["beta"],
            "told": {name: value for name, value in one.settings.items() if name != "beta"},
            "meta_steps": one.meta_steps,
            "inner_steps": one.inner_steps,
            "errors": _rounded([error if math.isfinite(error) else None for error in one.errors.tolist()]),
        }
        for one in measured
    ]
    about = {"name": name, "row": entry.row, "steps": entry.steps, "against": entry.against, "names": told}
    return {**about, "tried": [*map(row, entry.tried)], "final": [*map(row, entry.final)], "chosen": chosen}


def _rounded(errors: Iterable[float | None]) -> list[float | None]:
    return [None if error is None else float(f"{error:.3g}") for error in errors]


def _curve(trials: Iterable[Trial]) -> dict[float, float]:
    """Of each outer rate the least error with any other settings, for equal meta-steps, the rates in rising order."""
    found: dict[float, float] = {}
    for one in trials:
        for error in one.errors[BUDGETS[0]]:
            if error is not None:
                found[one.beta] = min(error, found.get(one.beta, math.inf))
    return dict(sorted(found.items()))


def _alt(name: str, entry: Searched) -> str:
    rates = ", ".join(f"{error:.2g} at {beta:g}" for beta, error in _curve(entry.tried).items())
    return f"Error of {name} against the outer rate β, the least of one seed with each: {rates}."


def _still(data: Mapping[str, Any], name: str, stored: Mapping[str, Searched]) -> str:
    """The first picture."""
    entry = stored[name]
    curves = {ROLES["row"]: _curve(entry.tried)}
    if entry.against in stored and entry.against != name:
        curves["maml"] = _curve(stored[entry.against].tried)
    values = [error for curve in curves.values() for error in curve.values()]
    low = max((mark for mark in MARKS if mark <= min(values)), default=MARKS[0])
    high = min((mark for mark in MARKS if mark >= min(max(values), MOST * low)), default=MARKS[-1])
    powers = list(range(math.ceil(data["range"][0]), math.floor(data["range"][1]) + 1))
    panel = Panel(
        (data["range"][0], data["range"][1]),
        (low, high),
        powers,
        [mark for mark in MARKS if low <= mark <= high],
        "error on validation tasks",
        300,
        log=True,
        x_names=[f"{10.0**power:g}" for power in powers],
    )
    for role, curve in curves.items():
        panel.curves.append((role, [math.log10(beta) for beta in curve], list(curve.values())))
    for one in entry.final:
        errors = [error for error in one.errors[BUDGETS[0]] if error is not None]
        if errors and len(errors) == len(one.errors[BUDGETS[0]]):
            panel.points.append((ROLES["final"], math.log10(one.beta), sum(errors) / len(errors)))
    legend = {ROLES["row"]: name, **({"maml": entry.against} if "maml" in curves else {})}
    return still_picture([panel], {**legend, ROLES["final"]: "second round, mean of its seeds"}, "outer rate β")
