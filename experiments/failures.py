"""A gallery of failures: one mistake at a time, what the training loss looks like, and what new tasks say.

    python -m experiments.failures

writes runs/failures.json.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments
from experiments.side_by_side import meta_train
from experiments.stability import digits
from mamlbook import Exact, FirstOrder, GradientDescent, Model, Sinusoids, evaluate, maml, mlp
from mamlbook.metagradient import MetaGradient
from mamlbook.pages import environment, record
from mamlbook.tasks import FixedTasks
from mamlbook.tasks.distribution import TaskDistribution
from mamlbook.training import pick_device

STEPS, ITERATIONS, SEEDS, WINDOW = 3, 400, 5, 5
TEST_TASKS, TEST_STEPS = 200, 12
WAVES = Sinusoids(shots=10)


def summed(y_hat: Tensor, y: Tensor) -> Tensor:
    """The mistake of adding the errors of a task's ten points up."""
    return mse_loss(y_hat, y, reduction="sum")


class Case(NamedTuple):
    """One meta-training with one thing wrong."""

    alpha: float = 0.01
    beta: float = 1e-3
    tasks: int = 25
    loss: Any = mse_loss
    metagradient: type[MetaGradient] = Exact
    distribution: TaskDistribution = WAVES


FOUR = FixedTasks(WAVES.draw(4, torch.Generator().manual_seed(0)))

CASES = {
    "nothing is wrong": Case(),
    "inner rate ten times too large": Case(alpha=0.1),
    "inner rate ten times too small": Case(alpha=0.001),
    "outer rate a hundred times too large": Case(beta=0.1),
    "outer rate a hundred times too small": Case(beta=1e-5),
    "loss summed over the examples": Case(loss=summed),
    "one task per meta-step": Case(tasks=1),
    "four episodes, again and again": Case(tasks=4, distribution=FOUR),
    "create_graph forgotten": Case(metagradient=FirstOrder),
}


def measure(case: Case, seeds: int, iterations: int, device: torch.device) -> dict[str, list]:
    """The training loss of every seed, a mean over each few meta-steps, and the error on new waves after each step."""
    models = [Model(mlp(1, 40, 40, 1, seed=seed), case.loss).to(device) for seed in range(seeds)]
    solver, metagradient = GradientDescent(case.alpha, STEPS), case.metagradient()
    options = {"iterations": iterations, "tasks": case.tasks, "beta": lambda step: case.beta}
    losses = meta_train(models, solver, metagradient, case.distribution, **options)
    window = min(WINDOW, iterations)
    by_window = losses[:, : iterations // window * window].unflatten(1, (-1, window)).mean(2)
    errors = []
    for model in models:
        learner = maml(model, case.alpha, STEPS)
        curves = evaluate(learner, WAVES, tasks=TEST_TASKS, steps=TEST_STEPS, seed=1, metric=mse_loss)
        errors.append(digits(curves.mean(0)))
    return {"loss": [digits(row) for row in by_window], "error": errors}


def main(words: list[str] | None = None) -> None:
    parser = arguments("failures", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    options = parser.parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    cases = {
        name: measure(case, options.seeds, options.iterations, device)
        for name, case in tqdm(CASES.items(), unit="case")
    }
    result = {
        "cases": cases,
        "protocol": f"query loss in training, a mean over every {WINDOW} meta-steps; squared error after "
        f"0..{TEST_STEPS} steps on {TEST_TASKS} new waves, {STEPS} steps in training; per case and seed",
        "training": {"iterations": options.iterations, "steps": STEPS, "window": WINDOW},
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("failures", result, folder=options.results))


if __name__ == "__main__":
    main()
