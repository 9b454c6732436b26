"""MAML++ part by part: what each of its stabilisers does to meta-training with five inner steps.

    python -m experiments.stability

writes runs/sweep-stability.json.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments
from experiments.side_by_side import meta_train
from mamlbook import Exact, GradientDescent, Model, Sinusoids, evaluate, maml, mlp
from mamlbook.inner import DerivativeAnnealing, LearnedRates
from mamlbook.inner.transforms import Gradients, Place
from mamlbook.metagradient import MultiStepLoss
from mamlbook.pages import environment, record
from mamlbook.training import pick_device

ALPHA, STEPS, SHOTS, TASKS, BETA, LAST_BETA, ITERATIONS, SEEDS = 0.01, 5, 10, 25, 1e-3, 1e-5, 1_000, 5
TEST_TASKS, TEST_STEPS = 300, 20


class Parts(NamedTuple):
    """Which parts of MAML++ a meta-training has, and its inner rate."""

    multi_step: bool = False
    rates: bool = False
    first_order: bool = False
    cosine: bool = False
    alpha: float = ALPHA


SETTINGS = {
    "MAML": Parts(),
    "multi-step loss": Parts(multi_step=True),
    "learned rates": Parts(rates=True),
    "first order first": Parts(first_order=True),
    "cosine": Parts(cosine=True),
    "loss + rates": Parts(multi_step=True, rates=True),
    "loss + rates + order": Parts(multi_step=True, rates=True, first_order=True),
    "all four": Parts(multi_step=True, rates=True, first_order=True, cosine=True),
    "MAML, alpha 0.1": Parts(alpha=0.1),
    "all four, alpha 0.1": Parts(multi_step=True, rates=True, first_order=True, cosine=True, alpha=0.1),
}


class SideBySide(nn.Module):
    """The learned rates of several seeds, each for its own tasks of the batch."""

    def __init__(self, members: list[LearnedRates]):
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, gradients: Gradients, place: Place) -> Gradients:
        of_seeds = zip(*(g.chunk(len(self.members)) for g in gradients), strict=True)
        changed = [member(part, place) for member, part in zip(self.members, of_seeds, strict=True)]
        return [torch.cat(tensors) for tensors in zip(*changed, strict=True)]


def train(parts: Parts, seeds: int, iterations: int, device: torch.device) -> tuple[list, list[LearnedRates], Tensor]:
    """Meta-train all seeds side by side: their models, their rates, and the query loss of each step, (seeds, n)."""
    models = [Model(mlp(1, 40, 40, 1, seed=seed), mse_loss).to(device) for seed in range(seeds)]
    rates = [LearnedRates(model, "tensor", STEPS) for model in models] if parts.rates else []
    transforms = ([DerivativeAnnealing(iterations // 4)] if parts.first_order else []) + (
        [SideBySide(rates)] if rates else []
    )
    losses = meta_train(
        models,
        GradientDescent(parts.alpha, STEPS, *transforms),
        MultiStepLoss(anneal=max(1, iterations // 2)) if parts.multi_step else Exact(),
        Sinusoids(shots=SHOTS),
        iterations=iterations,
        tasks=TASKS,
        beta=cosine(iterations) if parts.cosine else lambda step: BETA,
        learned=rates,
    )
    return models, rates, losses


def cosine(iterations: int) -> Callable[[int], float]:
    """The outer rate from BETA down to LAST_BETA along half a cosine."""
    return lambda step: LAST_BETA + (BETA - LAST_BETA) * (1 + math.cos(math.pi * step / iterations)) / 2


def errors(parts: Parts, model: Model, rates: LearnedRates | None) -> list[float]:
    """Mean squared error after 0..20 steps on ten points of a wave, at 100 new points."""
    learner = maml(model, parts.alpha, STEPS, *([rates] if rates else []))
    waves = Sinusoids(shots=SHOTS, queries=100)
    return digits(evaluate(learner, waves, tasks=TEST_TASKS, steps=TEST_STEPS, seed=1).mean(0))


def digits(values: Tensor) -> list[float | None]:
    """Six digits of each number, None in the place of one that is not finite."""
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in values.tolist()]


def measure(parts: Parts, seeds: int, iterations: int, device: torch.device) -> dict[str, Any]:
    """The errors of every seed, the query loss by hundredths of the training, and the rates that were learned."""
    models, rates, losses = train(parts, seeds, iterations, device)
    curves = [errors(parts, *pair) for pair in zip(models, rates or [None] * seeds, strict=True)]
    window = max(1, iterations // 100)
    by_window = losses[:, : losses.shape[1] // window * window].unflatten(1, (-1, window)).mean(2)
    result = {
        "error": {str(seed): {"new": curve} for seed, curve in enumerate(curves)},
        "loss": [digits(row) for row in by_window],
    }
    if rates:  # (steps) for each tensor, of each seed
        result["rates"] = [[digits(t.detach().flatten()) for t in one.rates] for one in rates]
    return result


def main(words: list[str] | None = None) -> None:
    parser = arguments("stability", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    options = parser.parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    runs = {}
    for name in tqdm(options.settings, unit="setting"):
        runs[name] = measure(SETTINGS[name], options.seeds, options.iterations, device)
    result = {
        "runs": runs,
        "protocol": f"squared error after 0..{TEST_STEPS} steps on {SHOTS} points, at 100 new points of {TEST_TASKS} "
        "waves; per setting and seed; loss: mean query loss of each hundredth of the training; rates: the factor on "
        "alpha of each seed, tensor and step",
        "training": {
            "iterations": options.iterations,
            "tasks": TASKS,
            "beta": BETA,
            "alpha": ALPHA,
            "steps": STEPS,
            "first order": "in the first quarter",
            "multi-step loss": "annealed over the first half",
            "cosine": f"of beta, down to {LAST_BETA}",
        },
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("sweep-stability", result, folder=options.results))


if __name__ == "__main__":
    main()
