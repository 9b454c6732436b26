"""What the book's pages need and the core never imports: claims, sources, tables, stored results and figures."""

import importlib
from typing import Any

from mamlbook.pages.claims import CheckFailed, attempt, check
from mamlbook.pages.comparisons import paired, recall_errors
from mamlbook.pages.display import intervals, show, source, table
from mamlbook.pages.few_shot import Cell, few_shot_table, recall_table
from mamlbook.pages.field import recall_field, recall_search
from mamlbook.pages.first_order import first_order_table, recall_first_order
from mamlbook.pages.live import Live
from mamlbook.pages.results import curves_of, recall_chosen, recall_curves, recall_seeds, recall_sweep, running_on
from mamlbook.stored import RESULTS, RUNS, environment, is_stored, load_theta, recall, recall_weights, record

__all__ = [
    "RESULTS",
    "RUNS",
    "Cell",
    "CheckFailed",
    "Live",
    "attempt",
    "check",
    "curves_of",
    "environment",
    "few_shot_table",
    "figures",
    "first_order_table",
    "intervals",
    "is_stored",
    "load_theta",
    "paired",
    "recall",
    "recall_chosen",
    "recall_curves",
    "recall_errors",
    "recall_field",
    "recall_first_order",
    "recall_search",
    "recall_seeds",
    "recall_sweep",
    "recall_table",
    "recall_weights",
    "record",
    "running_on",
    "show",
    "source",
    "table",
]


def __getattr__(name: str) -> Any:
    """Import ``figures``, and matplotlib with it, when it is first asked for."""
    if name == "figures":
        return importlib.import_module("mamlbook.pages.figures")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
