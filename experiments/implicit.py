"""One inner loop, seven ways to differentiate it: what does a meta-gradient's error do to the start that is learned?

    python -m experiments.implicit

writes runs/sweep-implicit.json.
"""

from __future__ import annotations

import math
import time
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments
from mamlbook import Exact, FirstOrder, GradientDescent, MetaLearner, Model, Sinusoids, evaluate, mlp
from mamlbook.analysis.diagnostics import largest_curvature
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient import Implicit, MetaGradient, Truncated
from mamlbook.pages import environment, load_theta, record
from mamlbook.tasks.base import Tasks
from mamlbook.training import pick_device

ALPHA, STEPS, LAM, PRODUCTS = 0.01, 16, 5.0, 5
POINTS, TASKS, BETA, ITERATIONS, SEEDS = 10, 25, 1e-3, 400, 5
TEST_TASKS, TEST_STEPS, CURVATURE_TASKS = 600, 32, 50


class Reading(NamedTuple):
    """How the inner loop is differentiated in training, and its rate there and in the test."""

    metagradient: MetaGradient
    alpha: float = ALPHA

    def solver(self) -> GradientDescent:
        return GradientDescent(self.alpha, STEPS, lam=LAM)


READINGS = {
    "exact": Reading(Exact()),
    "conjugate gradients": Reading(Implicit(PRODUCTS)),
    "Neumann": Reading(Implicit(PRODUCTS - 1, "neumann")),  # as many terms as truncation has steps
    "truncated": Reading(Truncated(PRODUCTS)),
    "first order": Reading(FirstOrder()),
    "conjugate gradients, damped": Reading(Implicit(PRODUCTS, damping=1.0)),
    "conjugate gradients, twice the rate": Reading(Implicit(PRODUCTS), alpha=2 * ALPHA),
}


def draw(generators: list[torch.Generator], device: torch.device) -> Tasks:
    """As many fresh waves for each generator as a meta-batch has, one seed's after the other's."""
    drawn = [Sinusoids(shots=POINTS).draw(TASKS, generator) for generator in generators]
    support, query, index = zip(*drawn, strict=True)
    together = [type(data[0])(*(torch.cat(parts) for parts in zip(*data, strict=True))) for data in (support, query)]
    return Tasks(*together, torch.cat(index)).to(device)


def train(reading: Reading, seeds: int, iterations: int, device: torch.device) -> list[Model]:
    """Meta-train with Adam from all seeds side by side."""
    models = [Model(mlp(1, 40, 40, 1, seed=seed), mse_loss).to(device) for seed in range(seeds)]
    # One weight of all seeds is one tensor: Adam works entry by entry, so that no seed feels another.
    stacked = [torch.stack(weights).detach() for weights in zip(*(model.theta for model in models), strict=True)]
    optimizer = torch.optim.Adam(stacked, lr=BETA)
    generators = [torch.Generator().manual_seed(seed) for seed in range(seeds)]
    for _ in range(iterations):
        theta = tuple(weight.repeat_interleave(TASKS, 0).requires_grad_() for weight in stacked)
        batch = MetaBatch(models[0], reading.solver(), draw(generators, device), theta)
        gradients = torch.autograd.grad(reading.metagradient(batch).sum(), theta, materialize_grads=True)
        for weight, gradient in zip(stacked, gradients, strict=True):
            weight.grad = gradient.unflatten(0, (seeds, TASKS)).mean(1)
        optimizer.step()
    return [
        Model(load_theta(model.net, theta), mse_loss)
        for model, theta in zip(models, zip(*stacked, strict=True), strict=True)
    ]


def errors(model: Model, solver: GradientDescent) -> Tensor:
    """Mean squared error after 0..32 pulled steps on ten points of a wave, at 100 new points: (33,)."""
    learner, waves = MetaLearner(model, solver), Sinusoids(shots=POINTS, queries=100)
    return evaluate(learner, waves, tasks=TEST_TASKS, steps=TEST_STEPS, seed=1).mean(0)


def curvature(model: Model) -> Tensor:
    """The largest curvature of a wave's support loss at theta, the mean over fifty: a scalar."""
    tasks = Sinusoids(shots=POINTS).draw(CURVATURE_TASKS, torch.Generator().manual_seed(2))
    return largest_curvature(model, tasks.like(model.theta[0]).support).mean()


def numbers(values: Tensor) -> list[float | None]:
    """What JSON can hold: six digits, and None for what is no number any more."""
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in values.tolist()]


def main(words: list[str] | None = None) -> None:
    parser = arguments("implicit", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    options = parser.parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    runs: dict[str, dict[str, Any]] = {}
    for name, reading in tqdm(READINGS.items(), unit="reading"):
        models = train(reading, options.seeds, options.iterations, device)
        curvatures = numbers(torch.stack([curvature(model) for model in models]))
        found = [numbers(errors(model, reading.solver())) for model in models]
        rows = [{"new": error, "curvature": h} for error, h in zip(found, curvatures, strict=True)]
        runs[name] = {"alpha": reading.alpha, "error": {str(seed): row for seed, row in enumerate(rows)}}
    result = {
        "runs": runs,
        "protocol": f"squared error after 0..{TEST_STEPS} steps with the rate of training and pull {LAM} on {POINTS} "
        f"points, at 100 new points of {TEST_TASKS} waves; mean largest eigenvalue of the support Hessian of "
        f"{CURVATURE_TASKS} waves; per reading and seed",
        "training": {
            "iterations": options.iterations,
            "tasks": TASKS,
            "beta": BETA,
            "steps": STEPS,
            "lam": LAM,
            "points": POINTS,
            "products": PRODUCTS,
        },
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("sweep-implicit", result, folder=options.results))


if __name__ == "__main__":
    main()
