"""MAML, FOMAML and Reptile as ``experiments.first_order`` measured them: how fast each gets, and how far."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mamlbook.evaluation import confidence
from mamlbook.pages.display import table
from mamlbook.pages.field import BUDGETS
from mamlbook.stored import RESULTS, recall


class Outcome(NamedTuple):
    """A method with a number of inner steps, from fresh seeds, at rates that were searched for each column by itself.

    ``arrived`` counts the meta-steps, and the gradients of each task, until the query loss was low enough, and
    ``errors`` are those on new tasks after as many meta-steps, and after as many gradients; nan stands for a run that
    did not arrive, or came to no end. ``losses`` are the running means of the query loss in training, at the rates with
    which it arrives soonest, ``validation`` the least mean errors of the search, and ``rates`` what was chosen.

    Shapes: ``arrived`` and ``errors`` are (seeds, 2), ``losses`` is (seeds, n), ``validation`` is (2,).
    """

    arrived: Tensor
    errors: Tensor
    losses: Tensor
    validation: Tensor
    rates: dict[str, str]


def recall_first_order(*, folder: Path = RESULTS) -> dict[str, Outcome]:
    """What is stored of each contender, such as "fomaml, S = 5".

    Raises:
        FileNotFoundError: they were not measured.
    """
    return {name: _outcome(kept) for name, kept in recall("first-order", folder=folder)["contenders"].items()}


def first_order_table(*pairs: tuple[str, str], folder: Path = RESULTS) -> Any:
    """Each pair of contenders and their paired difference, the first minus the second, as a table for Jupyter to show.

    The columns are those of ``arrived`` and of ``errors``: means over seeds with 95 % intervals, of the seeds that have
    both numbers, and how many these are where one is missing.

    Raises:
        FileNotFoundError: they were not measured.
        KeyError: a contender is not stored.
    """
    found = recall_first_order(folder=folder)
    values = {name: torch.cat([outcome.arrived, outcome.errors], 1) for name, outcome in found.items()}
    lines: dict[str, Tensor] = {}
    for one, other in pairs:
        lines |= {name: values[name] for name in (other, one) if name not in lines}
        lines[f"{one}, minus {other}"] = values[one] - values[other]
    header = ["", "meta-steps to target", "gradients to target", "error, equal meta-steps", "error, equal gradients"]
    return table(header, ([name, *map(_interval, columns.T, (0, 0, 3, 3))] for name, columns in lines.items()))


def _interval(values: Tensor, digits: int) -> str:
    there = values[values.isfinite()]
    if len(there) < 2:
        return f"{len(there)} of {len(values)} seeds"
    mean, half = confidence(there)
    missing = "" if len(there) == len(values) else f" ({len(there)} of {len(values)} seeds)"
    return f"{mean:.{digits}f} ± {half:.{digits}f}{missing}"


def _outcome(kept: dict[str, Any]) -> Outcome:
    runs = {aim: kept["runs"][rates] for aim, rates in kept["chosen"].items()}
    arrived = _numbers([run["arrived"] for run in runs["soonest"]])
    found = [_numbers([run["errors"][budget] for run in runs[budget]]) for budget in BUDGETS]
    searched = [torch.stack([_numbers(t["errors"][budget]).mean() for t in kept["search"]]) for budget in BUDGETS]
    return Outcome(
        arrived=torch.stack([arrived, arrived * kept["gradients"]], 1),
        errors=torch.stack(found, 1),
        losses=torch.stack([_numbers(run["losses"]) for run in runs["soonest"]]),
        validation=torch.stack([values[values.isfinite()].min() for values in searched]),
        rates=kept["chosen"],
    )


def _numbers(values: list[float | None]) -> Tensor:
    return torch.tensor([torch.nan if value is None else value for value in values])
