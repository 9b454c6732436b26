"""The long runs. Each is a command, ``python -m experiments.NAME``, and writes what it measured to ``results/``."""

from __future__ import annotations

import argparse
from pathlib import Path

from mamlbook.pages import RESULTS


def arguments(name: str, description: str, **numbers: int) -> argparse.ArgumentParser:
    """The options that every experiment has: its whole numbers with their defaults, a device, a folder to write to."""
    parser = argparse.ArgumentParser(prog=f"python -m experiments.{name}", description=description.splitlines()[0])
    for option, default in numbers.items():
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder to write to")
    return parser
