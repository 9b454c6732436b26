"""The whole field as ``experiments.field`` measured it: every row with settings of its own, on the same fresh tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mamlbook.algorithms import ALGORITHMS
from mamlbook.stored import RESULTS, recall

BUDGETS = ("meta-steps", "arithmetic")
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
    """What is stored of the field: the name of an entry, such as "reptile, S = 5", to its measurement.

    Raises:
        FileNotFoundError: this world was not measured.
        ValueError: ``budget`` is none of "meta-steps" and "arithmetic".
    """
    if budget not in BUDGETS:
        raise ValueError(f"budget: expected one of {list(BUDGETS)}, got {budget!r}")
    stored = recall(f"field-{world}", folder=folder)["entries"]
    found = {name: _measured(name, entry["budgets"][budget]) for name, entry in stored.items()}
    return {name: entry._replace(against=_maml(entry, found)) for name, entry in found.items()}


def _measured(name: str, kept: dict[str, Any]) -> Measured:
    row, _, steps = name.partition(", S = ")
    settings = {k: v for k, v in kept.items() if k not in ("meta_steps", "inner_steps", "errors", "curves")}
    errors = torch.tensor([torch.nan if error is None else error for error in kept["errors"]])
    return Measured(row, int(steps) if steps else None, kept["meta_steps"], settings, kept["inner_steps"], errors, None)


def _maml(entry: Measured, found: dict[str, Measured]) -> Tensor | None:
    known = ALGORITHMS.get(entry.row)
    name = MAML_ON_THE_SAME_TASKS if known and known.needs == "collection" else "maml"
    same = found.get(f"{name}, S = {entry.steps or 1}")
    return None if same is None else same.errors
