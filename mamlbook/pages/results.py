"""Stored results that took longer than a page may, in the forms that pages read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mamlbook.stored import RESULTS, package_version, recall


def running_on() -> str:
    """What a page runs on, in one line: the package, torch, and the GPU that there is or is not."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU, so on the CPU"
    return f"mamlbook {package_version('mamlbook')}, torch {torch.__version__}, {device}"


def recall_curves(name: str, kind: str = "new", *, folder: Path = RESULTS) -> Tensor:
    """A stored error after every inner step, one row for each seed: (seeds, S + 1).

    ``kind`` names which error, such as ``new`` or ``support``; see the result's own ``protocol``.

    Raises:
        FileNotFoundError: there is no such result.
    """
    return curves_of(recall(name, folder=folder), kind)


def recall_seeds(name: str, part: str, kind: str, *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """Stored numbers of every method in one part of a result: method to (seeds, numbers).

    Raises:
        FileNotFoundError: there is no such result.
    """
    return {method: curves_of(run, kind) for method, run in recall(name, folder=folder)[part].items()}


def recall_sweep(knob: str, kind: str = "new", *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """The same for every setting of a stored sweep over one knob: setting to (seeds, S + 1).

    Where a run had become infinite or nan there is nan.

    Raises:
        FileNotFoundError: there is no such sweep.
    """
    runs = recall(f"sweep-{knob}", folder=folder)["runs"]
    return {setting: curves_of(run, kind) for setting, run in runs.items()}


def curves_of(run: Mapping[str, Any], kind: str) -> Tensor:
    """The errors of one kind in a stored run, a row for each seed, nan where none could be stored."""
    nan = float("nan")
    return torch.tensor([[nan if v is None else v for v in curves[kind]] for curves in run["error"].values()])


def recall_chosen(name: str, criterion: str, *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """What each method of a comparison came to with the settings that a criterion chose: method to (seeds, ...).

    A training that came to no end is a row of nan.

    Raises:
        FileNotFoundError: there is no such comparison.
    """
    runs = recall(name, folder=folder)["runs"]
    return {method: _rows(run["errors"][criterion]) for method, run in runs.items()}


def _rows(seeds: Sequence[Sequence[float | None] | None]) -> Tensor:
    nan = float("nan")
    width = max(len(row) for row in seeds if row is not None)
    return torch.tensor([[nan] * width if row is None else [nan if v is None else v for v in row] for row in seeds])
