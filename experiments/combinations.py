"""Which of the inner gradients should move the start? Their sums compared, on fresh mini-batches and on repeated ones.

    python -m experiments.combinations

writes runs/sweep-combinations.json.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments
from mamlbook import Model, Params, Sinusoids, evaluate, maml, mlp
from mamlbook.pages import environment, load_theta, record
from mamlbook.tasks.base import Data
from mamlbook.training import pick_device

ALPHA, POINTS, TASKS, BETA, ITERATIONS, SEEDS = 0.01, 10, 25, 1e-3, 2_000, 5
TEST_TASKS, TEST_STEPS = 600, 10


class Combination(NamedTuple):
    """The numbers of the inner gradients whose mean moves theta, and whether every mini-batch is new."""

    gradients: tuple[int, ...]
    fresh: bool = True


COMBINATIONS = {
    "g1": Combination((1,)),  # joint training
    "g2": Combination((2,)),  # FOMAML with one step
    "g1+g2": Combination((1, 2)),  # Reptile with two
    "g3": Combination((3,)),
    "g1+g2+g3": Combination((1, 2, 3)),
    "g4": Combination((4,)),
    "g1+g2+g3+g4": Combination((1, 2, 3, 4)),
    "g2, same points": Combination((2,), fresh=False),
    "g4, same points": Combination((4,), fresh=False),
    "g1+g2+g3+g4, same points": Combination((1, 2, 3, 4), fresh=False),
}


def inner_gradients(model: Model, phi: Params, batches: list[Data], alpha: float) -> list[Params]:
    """g_i = grad L_i(phi_i) of every mini-batch in turn, with phi_{i+1} = phi_i - alpha g_i.

    Shapes: ``phi`` and each gradient are tuples of (B, \\*shape), each of the ``batches`` is (B, K, ...).
    """
    gradients = []
    for x, y in batches:
        phi = tuple(p.detach().requires_grad_() for p in phi)
        g = torch.autograd.grad(model.losses(model(phi, x), y).sum(), phi, materialize_grads=True)
        gradients.append(g)
        phi = tuple(p - alpha * dp for p, dp in zip(phi, g, strict=True))
    return gradients


def mini_batches(combination: Combination, generators: list[torch.Generator]) -> list[Data]:
    """As many mini-batches of ``POINTS`` points as the combination needs, of ``TASKS`` waves for each generator."""
    number = max(combination.gradients)
    drawn = [Sinusoids(shots=POINTS * number, queries=1).draw(TASKS, g).support for g in generators]
    x, y = (torch.cat(parts).unflatten(1, (number, POINTS)) for parts in zip(*drawn, strict=True))
    return [Data(x[:, i], y[:, i]) for i in (range(number) if combination.fresh else [0] * number)]


def train(combination: Combination, seeds: int, iterations: int, device: torch.device) -> list[Model]:
    """theta <- theta - beta (Adam) mean over tasks and over the chosen i of g_i, from all seeds side by side."""
    models = [Model(mlp(1, 40, 40, 1, seed=seed), mse_loss).to(device) for seed in range(seeds)]
    # One weight of all seeds is one tensor: Adam works entry by entry, so that no seed feels another.
    stacked = [torch.stack(weights).detach() for weights in zip(*(model.theta for model in models), strict=True)]
    optimizer = torch.optim.Adam(stacked, lr=BETA)
    generators = [torch.Generator().manual_seed(seed) for seed in range(seeds)]
    for _ in range(iterations):
        batches = [batch.to(device) for batch in mini_batches(combination, generators)]
        phi = tuple(weight.repeat_interleave(TASKS, 0) for weight in stacked)
        gradients = inner_gradients(models[0], phi, batches, ALPHA)
        chosen = [gradients[i - 1] for i in combination.gradients]
        for weight, parts in zip(stacked, zip(*chosen, strict=True), strict=True):
            weight.grad = torch.stack(parts).mean(0).unflatten(0, (seeds, TASKS)).mean(1)
        optimizer.step()
    return [
        Model(load_theta(model.net, theta), mse_loss)
        for model, theta in zip(models, zip(*stacked, strict=True), strict=True)
    ]


def errors(model: Model) -> Tensor:
    """Mean squared error after 0..10 steps on ten points of a wave, at 100 new points: (11,)."""
    learner, waves = maml(model, ALPHA), Sinusoids(shots=POINTS, queries=100)
    return evaluate(learner, waves, tasks=TEST_TASKS, steps=TEST_STEPS, seed=1).mean(0)


def main(words: list[str] | None = None) -> None:
    parser = arguments("combinations", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    options = parser.parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    runs: dict[str, dict[str, Any]] = {}
    for name, combination in tqdm(COMBINATIONS.items(), unit="combination"):
        models = train(combination, options.seeds, options.iterations, device)
        curves = [[float(f"{error:.6g}") for error in errors(model).tolist()] for model in models]
        runs[name] = {"error": {str(seed): {"new": curve} for seed, curve in enumerate(curves)}}
    result = {
        "runs": runs,
        "protocol": f"squared error after 0..{TEST_STEPS} steps with rate {ALPHA} on {POINTS} points, at 100 new "
        f"points of {TEST_TASKS} waves; per combination of inner gradients and seed",
        "training": {
            "iterations": options.iterations,
            "tasks": TASKS,
            "beta": BETA,
            "alpha": ALPHA,
            "points": POINTS,
        },
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("sweep-combinations", result, folder=options.results))


if __name__ == "__main__":
    main()
