"""What keeps meta-training stable: the parts of MAML++ and clipping, each with rates of its own.

    python -m experiments.stability

writes runs/stability.json, one remedy at a time, and goes on where it stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from experiments import arguments, fit_replicas, one_by_one
from mamlbook import MetaLearner, Model, Sinusoids, evaluate, maml, mlp
from mamlbook.algorithms import annealed, maml_plus_plus, multi_step_loss
from mamlbook.inner import Clipped, LearnedRates
from mamlbook.pages import environment
from mamlbook.training import pick_device

STEPS, SHOTS, TASKS, ITERATIONS, SEEDS = 3, 10, 10, 300, 5
BETAS, ALPHAS, TOO_LARGE = (3e-3, 1e-2, 3e-2, 1e-1), (0.01, 0.03), 0.1
INNER_LIMIT, OUTER_LIMIT = 5.0, 1.0
TEST_TASKS, TEST_STEPS = 200, 12
VALIDATION, TEST = 11, 12  # seeds of the waves that rates are chosen on, and of those that are reported


class ClippedAdam(torch.optim.Adam):
    """Adam that follows no meta-gradient longer than a limit."""

    def step(self, closure=None):
        weights = [weight for group in self.param_groups for weight in group["params"]]
        nn.utils.clip_grad_norm_(weights, OUTER_LIMIT)
        return super().step(closure)


def learned_rates(model: Model, alpha: float | Tensor, steps: int, *transforms) -> MetaLearner:
    return maml(model, alpha, steps, *transforms, LearnedRates(model, "tensor", steps))


class Remedy(NamedTuple):
    """A learner for so many meta-steps, whether its outer rate falls along a cosine, and the outer optimizer."""

    build: Callable[[Model, Tensor, int], MetaLearner]
    cosine: bool = False
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam
    alphas: tuple[float, ...] = ALPHAS


def plain(model: Model, alpha: Tensor, iterations: int) -> MetaLearner:
    return maml(model, alpha, STEPS)


def with_loss(model: Model, alpha: Tensor, iterations: int) -> MetaLearner:
    return multi_step_loss(model, alpha, STEPS, anneal=max(1, iterations // 2))


def with_rates(model: Model, alpha: Tensor, iterations: int) -> MetaLearner:
    return learned_rates(model, alpha, STEPS)


def first_order_first(model: Model, alpha: Tensor, iterations: int) -> MetaLearner:
    return annealed(model, alpha, STEPS, after=iterations // 4)


def with_all(model: Model, alpha: Tensor, iterations: int) -> MetaLearner:
    return maml_plus_plus(model, alpha, STEPS, anneal=max(1, iterations // 2), after=iterations // 4)


def clipped_inside(model: Model, alpha: Tensor, iterations: int) -> MetaLearner:
    return maml(model, alpha, STEPS, Clipped(INNER_LIMIT))


REMEDIES = {
    "MAML": Remedy(plain),
    "multi-step loss": Remedy(with_loss),
    "learned rates": Remedy(with_rates),
    "first order first": Remedy(first_order_first),
    "cosine": Remedy(plain, cosine=True),
    "all four": Remedy(with_all, cosine=True),
}
REMEDIES |= {
    f"{name}, rate too large": remedy._replace(alphas=(TOO_LARGE,))
    for name, remedy in {
        "MAML": Remedy(plain),
        "learned rates": Remedy(with_rates),
        "all four": Remedy(with_all, cosine=True),
        "clipped inner gradients": Remedy(clipped_inside),
        "clipped meta-gradient": Remedy(plain, optimizer=ClippedAdam),
    }.items()
}


def cosine(beta: float, iterations: int, step: int) -> float:
    """The outer rate from beta down to a hundredth of it, along half a cosine."""
    return beta * (0.01 + 0.99 * (1 + math.cos(math.pi * step / iterations)) / 2)


def train(
    remedy: Remedy, runs: list[tuple[float, float, int]], iterations: int, device: torch.device
) -> list[MetaLearner | None]:
    """Meta-train from each (alpha, beta, seed) at once; None for a run that came to no end."""
    learners = []
    for alpha, _, seed in runs:
        # A rate that is a tensor may differ between learners that are trained side by side.
        rate = nn.Parameter(torch.tensor(alpha), requires_grad=False)
        learners.append(remedy.build(Model(mlp(1, 40, 40, 1, seed=seed), mse_loss), rate, iterations).to(device))
    betas = [partial(cosine, beta, iterations) if remedy.cosine else beta for _, beta, _ in runs]
    histories = fit_replicas(
        learners,
        Sinusoids(shots=SHOTS),
        steps=iterations,
        tasks=TASKS,
        beta=betas,
        seeds=[seed for *_, seed in runs],
        optimizer=remedy.optimizer,
        progress=False,
    )
    return [None if run.error else learner for learner, run in zip(learners, histories, strict=True)]


def judge(learner: MetaLearner | None, seed: int) -> list[float | None]:
    """Mean squared error after 0..20 steps, at 100 new points of each wave; None where it is not finite."""
    if learner is None:
        return [None] * (TEST_STEPS + 1)
    waves = Sinusoids(shots=SHOTS, queries=100)
    return digits(evaluate(learner, waves, tasks=TEST_TASKS, steps=TEST_STEPS, seed=seed, progress=False).mean(0))


def digits(values: Tensor) -> list[float | None]:
    """Six digits of each number, None in the place of one that is not finite."""
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in values.tolist()]


def unfit(curves: list[list[float | None]]) -> tuple[int, float]:
    """How many seeds have no finite error after as many steps as were trained, and the mean error of the others."""
    ends = [curve[STEPS] for curve in curves if curve[STEPS] is not None]
    return len(curves) - len(ends), sum(ends) / len(ends) if ends else math.inf


def measure(name: str, seeds: int, iterations: int, device: torch.device) -> dict[str, Any]:
    """Every pair of rates from every seed; the pair that validation waves choose is reported, on fresh waves."""
    remedy, begun = REMEDIES[name], time.process_time()
    pairs = [(alpha, beta) for alpha in remedy.alphas for beta in BETAS]
    runs = [(*pair, seed) for pair in pairs for seed in range(seeds)]
    ends = train(remedy, runs, iterations, device)
    learners = {pair: ends[place * seeds : (place + 1) * seeds] for place, pair in enumerate(pairs)}
    search = {pair: [judge(learner, VALIDATION) for learner in found] for pair, found in learners.items()}
    best = min(pairs, key=lambda pair: unfit(search[pair]))
    result: dict[str, Any] = {
        "alpha": best[0],
        "beta": best[1],
        "search": [{"alpha": alpha, "beta": beta, "new": search[alpha, beta]} for alpha, beta in pairs],
        "error": {str(seed): {"new": judge(learner, TEST)} for seed, learner in enumerate(learners[best])},
    }
    rates = [part.rates for learner in learners[best] if learner for part in learner.modules() if _learns(part)]
    if rates:  # (steps) for each tensor, of each seed
        result["rates"] = [[digits(t.detach().flatten()) for t in one] for one in rates]
    return result | {"seconds": round(time.process_time() - begun)}


def _learns(part: nn.Module) -> bool:
    return isinstance(part, LearnedRates)


def main(words: list[str] | None = None) -> None:
    parser = arguments("stability", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    parser.add_argument("--remedies", nargs="+", choices=list(REMEDIES), default=list(REMEDIES))
    options = parser.parse_args(words)
    device = pick_device(options.device)
    protocol = (
        f"squared error after 0..{TEST_STEPS} steps on {SHOTS} points, at 100 new points of "
        f"{TEST_TASKS} waves. Each remedy has the rates, inner and outer, with the fewest lost seeds, and then the "
        f"least mean error, after {STEPS} steps on validation waves; reported on fresh waves. search: all pairs of "
        "rates; rates: the factor on alpha of each seed, tensor and step; seconds: of one core"
    )
    training = {
        "iterations": options.iterations,
        "tasks": TASKS,
        "steps": STEPS,
        "first order": "in the first quarter",
        "multi-step loss": "annealed over the first half",
        "cosine": "of beta, down to a hundredth",
        "limits": {"inner gradient": INNER_LIMIT, "meta-gradient": OUTER_LIMIT},
    }
    path = one_by_one(
        "stability",
        options.results,
        REMEDIES,
        options.remedies,
        lambda name: measure(name, options.seeds, options.iterations, device),
        protocol=protocol,
        training=training,
        **environment(device),
    )
    print(path)


if __name__ == "__main__":
    main()
