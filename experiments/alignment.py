"""Follow the gradients of tasks through meta-training: how far do two tasks agree, and two samples of one task?

    python -m experiments.alignment

writes runs/alignment.json.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import mse_loss

from experiments import arguments, fit
from mamlbook import ALGORITHMS, MetaLearner, Model, Sinusoids, mlp
from mamlbook.analysis.diagnostics import agreement, alignment, task_gradients
from mamlbook.numerics import dot
from mamlbook.pages import environment, record
from mamlbook.training import pick_device

WAVES = Sinusoids(shots=10, queries=10)
ALGORITHM_NAMES = ("maml", "joint")
CHECKPOINTS = (0, 30, 100, 300, 1000, 5000)
ALPHA, TASKS, BETA = 0.01, 25, 0.001
SEEDS, TEST_TASKS = 5, 500


def untrained(name: str, seed: int) -> MetaLearner:
    return ALGORITHMS[name](Model(mlp(1, 40, 40, 1, seed=seed), mse_loss), alpha=ALPHA)


def measure(learner: MetaLearner) -> dict[str, float]:
    """How far gradients at theta agree between and within tasks, and the mean query loss before and after a step.

    The support and the query set of a wave are the two samples of it.
    """
    model = learner.model
    support, query, _ = WAVES.draw(TEST_TASKS, torch.Generator().manual_seed(1)).like(model.theta[0])
    one, other = (task_gradients(model, data) for data in (support, query))
    measured = {
        "between": alignment(one),
        "within": agreement(one, other),
        "product": dot(one, other).mean(),
    }
    for step, adapted in enumerate(learner.solver.path(model, support, unroll=0, steps=1)):
        with torch.no_grad():
            measured[f"loss_{step}"] = model.losses(adapted.predict(adapted.phi, query.x), query.y).mean()
    return {name: float(f"{value.item():.6g}") for name, value in measured.items()}


def follow(name: str, seed: int, checkpoints: tuple[int, ...], device: torch.device) -> list[dict[str, float]]:
    """Train one algorithm from one seed and measure it at every checkpoint, in their order."""
    learner, measured = untrained(name, seed).to(device), []
    options = {"tasks": TASKS, "beta": BETA, "seed": seed, "progress": False}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checkpoint"
        for steps in checkpoints:
            if steps:
                fit(learner, WAVES, steps=steps, checkpoint=file, resume=file.exists(), **options)
            measured.append(measure(learner))
    return measured


def collect(seeds: int, checkpoints: tuple[int, ...], device: torch.device) -> dict[str, Any]:
    """Both algorithms from every seed: algorithm to quantity to a list over seeds of lists over checkpoints."""
    started, runs = time.perf_counter(), {}
    for name in ALGORITHM_NAMES:
        rows = [follow(name, seed, checkpoints, device) for seed in range(seeds)]
        runs[name] = {quantity: [[point[quantity] for point in row] for row in rows] for quantity in rows[0][0]}
    return {
        "checkpoints": list(checkpoints),
        "runs": runs,
        "seeds": list(range(seeds)),
        "protocol": f"at theta, on {TEST_TASKS} waves with two samples of {WAVES.shots} points each: alignment of the "
        "waves' gradients on the first sample (between), agreement of the gradients on the two samples (within), mean "
        "of their inner product (product), mean query loss after 0 and 1 steps (loss_0, loss_1)",
        "training": {
            "tasks": TASKS,
            "beta": BETA,
            "distribution": repr(WAVES),
            "configuration": {name: str(untrained(name, 0)) for name in ALGORITHM_NAMES},
        },
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }


def main(words: list[str] | None = None) -> None:
    parser = arguments("alignment", __doc__, seeds=SEEDS)
    parser.add_argument("--checkpoints", type=int, nargs="+", default=CHECKPOINTS)
    options = parser.parse_args(words)
    result = collect(options.seeds, tuple(options.checkpoints), pick_device(options.device))
    print(record("alignment", result, folder=options.results))


if __name__ == "__main__":
    main()
