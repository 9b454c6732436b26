"""Time one meta-gradient in this package and in every library that a reader might pick instead.

    python -m benchmarks.meta_step

writes runs/meta-step.json, with --results results what is stored, and with --figure FILE a picture of it. Each
contender has a process of its own and one thread. Its gradient is held to one in double precision first. Then all are
asked in turn, in rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.command import known, measure, parser
from benchmarks.contenders import CONTENDERS
from benchmarks.gradient_race import GradientRace
from benchmarks.workloads import GROUPS, chosen
from mamlbook.pages import figures


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    options = parser("benchmarks.meta_step", __doc__.splitlines()[0], GROUPS, CONTENDERS, seconds=10.0)
    options.add_argument(
        "--data", type=Path, help="folder of Omniglot; by default MAMLBOOK_DATA, and without it the built-in glyphs"
    )
    options.add_argument("--figure", type=Path, help="file to draw to, such as meta-step.svg")
    return options.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    given = arguments(words)
    race = partial(GradientRace, known(given.contenders, CONTENDERS), data=given.data)
    result = measure("meta-step", given, chosen(given.workloads, GROUPS), race)
    if given.figure:
        figures.race(result).savefig(given.figure)
        print(given.figure)


if __name__ == "__main__":
    main()
