"""What one meta-gradient costs: arithmetic and bytes, counted, and the time of three ways to execute it.

    python -m experiments.cost

writes runs/cost.json.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import mse_loss

from benchmarks.limit import gigaflops
from experiments import arguments
from experiments.race import race
from mamlbook import GradientDescent, MetaLearner, Model, Sinusoids, mlp
from mamlbook.algorithms import ALGORITHMS
from mamlbook.analysis.costs import cost, peak
from mamlbook.execution.compiled import Compiled
from mamlbook.metagradient import Checkpointed, TaskChunks
from mamlbook.pages import environment, record
from mamlbook.tasks.base import Tasks
from mamlbook.training import pick_device

STEPS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64]
WIDTHS = [10, 20, 40, 80, 160]
TASKS, SHOTS, ALPHA = 25, 10, 0.01
METHODS = ["maml", "checkpointed", "truncated", "imaml", "fomaml", "reptile"]
TIMED_WIDTHS, TIMED_STEPS = [10, 40, 160], 5


def learner(name: str, width: int, steps: int) -> MetaLearner:
    """A method on the sine network of that width; the truncated one goes back through one step."""
    model = Model(mlp(1, width, width, 1), mse_loss)
    if name == "checkpointed":
        return MetaLearner(model, GradientDescent(ALPHA, steps), Checkpointed())
    return ALGORITHMS[name](model, alpha=ALPHA, steps=steps)


def waves(tasks: int) -> Tasks:
    return Sinusoids(shots=SHOTS, queries=SHOTS).draw(tasks, torch.Generator().manual_seed(0))


def counted(name: str, width: int, steps: list[int]) -> dict[str, list[int]]:
    """Operations, bytes held and bytes at the fullest moment that each task adds, for each number of steps."""
    one, two = waves(1), waves(2)
    rows: dict[str, list[int]] = {"operations": [], "held": [], "peak": []}
    for number in steps:
        what = learner(name, width, number)
        alone, both = (*cost(what, one), peak(what, one)), (*cost(what, two), peak(what, two))
        for row, less, more in zip(rows.values(), alone, both, strict=True):
            row.append(more - less)
    return rows


def executions(name: str, width: int, steps: int, tasks: Tasks) -> dict[str, Callable[[], object]]:
    """Three ways to compute the same meta-gradient."""
    whole = learner(name, width, steps)
    alone = MetaLearner(whole.model, whole.solver, TaskChunks(whole.metagradient, 1), whole.weighting)
    code = Compiled(whole)
    return {
        "one by one": lambda: alone.gradients(tasks),
        "all at once": lambda: whole.gradients(tasks),
        "compiled": lambda: code(tasks),
    }


def main(words: list[str] | None = None) -> None:
    parser = arguments("cost", __doc__, rounds=7, steps=max(STEPS), widths=len(WIDTHS), tasks=TASKS)
    options = parser.parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    torch.set_num_threads(1)
    steps, widths = [s for s in STEPS if s <= options.steps], WIDTHS[: options.widths]
    batch, inner = waves(options.tasks), min(TIMED_STEPS, options.steps)
    limit = gigaflops(device.type)  # first, while the machine is as it was found
    result = {
        "steps": steps,
        "counted": {n: {str(width): counted(n, width, steps) for width in widths} for n in METHODS},
        "timed": {
            "limit": limit,
            "tasks": options.tasks,
            "widths": {
                str(w): {
                    "operations": cost(learner("maml", w, 1), batch).operations,
                    "times": race(executions("maml", w, 1, batch), options.rounds, device),
                }
                for w in TIMED_WIDTHS
                if w in widths
            },
            "methods": _methods(40 if 40 in widths else widths[0], inner, batch, options.rounds, device),
        },
        "protocol": f"networks 1-n-n-1 with ReLU, {SHOTS} support and {SHOTS} query points, single precision; "
        f"operations and bytes that each task adds; times on one thread for {options.tasks} tasks, MAML with one step "
        f"for the widths and {inner} steps for the methods, the median of {options.rounds} rounds in which all take "
        "turns",
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("cost", result, folder=options.results))


def _methods(width: int, steps: int, tasks: Tasks, rounds: int, device: torch.device) -> dict[str, Any]:
    """Every method, all tasks at once, uncompiled: in one race, so that ratios mean something."""
    ways = {name: executions(name, width, steps, tasks)["all at once"] for name in METHODS}
    return {"width": width, "steps": steps, "times": race(ways, rounds, device)}


if __name__ == "__main__":
    main()
