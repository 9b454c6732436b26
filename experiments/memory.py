"""What a memory is worth when a task shows one point at a time: MAML and MOML on 25 waves, three in a meta-step.

    python -m experiments.memory

writes runs/sweep-memory.json.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from experiments import arguments, fit
from mamlbook import Model, evaluate, mlp
from mamlbook.algorithms import ALGORITHMS
from mamlbook.pages import environment, record
from mamlbook.tasks import WaveCollection
from mamlbook.training import pick_device

ITERATIONS, SEEDS, TASKS, SHOTS = 3_000, 5, 3, 1
TEST_STEPS, TEST_TASKS, TEST_SHOTS, TEST_POINTS = 10, 500, 10, 100
ALPHA, BETA = 0.01, 1e-3
LOCAL_STEPS = 2
OPTIONS: dict[str, dict[str, float]] = {
    "maml": {},
    "moml": {"rate": 0.3},
    "moml-v2": {"rate": 0.1},
    "local-moml": {"local_steps": LOCAL_STEPS, "beta": BETA, "rate": 0.5},
}


def run(name: str, seed: int, iterations: int, device: torch.device, test_tasks: int = TEST_TASKS) -> Tensor:
    """The error on new points of the 25 waves after each test step, (S + 1,).

    A local round of H steps uses H points of each set, so LocalMOML has as many fewer rounds.
    """
    local = OPTIONS[name].get("local_steps", 1)
    learner = ALGORITHMS[name](Model(mlp(1, 40, 40, 1, seed=seed), mse_loss), alpha=ALPHA, **OPTIONS[name])
    waves = WaveCollection(shots=SHOTS * local, queries=SHOTS * local)
    rounds = max(1, iterations // local)
    fit(learner, waves, steps=rounds, tasks=TASKS, beta=BETA, seed=seed, device=device, progress=False)
    seen = WaveCollection(shots=TEST_SHOTS, queries=TEST_POINTS)
    losses = evaluate(learner, seen, tasks=test_tasks, steps=TEST_STEPS, seed=1, chunk=len(seen))
    return losses.mean(0)


def main(words: list[str] | None = None) -> None:
    parser = arguments("memory", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    options = parser.parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    runs: dict[str, Any] = {}
    for name in OPTIONS:
        rows = [run(name, seed, options.iterations, device) for seed in range(options.seeds)]
        runs[name] = {"error": {str(seed): {"new": _rounded(row)} for seed, row in enumerate(rows)}}
    result = {
        "runs": runs,
        "protocol": f"25 waves, amplitudes 1 to 5 and phases of multiples of pi / 5; {TASKS} of them in a meta-step, "
        f"{SHOTS} support and {SHOTS} query point each; mean squared error on {TEST_POINTS} new points of the same "
        f"waves after 0 to {TEST_STEPS} steps on {TEST_SHOTS} points, over {TEST_TASKS} draws",
        "training": {"iterations": options.iterations, "alpha": ALPHA, "beta": BETA, "rule": "Adam", **OPTIONS},
        "seeds": list(range(options.seeds)),
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("sweep-memory", result, folder=options.results))


def _rounded(values: Tensor) -> list[float]:
    return [float(f"{value:.5g}") for value in values.tolist()]


if __name__ == "__main__":
    main()
