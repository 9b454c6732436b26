"""The long runs. Each is a command, ``python -m experiments.NAME``, and writes what it measured to ``runs/``.

Pages and tests read ``results/``; ``--results results`` replaces what is stored there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

import mamlbook
from mamlbook.pages import RUNS, recall, record
from mamlbook.training import History


def arguments(name: str, description: str, **numbers: int) -> argparse.ArgumentParser:
    """The options that every experiment has: its whole numbers with their defaults, a device, a folder to write to."""
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{name}", description=description.splitlines()[0])
    for option, default in numbers.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, default=RUNS, help="folder to write to")
    return parser


def fit(*given, **options) -> History:
    """``mamlbook.fit``, which an interrupt ends together with the experiment: half a run is no result."""
    history = mamlbook.fit(*given, **options)
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def fit_replicas(*given, **options) -> list[History]:
    """``mamlbook.fit_replicas`` with the same rule."""
    histories = mamlbook.fit_replicas(*given, **options)
    if any(history.interrupted for history in histories):
        raise KeyboardInterrupt
    return histories


def one_by_one(
    name: str, folder: Path, every: Iterable[str], wanted: Iterable[str], measure: Callable[[str], Any], **about: Any
) -> Path:
    """Measure what is wanted and not stored yet, storing the ``runs`` after each, in the order of ``every``."""
    path = folder / f"{name}.json"
    runs = recall(name, folder=folder)["runs"] if path.is_file() else {}
    for one in tqdm(list(wanted), name, unit="run"):
        if one not in runs:
            runs[one] = measure(one)
            record(name, {"runs": {known: runs[known] for known in every if known in runs}, **about}, folder=folder)
    return path
