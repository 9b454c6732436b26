"""Keep the starts of whole meta-trainings: what does a sine network's start have, and when, on the way through it?

    python -m experiments.through_training

writes runs/through-training-<method>.json for MAML and for joint training and, beside it, the starts of the first
seed in half precision, one after the other. A method whose result is there already is not trained again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from experiments import arguments, fit_replicas
from experiments.sweeps import numbers
from mamlbook import ALGORITHMS, GradientDescent, MetaLearner, Model, Params, Sinusoids, mlp
from mamlbook.analysis.diagnostics import agreement, hessian_product, task_gradients
from mamlbook.numerics import dot
from mamlbook.pages import environment, record
from mamlbook.stored import is_stored, load_theta
from mamlbook.tasks.base import Tasks
from mamlbook.training import pick_device

METHODS = ("maml", "joint")
ALPHA, TASKS, SHOTS = 0.01, 25, 10
ITERATIONS, SEEDS, STARTS = 2_000, 5, 44
BETAS = (1e-3, 3e-3, 1e-2, 3e-2)
TEST_STEPS, TEST_TASKS, TEST_POINTS = 10, 200, 50
# The outer rate is chosen on the waves of one seed, and the starts are measured on those of the other.
DRAWS = {"validation": 3, "test": 1}


class KeepingAdam(torch.optim.Adam):
    """Adam that keeps a copy of the weights after each of the steps ``at``; step 0 is before the first one."""

    def __init__(self, weights: Iterable[Tensor], *, lr: float, at: Sequence[int]):
        super().__init__(weights, lr=lr)
        self.at, self.taken = set(at), 0
        self.kept: list[Params] = []
        self._keep()

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        super().step(closure)
        self.taken += 1
        self._keep()

    def _keep(self) -> None:
        if self.taken in self.at:
            weights = (weight for group in self.param_groups for weight in group["params"])
            self.kept.append(tuple(weight.detach().clone() for weight in weights))


def spaced(iterations: int, starts: int) -> list[int]:
    """Meta-steps from 0 to the last, evenly by log(1 + step) as far as whole numbers allow."""
    ends = (math.expm1(math.log1p(iterations) * i / (starts - 1)) for i in range(starts))
    return sorted({round(end) for end in ends})


def untrained(method: str, seed: int) -> MetaLearner:
    return ALGORITHMS[method](Model(mlp(1, 40, 40, 1, seed=seed), mse_loss), alpha=ALPHA)


def test_waves(which: str, tasks: int) -> Tasks:
    draw = torch.Generator().manual_seed(DRAWS[which])
    return Sinusoids(shots=SHOTS, queries=TEST_POINTS).draw(tasks, draw)


def losses(model: Model, waves: Tasks) -> Tensor:
    """The mean query loss after 0, 1, ..., S inner steps: (S + 1,)."""
    support, query, _ = waves
    path = GradientDescent(ALPHA, TEST_STEPS).path(model, support, unroll=0)
    with torch.no_grad():
        return torch.stack([model.losses(model(at.phi, query.x), query.y).mean() for at in path])


def curvature(model: Model, waves: Tasks) -> Tensor:
    """alpha g^T H g / g^T g of the support loss at theta, the mean over waves."""
    g = task_gradients(model, waves.support)
    return ALPHA * (dot(g, hessian_product(model, waves.support, g)) / dot(g, g)).mean()


def measure(model: Model, waves: Tasks) -> dict[str, Any]:
    """Everything that is stored of one start."""
    gradients = (task_gradients(model, data) for data in (waves.support, waves.query))
    return {
        "loss": numbers(losses(model, waves)),
        "curvature": numbers(curvature(model, waves)[None])[0],
        "agreement": numbers(agreement(*gradients)[None])[0],
    }


def follow(
    method: str, wanted: Sequence[tuple[float, int]], at: Sequence[int], device: torch.device, execution: str
) -> list[list[Params]]:
    """The starts at the meta-steps ``at`` of a training for each (outer rate, seed); fewer where one was lost."""
    rules: list[KeepingAdam] = []

    def optimizer(weights: Iterable[Tensor], lr: float) -> KeepingAdam:
        rules.append(KeepingAdam(weights, lr=lr, at=at))
        return rules[-1]

    fit_replicas(
        [untrained(method, seed).to(device) for _, seed in wanted],
        Sinusoids(shots=SHOTS, queries=SHOTS),
        steps=max(at),
        tasks=TASKS,
        beta=[beta for beta, _ in wanted],
        seeds=[seed for _, seed in wanted],
        optimizer=optimizer,
        progress=False,
        execution=execution,
    )
    return [rule.kept for rule in rules]


def validated(model: Model, trainings: Sequence[list[Params]], at: Sequence[int], waves: Tasks) -> list[float | None]:
    """The query loss after one step at the end of each training; None for a training that was lost."""
    ends = [losses(_put(model, kept[-1]), waves)[1].item() if len(kept) == len(at) else math.nan for kept in trainings]
    return numbers(torch.tensor(ends))


def chosen(search: dict[str, list[float | None]]) -> str:
    """The outer rate with the least mean validation loss; a lost seed rules one out."""

    def mean(beta: str) -> float:
        ends = [end for end in search[beta] if end is not None]
        return sum(ends) / len(ends) if len(ends) == len(search[beta]) else math.inf

    return min(search, key=mean)


def collect(method: str, options, device: torch.device) -> tuple[dict[str, Any], Params]:
    """One method: its search, what its starts have at the chosen rate for every seed, and the first seed's starts."""
    started, at = time.perf_counter(), spaced(options.iterations, options.starts)
    wanted = [(beta, seed) for beta in options.betas for seed in range(options.seeds)]
    trainings = follow(method, wanted, at, device, options.execution)
    model = untrained(method, 0).model.to(device)
    validation, test = (test_waves(which, options.tasks).to(device) for which in DRAWS)
    ends = validated(model, trainings, at, validation)
    search = {f"{beta:g}": ends[i * options.seeds : (i + 1) * options.seeds] for i, beta in enumerate(options.betas)}
    beta = chosen(search)
    first = list(search).index(beta) * options.seeds
    own = trainings[first : first + options.seeds]
    rows = [[measure(_put(model, theta), test) for theta in kept] for kept in own]
    result = {
        "command": "python -m experiments.through_training",
        "at": at,
        "waves": options.tasks,
        "runs": {quantity: [[start[quantity] for start in row] for row in rows] for quantity in rows[0][0]},
        "beta": float(beta),
        "search": search,
        "seeds": list(range(options.seeds)),
        "protocol": f"starts after the meta-steps in at, on {options.tasks} waves of {SHOTS} support and {TEST_POINTS} "
        f"query points, a row for each seed: mean query loss after 0..{TEST_STEPS} inner steps (loss); alpha g'Hg/g'g "
        "of the support loss, mean over waves (curvature); agreement of the support and the query gradient "
        "(agreement). search: every outer rate, query loss after one step on as many other waves at the last "
        "meta-step, of every seed; the rate with the least mean is reported",
        "training": {
            "alpha": ALPHA,
            "iterations": options.iterations,
            "tasks": TASKS,
            "configuration": str(untrained(method, 0)),
            "rule": "Adam",
        },
        "weights": f"the starts of seed 0, {len(at)} one after the other, 6 tensors each",
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    return result, tuple(weight for theta in own[0] for weight in theta)


def main(words: list[str] | None = None) -> None:
    parser = arguments("through_training", __doc__, seeds=SEEDS, iterations=ITERATIONS, starts=STARTS, tasks=TEST_TASKS)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--betas", nargs="+", type=float, default=BETAS)
    parser.add_argument("--execution", choices=("eager", "compiled"), default="compiled")
    options = parser.parse_args(words)
    device = pick_device(options.device)
    for method in options.methods:
        name = f"through-training-{method}"
        if is_stored(name, folder=options.results):
            print(f"{name}: is there already")
            continue
        print(record(name, *collect(method, options, device), folder=options.results))


def _put(model: Model, theta: Params) -> Model:
    load_theta(model.net, theta)
    return model


if __name__ == "__main__":
    main()
