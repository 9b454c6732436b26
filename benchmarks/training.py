"""Time a whole meta-training in this package and in the loops that a reader might write instead.

    python -m benchmarks.training

writes runs/training.json, with --results results what is stored. Each contender has a process of its own and one
thread; what it trains is held to Adam in double precision and to what fit comes to; then all are asked in turn, in
rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.command import known, measure, parser
from benchmarks.trainers import TRAINERS
from benchmarks.training_race import TrainingRace
from benchmarks.workloads import TRAININGS, chosen


def main(words: Sequence[str] | None = None) -> None:
    options = parser("benchmarks.training", __doc__.splitlines()[0], TRAININGS, TRAINERS, seconds=60.0)
    given = options.parse_args(words)
    race = partial(TrainingRace, known(given.contenders, TRAINERS))
    measure("training", given, chosen(given.workloads, TRAININGS), race)


if __name__ == "__main__":
    main()
