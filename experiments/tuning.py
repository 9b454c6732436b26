"""Tune a step size by learning to learn: on the points that the steps were taken on, or on held-out ones.

    python -m experiments.tuning

writes runs/tuning.json.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mamlbook.pages import RUNS, environment, record
from mamlbook.tasks.base import Data
from mamlbook.tasks.quadratic import LinearRegression

DIMENSION, STEPS, NOISE = 50, 40, 1.0
EXAMPLES = (25, 50, 100, 200, 400, 1000)
TASKS, SEEDS = 100, 5
RATES = torch.logspace(-3, 0.2, 33, dtype=torch.float64)


def errors(support: Data, query: Data, rates: Tensor, steps: int = STEPS) -> Tensor:
    """Mean squared error on the query set after ``steps`` steps from zero on mean squared error / 2: (rates,).

    In the eigenvectors of X^T X / n, w = (1 - (1 - eta lambda)^t) / lambda times X^T y / n.
    """
    (x, y), count = support, support.x.shape[1]
    curvature, directions = torch.linalg.eigh(x.mT @ x / count)
    curvature = curvature.clamp(min=1e-9)  # rounding may make a zero negative; nothing pulls along it
    pull = (directions.mT @ x.mT @ y)[..., 0] / count
    covered = (1 - (1 - rates[:, None, None] * curvature) ** steps) / curvature
    w = directions @ (covered * pull)[..., None]
    return (query.x @ w - query.y).square().mean((1, 2, 3))


def regressions(examples: int) -> LinearRegression:
    """True weights of length about one, noise of the size of the signal."""
    return LinearRegression(DIMENSION, examples, examples, spread=DIMENSION**-0.5, noise=NOISE)


def compare(examples: int, seed: int, tasks: int) -> dict[str, float]:
    """Both ways to pick the step size, and the error on new tasks with all their examples."""
    generator = torch.Generator().manual_seed(seed)
    known, new = (regressions(examples).draw(tasks, generator) for _ in range(2))
    (x, y), half = known.support, examples // 2
    halves = Data(x[:, :half], y[:, :half]), Data(x[:, half:], y[:, half:])
    by_train = errors(known.support, known.support, RATES).argmin()
    by_validation = errors(*halves, RATES).argmin()
    on_new = errors(new.support, new.query, RATES)
    found = {
        "train": on_new[by_train],
        "validation": on_new[by_validation],
        "best": on_new.min(),
        "none": new.query.y.square().mean(),
        "train_rate": RATES[by_train],
        "validation_rate": RATES[by_validation],
    }
    return {name: float(f"{value.item():.6g}") for name, value in found.items()}


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.tuning", description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--examples", type=int, nargs="+", default=EXAMPLES)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--results", type=Path, default=RUNS, help="folder to write to")
    options = parser.parse_args(words)
    started = time.perf_counter()
    rows = [[compare(n, seed, options.tasks) for n in options.examples] for seed in range(options.seeds)]
    result: dict[str, Any] = {
        "examples": list(options.examples),
        "seeds": list(range(options.seeds)),
        "runs": {name: [[point[name] for point in row] for row in rows] for name in rows[0][0]},
        "protocol": f"linear regression in {DIMENSION} dimensions, noise {NOISE:g}, {STEPS} steps from zero; a step "
        f"size from {len(RATES)} between {RATES[0]:.3g} and {RATES[-1]:.3g}, picked on {options.tasks} tasks by the "
        "error on the examples that the steps were taken on (train) or on the second half after steps on the first "
        "(validation), in hindsight (best), or no step (none); mean squared error on as many new examples of as many "
        "new tasks; a row for each seed, a column for each number of examples",
        "training": {"rates": [float(f"{rate:.6g}") for rate in RATES.tolist()], "steps": STEPS},
        "seconds": round(time.perf_counter() - started),
        **environment(torch.device("cpu")),
    }
    print(record("tuning", result, folder=options.results))


if __name__ == "__main__":
    main()
