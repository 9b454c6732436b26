"""Which tasks count: six weightings on twenty easy waves and five that are upside down and larger.

    python -m experiments.weights

writes runs/weights.json.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from experiments import arguments, fit
from mamlbook import GradientDescent, MetaLearner, Model, UniformWeights, mlp
from mamlbook.pages import environment, record
from mamlbook.tasks import WaveCollection
from mamlbook.training import pick_device
from mamlbook.weighting import (
    AgreementWeights,
    ConflictAverseWeights,
    LearnedWeights,
    RobustWeights,
    SoftmaxWeights,
    Weighting,
)

ITERATIONS, SEEDS = 1_000, 5
ALPHA, BETA, STEPS, SHOTS = 0.01, 1e-3, 1, 10
TEST_DRAWS, TEST_POINTS = 40, 100
AMPLITUDES = (1.0, 1.5, 2.0, 2.5, -4.0)
PHASES = tuple(j * math.pi / 10 for j in range(5))
WEIGHTINGS: dict[str, Callable[[int], Weighting]] = {
    "mean": lambda tasks: UniformWeights(),
    "softmax": lambda tasks: SoftmaxWeights(1.0),
    "min-max": lambda tasks: RobustWeights(tasks, 0.01),
    "learned": lambda tasks: LearnedWeights(tasks),
    "agreement": lambda tasks: AgreementWeights(0.1),
    "conflict-averse": lambda tasks: ConflictAverseWeights(0.5),
}


def waves(points: int) -> WaveCollection:
    """Four amplitudes, and a fifth group of tasks that points the other way; 25 in all."""
    return WaveCollection(AMPLITUDES, PHASES, shots=SHOTS, queries=points)


def run(name: str, seed: int, iterations: int, device: torch.device, draws: int = TEST_DRAWS) -> Tensor:
    """The error of each wave on new points, after the step, (25,)."""
    model = Model(mlp(1, 40, 40, 1, seed=seed), mse_loss)
    known = waves(SHOTS)
    weighting = WEIGHTINGS[name](len(known))
    learner = MetaLearner(model, GradientDescent(ALPHA, STEPS), weighting=weighting)
    fit(learner, known, steps=iterations, tasks=len(known), beta=BETA, seed=seed, device=device, progress=False)
    return errors(learner, draws)


def errors(learner: MetaLearner, draws: int = TEST_DRAWS) -> Tensor:
    """The mean over draws of the error of each wave, (25,)."""
    generator, new = torch.Generator().manual_seed(1), waves(TEST_POINTS)
    total = torch.zeros(len(new))
    for _ in range(draws):
        drawn = new.draw(len(new), generator).like(learner.model.theta[0])
        adapted = learner.adapt(drawn.support)
        losses = learner.model.losses(adapted.predict(adapted.phi, drawn.query.x), drawn.query.y)
        total[drawn.index.cpu()] += losses.detach().cpu() / draws
    return total


def main(words: list[str] | None = None) -> None:
    parser = arguments("weights", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    options = parser.parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    runs: dict[str, Any] = {}
    for name in WEIGHTINGS:
        rows = [run(name, seed, options.iterations, device) for seed in range(options.seeds)]
        runs[name] = [[float(f"{value:.5g}") for value in row.tolist()] for row in rows]
    result = {
        "runs": runs,
        "amplitudes": AMPLITUDES,
        "protocol": f"25 waves, five phases for each of the amplitudes {AMPLITUDES}; mean squared error of each wave "
        f"on {TEST_POINTS} new points after {STEPS} step on {SHOTS}, over {TEST_DRAWS} draws; a row for each seed, a "
        "column for each wave",
        "training": {"iterations": options.iterations, "alpha": ALPHA, "beta": BETA, "rule": "Adam", "tasks": 25},
        "seeds": list(range(options.seeds)),
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("weights", result, folder=options.results))


if __name__ == "__main__":
    main()
