"""Time one meta-gradient in this package and in every library that a reader might pick instead.

    python -m benchmarks.meta_step

writes runs/meta-step.json, and with --figure FILE a picture of it. Each contender has a process of its own and one
thread; its gradient is held to one in double precision first; then all are asked in turn, in rounds.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.contenders import CONTENDERS, Contender
from benchmarks.limit import faster, gigaflops
from benchmarks.race import Race, TimeUp
from benchmarks.report import block, grouped, merged
from benchmarks.workloads import GROUPS, chosen
from mamlbook.pages import RUNS, environment, figures, recall, record
from mamlbook.training import pick_device


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.meta_step", description=__doc__.splitlines()[0])
    listed = lambda text: [part.strip() for part in text.split(",")]  # noqa: E731
    add = parser.add_argument
    add("--workloads", type=listed, help=f"names with commas between them, of {', '.join(GROUPS)}, or of one workload")
    add("--contenders", type=listed, help=f"names with commas between them, of {', '.join(CONTENDERS)}")
    add("--rounds", type=int, default=11, help="rounds of a workload, at most")
    add(
        "--seconds",
        type=float,
        default=10.0,
        help="seconds for the rounds of a workload; three are run whatever they take",
    )
    add("--patience", type=float, default=120.0, help="seconds after which a contender that does not answer is missing")
    add("--minutes", type=float, default=math.inf, help="end after so many, with the workloads that are finished")
    add("--device", default="cpu", help="cpu, on one thread, or cuda")
    add("--data", type=Path, help="folder of Omniglot; by default MAMLBOOK_DATA, and without it the built-in glyphs")
    add("--results", type=Path, default=RUNS, help="folder to write to")
    add("--figure", type=Path, help="file to draw to, such as meta-step.svg")
    return parser.parse_args(words)


def known(names: Sequence[str] | None) -> dict[str, Contender]:
    """The contenders of these names, all of them without any.

    Raises:
        ValueError: a name is unknown.
    """
    unknown = sorted(set(names or ()) - set(CONTENDERS))
    if unknown:
        raise ValueError(f"contenders: expected some of {', '.join(CONTENDERS)}, got {', '.join(unknown)}")
    return {name: contender for name, contender in CONTENDERS.items() if names is None or name in names}


def main(words: Sequence[str] | None = None, contenders: Mapping[str, Contender] | None = None) -> None:
    options = arguments(words)
    workloads, device = chosen(options.workloads), pick_device(options.device)
    contenders = known(options.contenders) if contenders is None else contenders
    torch.set_num_threads(1)
    name = "meta-step" if device.type == "cpu" else f"meta-step-{device.type}"
    old = recall(name, folder=options.results) if (options.results / f"{name}.json").is_file() else None
    result: dict[str, Any] = {
        **environment(device),
        "threads": 1,
        "limit": gigaflops(device.type),
        "missing": [],
        "workloads": [],
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        Race(
            contenders,
            Path(folder),
            data=options.data,
            device=device.type,
            rounds=options.rounds,
            seconds=options.seconds,
            patience=options.patience,
            minutes=options.minutes,
            say=partial(print, flush=True),
        ) as race,
    ):
        try:
            for number, workload in enumerate(workloads, 1):
                print(f"\n[{number}/{len(workloads)}] {workload.name}", flush=True)
                measured, missing = race.run(workload)
                result["workloads"].append(measured)
                # The machine may have been busy when its rate was measured first.
                result["limit"] = faster(result["limit"], gigaflops(device.type))
                result["missing"] = grouped([*result["missing"], *missing])
                # After each workload, so that an interrupted run leaves what it has measured.
                path = record(name, merged(old, result), folder=options.results)
                print(f"\n{block(measured, result['limit']['gflops'])}", flush=True)
        except TimeUp:
            print(f"\ntime is up, so these have no result: {', '.join(each.name for each in workloads[number - 1 :])}")
        except KeyboardInterrupt:
            print("\ninterrupted")
    if not result["workloads"]:
        sys.exit("no workload was finished")
    print(f"\n{path}")
    if options.figure:
        figures.race(recall(name, folder=options.results)).savefig(options.figure)
        print(options.figure)


if __name__ == "__main__":
    main()
