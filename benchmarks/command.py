"""What the commands of the benchmark share: their options, and the way from a race to a stored result."""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.contenders import Contender
from benchmarks.job import Workload
from benchmarks.limit import faster, gigaflops
from benchmarks.race import Race, TimeUp
from benchmarks.report import against, block, grouped, merged
from mamlbook.pages import RUNS, environment, recall, record
from mamlbook.training import pick_device


def parser(
    module: str,
    description: str,
    groups: Mapping[str, Sequence[Workload]],
    contenders: Mapping[str, Contender],
    seconds: float,
) -> argparse.ArgumentParser:
    """The options of ``python -m module``; ``seconds`` are those for the rounds of a workload by default."""
    found = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    listed = lambda text: [part.strip() for part in text.split(",")]  # noqa: E731
    add = found.add_argument
    add("--workloads", type=listed, help=f"names with commas between them, of {', '.join(groups)}, or of one workload")
    add("--contenders", type=listed, help=f"names with commas between them, of {', '.join(contenders)}")
    add("--rounds", type=int, default=11, help="rounds of a workload, at most")
    add(
        "--seconds",
        type=float,
        default=seconds,
        help="seconds for the rounds of a workload; three are run whatever they take",
    )
    add("--patience", type=float, default=120.0, help="seconds after which a contender that does not answer is missing")
    add("--minutes", type=float, default=math.inf, help="end after so many, with the workloads that are finished")
    add("--device", default="cpu", help="cpu, on one thread, or cuda")
    add("--results", type=Path, default=RUNS, help="folder to write to")
    return found


def known(names: Sequence[str] | None, contenders: Mapping[str, Contender]) -> dict[str, Contender]:
    """The contenders of these names, all of them without any.

    Raises:
        ValueError: a name is unknown.
    """
    unknown = sorted(set(names or ()) - set(contenders))
    if unknown:
        raise ValueError(f"contenders: expected some of {', '.join(contenders)}, got {', '.join(unknown)}")
    return {name: contender for name, contender in contenders.items() if names is None or name in names}


def measure(
    name: str, options: argparse.Namespace, workloads: Sequence[Workload], race_of: Callable[..., Race]
) -> dict[str, Any]:
    """Run the race in each workload and store what it gives as <name>.json, or as <name>-cuda.json on a GPU.

    ``race_of(logs, ...)`` makes the race of the options. Stored workloads that are not among these are kept.

    Returns: all that is stored.
    """
    device = pick_device(options.device)
    torch.set_num_threads(1)
    name = name if device.type == "cpu" else f"{name}-{device.type}"
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
        race_of(
            Path(folder),
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
                kept = merged(old, result)
                path = record(name, kept, folder=options.results)
                print(f"\n{block(measured, result['limit']['gflops'])}", flush=True)
        except TimeUp:
            print(f"\ntime is up, so these have no result: {', '.join(each.name for each in workloads[number - 1 :])}")
        except KeyboardInterrupt:
            print("\ninterrupted")
    if not result["workloads"]:
        sys.exit("no workload was finished")
    print(f"\n{against(result['workloads'])}\n\n{path}")
    return kept
