"""The whole field as ``experiments.field`` measured it: every row with settings of its own, on the same fresh tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mamlbook.algorithms import ALGORITHMS
from mamlbook.stored import RESULTS, recall

BUDGETS = ("meta-steps", "arithmetic")
ABOUT = {"meta_steps", "inner_steps", "errors", "curves", "unsolved"}  # what is stored beside the settings
MAML_ON_THE_SAME_TASKS = "maml, tasks that come back"


class Measured(NamedTuple):
    """A row with a number of inner steps, or None, after its own search.

    ``errors`` are those of fresh seeds on fresh tasks, nan for a run that came to no end, and ``against`` those of MAML
    with as many inner steps, or one, on the same training tasks; None where it is not stored. ``settings`` are what the
    search chose, ``beta`` among them, and ``inner_steps`` the number of steps that a new task is given.

    Shapes: ``errors`` and ``against`` are (seeds,).
    """

    row: str
    steps: int | None
    meta_steps: int
    settings: dict[str, float]
    inner_steps: int
    errors: Tensor
    against: Tensor | None

    @property
    def differences(self) -> Tensor:
        """The errors minus MAML's from the same seeds, where both runs came to an end: (pairs,)."""
        if self.against is None:
            return self.errors.new_empty(0)
        apart = self.errors - self.against
        return apart[apart.isfinite()]


def recall_field(world: str = "waves", budget: str = "meta-steps", *, folder: Path = RESULTS) -> dict[str, Measured]:
    """What is stored of the field: the name of an entry, such as "reptile, S = 5", to its measurement with a budget.

    Raises:
        FileNotFoundError: this world was not measured.
        ValueError: ``budget`` is none of "meta-steps" and "arithmetic".
    """
    if budget not in BUDGETS:
        raise ValueError(f"budget: expected one of {list(BUDGETS)}, got {budget!r}")
    stored = recall(f"field-{world}", folder=folder)["entries"]
    found = {
        name: _measured(name, entry["budgets"][budget]) for name, entry in stored.items() if budget in entry["budgets"]
    }
    return {name: entry._replace(against=_maml(entry, found)) for name, entry in found.items()}


class Trial(NamedTuple):
    """A setting of a search: its outer rate, what the row was told besides, and its errors, a list for each budget.

    The first round has one error, of one seed, and the second one for each of its seeds; None for a run that came to no
    end. A budget that the setting was not trained for has no errors.
    """

    beta: float
    told: dict[str, float]
    errors: dict[str, list[float | None]]


class Searched(NamedTuple):
    """How the settings of an entry were found: ``tried`` in the first round, and ``final``, those of the second.

    ``against`` is the name of MAML's entry with as many inner steps, or one, on the same training tasks.
    """

    row: str
    steps: int | None
    against: str
    tried: list[Trial]
    final: list[Trial]


def recall_search(world: str = "waves", *, folder: Path = RESULTS) -> dict[str, Searched]:
    """What both rounds of a search tried, by the name of the entry, for every entry that has had both.

    Raises:
        FileNotFoundError: this world was not measured.
    """
    stored = recall(f"field-{world}", folder=folder)["entries"]
    return {name: _searched(name, entry) for name, entry in stored.items() if "final" in entry}


def _searched(name: str, entry: dict[str, Any]) -> Searched:
    row, steps = _parts(name)
    tried = [_trial(one, {budget: [_least(one[budget])] for budget in BUDGETS}) for one in entry["search"]]
    final = [
        _trial(one, {budget: one[budget]["errors"] if budget in one else [] for budget in BUDGETS})
        for one in entry["final"]
    ]
    return Searched(row, steps, _against(row, steps), tried, final)


def _trial(stored: dict[str, Any], errors: dict[str, list[float | None]]) -> Trial:
    told = {name: value for name, value in stored.items() if name not in ("beta", *BUDGETS)}
    return Trial(stored["beta"], told, errors)


def _least(curve: Sequence[float | None] | None) -> float | None:
    values = [value for value in curve or [] if value is not None]
    return min(values, default=None)


def _parts(name: str) -> tuple[str, int | None]:
    """The row and the number of inner steps of an entry."""
    row, _, steps = name.partition(", S = ")
    return row, int(steps) if steps else None


def _against(row: str, steps: int | None) -> str:
    known = ALGORITHMS.get(row)
    name = MAML_ON_THE_SAME_TASKS if known and known.needs == "collection" else "maml"
    return f"{name}, S = {steps or 1}"


def _measured(name: str, kept: dict[str, Any]) -> Measured:
    row, steps = _parts(name)
    settings = {k: v for k, v in kept.items() if k not in ABOUT}
    errors = torch.tensor([torch.nan if error is None else error for error in kept["errors"]])
    return Measured(row, steps, kept["meta_steps"], settings, kept["inner_steps"], errors, None)


def _maml(entry: Measured, found: dict[str, Measured]) -> Tensor | None:
    same = found.get(_against(entry.row, entry.steps))
    return None if same is None else same.errors
