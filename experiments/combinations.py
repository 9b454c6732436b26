"""Which of the inner gradients should move the start? Their sums compared, each with a searched outer rate.

    python -m experiments.combinations

writes runs/combinations.json, one combination at a time, and goes on where it stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments
from experiments.side_by_side import OwnRates, draw
from experiments.sweeps import numbers
from mamlbook import Model, Params, Sinusoids, evaluate, maml, mlp
from mamlbook.pages import environment, recall, record
from mamlbook.tasks.base import Data
from mamlbook.training import pick_device

ALPHA, POINTS, TASKS, META_STEPS, SEEDS, SEARCH_SEED = 0.01, 10, 25, 300, 5, 100
BETAS = (3e-3, 1e-2, 3e-2)
TEST_STEPS = 10
VALIDATION, TEST = (11, 200), (12, 400)  # the seed of the waves, and how many

PROTOCOL = (
    f"curves: squared error after 0..{TEST_STEPS} steps with rate {ALPHA} on {POINTS} points, at 20 new points of "
    f"{TEST[1]} waves; a row for each seed, after {META_STEPS} meta-steps of {TASKS} waves. search: for each outer "
    f"rate (Adam) the error after {TEST_STEPS} steps on {VALIDATION[1]} other waves, from one seed; beta: the best. "
    "None: nan"
)


class Combination(NamedTuple):
    """The numbers, from 0, of the inner gradients whose mean moves theta, and whether every mini-batch is new."""

    gradients: tuple[int, ...]
    fresh: bool = True


COMBINATIONS = {
    "g0": Combination((0,)),  # joint training
    "g1": Combination((1,)),  # FOMAML with one step
    "g0+g1": Combination((0, 1)),  # Reptile with two
    "g3": Combination((3,)),  # FOMAML with three
    "g0+g1+g2+g3": Combination((0, 1, 2, 3)),  # Reptile with four
    "g1, same points": Combination((1,), fresh=False),
    "g0+g1+g2+g3, same points": Combination((0, 1, 2, 3), fresh=False),
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


def mini_batches(combination: Combination, generators: Sequence[torch.Generator]) -> list[Data]:
    """As many mini-batches of ``POINTS`` points as the combination needs, of ``TASKS`` waves for each generator."""
    number = max(combination.gradients) + 1
    x, y = draw(Sinusoids(shots=POINTS * number, queries=1), TASKS, generators).support
    x, y = (part.unflatten(1, (number, POINTS)) for part in (x, y))
    return [Data(x[:, i], y[:, i]) for i in (range(number) if combination.fresh else [0] * number)]


def train(
    combination: Combination, betas: Sequence[float], seeds: Sequence[int], meta_steps: int, device: torch.device
) -> list[Model]:
    """theta <- theta - beta Adam(mean over tasks and over the chosen i of g_i), for each rate and seed side by side."""
    models = [Model(mlp(1, 40, 40, 1, seed=seed), mse_loss).to(device) for seed in seeds]
    outer, generators = OwnRates(models, betas, TASKS), [torch.Generator().manual_seed(seed) for seed in seeds]
    for _ in range(meta_steps):
        batches = [batch.to(device) for batch in mini_batches(combination, generators)]
        gradients = inner_gradients(models[0], outer.start(), batches, ALPHA)
        chosen = [gradients[i] for i in combination.gradients]
        outer.step(tuple(torch.stack(parts).mean(0) for parts in zip(*chosen, strict=True)))
    return models


def errors(model: Model, waves: tuple[int, int]) -> list[float | None]:
    """Mean squared error after 0..10 steps on ten points of a wave, at 20 new points."""
    seed, tasks = waves
    options = {"tasks": tasks, "chunk": tasks, "steps": TEST_STEPS, "seed": seed, "progress": False}
    return numbers(evaluate(maml(model, ALPHA), Sinusoids(shots=POINTS, queries=20), **options).mean(0))


def compete(combination: Combination, seeds: int, meta_steps: int, device: torch.device) -> dict:
    """Search the outer rate, then train from fresh seeds."""
    tried = train(combination, BETAS, [SEARCH_SEED] * len(BETAS), meta_steps, device)
    found = [errors(model, VALIDATION)[TEST_STEPS] for model in tried]
    known = [math.inf if value is None else value for value in found]
    beta = BETAS[known.index(min(known))]
    models = train(combination, [beta] * seeds, range(seeds), meta_steps, device)
    search = {f"{rate:g}": value for rate, value in zip(BETAS, found, strict=True)}
    return {"beta": beta, "search": search, "curves": [errors(model, TEST) for model in models]}


def main(words: list[str] | None = None) -> None:
    parser = arguments("combinations", __doc__, seeds=SEEDS, meta_steps=META_STEPS)
    options = parser.parse_args(words)
    device, path, begun = pick_device(options.device), options.results / "combinations.json", time.perf_counter()
    stored = recall("combinations", folder=options.results) if path.is_file() else {"combinations": {}, "seconds": 0}
    spent = stored["seconds"]
    for name, combination in tqdm(COMBINATIONS.items(), unit="combination"):
        if name not in stored["combinations"]:
            stored["combinations"][name] = compete(combination, options.seeds, options.meta_steps, device)
            stored |= {"protocol": PROTOCOL, "seconds": round(spent + time.perf_counter() - begun)}
            record("combinations", stored | environment(device), folder=options.results)
    print(path)


if __name__ == "__main__":
    main()
