"""Compare inner loops where each has searched rates: numbers of steps at equal arithmetic, and inner rules.

    python -m experiments.inner_loops --parts steps rules

writes runs/inner-loops-<part>.json. An interrupted run keeps what it has finished in
inner-loops-<part>.partial.json, and the same command goes on from there.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments, fit_replicas
from experiments.sweeps import MOMENTUM, numbers
from mamlbook import GradientDescent, MetaLearner, Model, Sinusoids, evaluate, maml, mlp
from mamlbook.pages import environment, record
from mamlbook.training import History, pick_device

# The meta-steps of the longest inner loop of a part; a shorter one takes as many, and as many more as cost the same.
ITERATIONS, SEEDS, TASKS = 300, 5, 25
BETAS = (3e-3, 1e-2, 3e-2, 1e-1)
TEST_STEPS, TEST_TASKS, TEST_POINTS = 10, 200, 50
# Rates are chosen on the waves of one seed, and errors reported on those of the other.
DRAWS = {"validation": 3, "test": 1}


class Inner(NamedTuple):
    """One inner loop, with what it is called in the results."""

    name: str
    alpha: float
    steps: int
    rule: Any = torch.optim.SGD

    def learner(self, seed: int) -> MetaLearner:
        learner = maml(Model(mlp(1, 40, 40, 1, seed=seed), mse_loss), alpha=self.alpha, steps=self.steps)
        learner.solver = GradientDescent(self.alpha, self.steps, rule=self.rule)
        return learner


PARTS = {
    "steps": [Inner(f"{steps}", 0.01, steps) for steps in (1, 3, 10)],
    "rules": [
        *(Inner("SGD", alpha, 3) for alpha in (0.003, 0.01, 0.03)),
        *(Inner("momentum", alpha, 3, MOMENTUM) for alpha in (0.001, 0.003, 0.01)),
        *(Inner("Adam", alpha, 3, torch.optim.Adam) for alpha in (0.003, 0.01, 0.03)),
    ],
}


def budgets(part: str, steps: int, iterations: int) -> dict[str, int]:
    """The meta-steps of an inner loop of S steps: as many as the longest of its part, and as many as cost the same.

    A meta-gradient costs 3 S + 1 gradients: S for the steps, one at their end, and two for going back through each.
    """
    longest = max(inner.steps for inner in PARTS[part])
    return {"meta-steps": iterations, "arithmetic": round(iterations * (3 * longest + 1) / (3 * steps + 1))}


def measure(learner: MetaLearner) -> dict[str, list[float | None]]:
    """Mean errors after 0..10 steps on the waves that choose the rates and on those that are reported."""
    waves, options = Sinusoids(queries=TEST_POINTS), {"tasks": TEST_TASKS, "chunk": TEST_TASKS, "progress": False}
    return {
        name: numbers(evaluate(learner, waves, steps=TEST_STEPS, seed=seed, **options).mean(0))
        for name, seed in DRAWS.items()
    }


def train(
    inner: Inner, meta_steps: dict[str, int], betas: Sequence[float], seeds: int, device: torch.device
) -> dict[str, Any]:
    """Every outer rate from every seed at once: budget to outer rate to the measurements of all seeds."""
    wanted = [(beta, seed) for beta in betas for seed in range(seeds)]
    learners = [inner.learner(seed).to(device) for _, seed in wanted]
    # A learner that is lost drops out; those that are left go on from their histories.
    alive: dict[int, History | None] = dict.fromkeys(range(len(wanted)))
    lost, taken, ends, found = dict.fromkeys(DRAWS, [None] * (TEST_STEPS + 1)), 0, [], {}
    for budget, steps in meta_steps.items():
        if alive and steps > taken:
            histories = fit_replicas(
                [learners[i] for i in alive],
                Sinusoids(),
                steps=steps - taken,
                tasks=TASKS,
                beta=[wanted[i][0] for i in alive],
                seeds=[wanted[i][1] for i in alive],
                after=list(alive.values()) if taken else None,
                progress=False,
            )
            alive = {i: history for i, history in zip(alive, histories, strict=True) if history.error is None}
        if steps > taken:
            ends = [measure(learner) if i in alive else lost for i, learner in enumerate(learners)]
            taken = steps
        rows = {f"{beta:g}": ends[i * seeds : (i + 1) * seeds] for i, beta in enumerate(betas)}
        found[budget] = {beta: {name: [end[name] for end in row] for name in DRAWS} for beta, row in rows.items()}
    return found


def choose(found: dict[str, Any]) -> tuple[str, str]:
    """The inner and the outer rate with the least mean validation error after ten steps; a lost seed rules one out."""

    def validation(rates: tuple[str, str]) -> float:
        ends = [curve[TEST_STEPS] for curve in found[rates[0]][rates[1]]["validation"]]
        return math.inf if None in ends else sum(ends) / len(ends)

    return min(((alpha, beta) for alpha in found for beta in found[alpha]), key=validation)


def compare(part: str, done: dict[str, Any]) -> dict[str, Any]:
    """Contender to budget to its rates and the errors that are reported there: a row for each seed."""
    compared: dict[str, Any] = {}
    for name in dict.fromkeys(inner.name for inner in PARTS[part]):
        of_name = {f"{inner.alpha:g}": done[_key(inner)] for inner in PARTS[part] if inner.name == name}
        for budget in budgets(part, 1, 1):
            alpha, beta = choose({rate: found[budget] for rate, found in of_name.items()})
            rows = of_name[alpha][budget][beta]["test"]
            compared.setdefault(name, {})[budget] = {"alpha": alpha, "beta": beta, "new": rows}
    return compared


def main(words: list[str] | None = None) -> None:
    parser = arguments("inner_loops", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--betas", nargs="+", type=float, default=BETAS)
    options = parser.parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    asked = f"{options.betas}, {options.seeds} seeds, {options.iterations} meta-steps"
    for part in options.parts:
        partial = options.results / f"inner-loops-{part}.partial.json"
        kept = json.loads(partial.read_text()) if partial.is_file() else {}
        for inner in tqdm(PARTS[part], part, unit="inner loop"):
            if f"{_key(inner)}, {asked}" not in kept:
                meta_steps = budgets(part, inner.steps, options.iterations)
                kept[f"{_key(inner)}, {asked}"] = train(inner, meta_steps, options.betas, options.seeds, device)
                record(partial.stem, kept, folder=options.results)
        done = {_key(inner): kept[f"{_key(inner)}, {asked}"] for inner in PARTS[part]}
        result = {
            "compared": compare(part, done),
            "runs": done,
            "protocol": f"mean squared error after 0..{TEST_STEPS} steps on {TEST_POINTS} new points of {TEST_TASKS} "
            f"waves, a row for each seed; rates chosen by the mean over seeds after {TEST_STEPS} steps on as many "
            f"other waves. meta-steps: {options.iterations} for all; arithmetic: as many gradients as those of the "
            "longest inner loop, at 3 S + 1 each. runs: every inner loop at every outer rate",
            "training": {
                "iterations": options.iterations,
                "seeds": options.seeds,
                "betas": [f"{beta:g}" for beta in options.betas],
                "tasks": TASKS,
                "configuration": {_key(inner): str(inner.learner(0)) for inner in PARTS[part]},
            },
            "seconds": round(time.perf_counter() - started),
            **environment(device),
        }
        print(record(f"inner-loops-{part}", result, folder=options.results))
        partial.unlink()


def _key(inner: Inner) -> str:
    return f"{inner.name}, alpha {inner.alpha:g}"


if __name__ == "__main__":
    main()
