"""Stored comparisons of methods with MAML, in which each had settings of its own: errors, and differences by seed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mamlbook.evaluation import confidence
from mamlbook.pages.display import table
from mamlbook.pages.results import curves_of
from mamlbook.stored import RESULTS, recall


def recall_errors(name: str, *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """Each method's error after the number of inner steps that its search chose: method to (seeds,), nan if lost.

    Raises:
        FileNotFoundError: there is no such result.
    """
    methods = recall(name, folder=folder)["methods"]
    return {method: curves_of(run, "mean")[:, run["chosen"]["inner_steps"]] for method, run in methods.items()}


def paired(stored: Mapping[str, str], *methods: str, digits: int = 3, folder: Path = RESULTS) -> Any:
    """A table with a row for each stored comparison: MAML's error, and how far each method's is above, seed by seed.

    Every entry is a mean with its 95 % interval. Where a seed was lost the others are compared, and are counted.

    Raises:
        FileNotFoundError: there is no such result.
    """

    def entry(values: Tensor) -> str:
        kept = values[values.isfinite()]
        mean, half = confidence(kept)
        counted = "" if len(kept) == len(values) else f" ({len(kept)} of {len(values)} seeds)"
        return f"{mean:.{digits}f} ± {half:.{digits}f}{counted}"

    found = {title: recall_errors(name, folder=folder) for title, name in stored.items()}
    rows = [
        [title, entry(errors["maml"]), *(entry(errors[method] - errors["maml"]) for method in methods)]
        for title, errors in found.items()
    ]
    return table(["", "maml", *(f"{method} minus maml" for method in methods)], rows)
