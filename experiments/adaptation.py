"""Which weights adapt, and how fast: partial adaptation, learned rates and noise on several families of tasks.

    python -m experiments.adaptation

writes runs/sweep-adaptation.json. A run that is interrupted keeps what it has finished in
sweep-adaptation.partial.json, and the same command goes on from there.
"""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

import torch
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments, fit
from experiments.sweeps import numbers
from mamlbook import Model, Sinusoids, evaluate
from mamlbook.algorithms import ALGORITHMS
from mamlbook.analysis.pattern_search import candidates
from mamlbook.analysis.pattern_search import measure as adapt_by
from mamlbook.analysis.similarity import change, linear_cka, mean_cca
from mamlbook.inner import LearnedRates
from mamlbook.learner import MetaLearner
from mamlbook.pages import environment, record
from mamlbook.tasks.distribution import FixedTasks, TaskDistribution
from mamlbook.tasks.features import OwnFeatures, SharedFeatures
from mamlbook.training import pick_device

ITERATIONS, SEEDS, TASKS, FEW = 1_000, 5, 25, 10
TEST_TASKS, TEST_STEPS = 300, 20
COMPARED_TASKS, COMPARED_POINTS, COMPARED_STEPS = 50, 400, 5

TRAIN = {
    "waves": Sinusoids(),
    "few waves": FixedTasks(Sinusoids().draw(FEW, torch.Generator().manual_seed(100))),
    "shared": SharedFeatures(),
    "own": OwnFeatures(),
}
TEST = {
    "waves": Sinusoids(queries=100),
    "few waves": Sinusoids(queries=100),
    "shared": SharedFeatures(queries=100),
    "own": OwnFeatures(queries=100),
}
INPUTS = {"waves": 1, "few waves": 1, "shared": 3, "own": 3}
LAYERS = ("activation1", "activation2", "head")
QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


class Run(NamedTuple):
    """A row of the table with its options, on a family of tasks, trained for a share of the meta-steps."""

    row: str
    family: str
    options: dict[str, Any]
    share: float = 1.0

    def learner(self, seed: int) -> MetaLearner:
        row = ALGORITHMS[self.row]
        return row(Model(row.network(INPUTS[self.family], 40, 40, 1, seed=seed), mse_loss), **self.options)


ONE, THREE = {"alpha": 0.01, "steps": 1}, {"alpha": 0.03, "steps": 3}
RUNS = {
    # One step in training and twenty in testing.
    "waves, maml": Run("maml", "waves", ONE),
    "waves, anil": Run("anil", "waves", ONE),
    "waves, boil": Run("boil", "waves", ONE),
    "waves, cavia": Run("cavia", "waves", {}),
    "waves, meta-sgd": Run("meta-sgd", "waves", ONE),
    "waves, lslr": Run("lslr", "waves", {"alpha": 0.01, "steps": 3}),
    # The same features for all tasks, or each its own.
    **{
        f"{family}, {row}": Run(row, family, THREE, share=0.6)
        for family in ("shared", "own")
        for row in ("maml", "anil", "boil")
    },
    # Ten waves that come back, or an unlimited number.
    "few waves, maml": Run("maml", "few waves", ONE),
    **{
        f"{family}, dropgrad {p:g}": Run("dropgrad", family, {**ONE, "p": p})
        for family in ("few waves", "waves")
        for p in (0.1, 0.3)
    },
    # What only shows later: the head's curvature grows.
    "waves, anil longer": Run("anil", "waves", ONE, share=2.5),
}


def compared(learner: MetaLearner, distribution: TaskDistribution) -> dict[str, Any]:
    """How much alike each layer's activations are before and after adaptation, on many points: means over tasks."""
    tasks = distribution.draw(COMPARED_TASKS, torch.Generator().manual_seed(3)).like(learner.model.theta[0])
    found = {}
    for name, measured in (("cka", linear_cka), ("cca", mean_cca)):
        alike = change(learner, tasks, measured, COMPARED_STEPS)
        found[name] = {layer: numbers(alike[layer].mean()[None])[0] for layer in LAYERS}
    return found


def measure(learner: MetaLearner, run: Run) -> dict[str, Any]:
    """Everything that is stored of one trained learner."""
    test = TEST[run.family]
    errors = evaluate(learner, test, tasks=TEST_TASKS, steps=TEST_STEPS, seed=1)
    found = {"new": numbers(errors.mean(0)), "new_median": numbers(errors.median(0).values)}
    if run.family == "few waves":
        found["seen"] = numbers(evaluate(learner, TRAIN[run.family], tasks=FEW, steps=TEST_STEPS).mean(0))
    if run.row == "maml":
        tasks = test.draw(TEST_TASKS, torch.Generator().manual_seed(4)).like(learner.model.theta[0])
        found["layers"] = {row: adapt_by(learner, (row,), tasks).loss for (row,) in candidates(learner.model, 1)}
    if run.row in ("maml", "anil", "boil"):
        found |= compared(learner, test.__class__(queries=COMPARED_POINTS))
    for rates in [part for part in learner.solver.transforms if isinstance(part, LearnedRates)]:
        found["rates"] = [numbers(rate.detach().flatten(1).mean(1)) for rate in rates.rates]
        everything = torch.cat([rate.detach().flatten() for rate in rates.rates])
        found["quantiles"] = numbers(everything.quantile(torch.tensor(QUANTILES)))
    return found


def train(name: str, seed: int, iterations: int, device: torch.device) -> dict[str, Any]:
    """Meta-train one run from one seed, and measure it."""
    run = RUNS[name]
    torch.manual_seed(seed)
    learner = run.learner(seed)
    steps = max(1, round(run.share * iterations))
    fit(learner, TRAIN[run.family], steps=steps, tasks=TASKS, seed=seed, device=device, progress=False)
    return measure(learner, run)


def main(words: list[str] | None = None) -> None:
    options = arguments("adaptation", __doc__, seeds=SEEDS, iterations=ITERATIONS).parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    partial = options.results / "sweep-adaptation.partial.json"
    done = json.loads(partial.read_text()) if partial.is_file() else {}
    for name, seed in tqdm([(name, seed) for seed in range(options.seeds) for name in RUNS], unit="run"):
        key = f"{name}, seed {seed}, {options.iterations} meta-steps"
        if key not in done:
            done[key] = train(name, seed, options.iterations, device)
            record(partial.stem, done, folder=options.results)
    runs = {
        name: {
            "configuration": str(RUNS[name].learner(0)),
            "error": {
                str(seed): done[f"{name}, seed {seed}, {options.iterations} meta-steps"]
                for seed in range(options.seeds)
            },
        }
        for name in RUNS
    }
    result = {
        "runs": runs,
        "protocol": f"per seed. new, new_median: squared error after 0..{TEST_STEPS} steps on 100 new points of "
        f"{TEST_TASKS} new tasks, seen: on the query points of the {FEW} waves of training; cka, cca: linear CKA and "
        f"mean CCA of each layer's activations before and after {COMPARED_STEPS} steps, on {COMPARED_POINTS} points "
        f"of {COMPARED_TASKS} new tasks, mean over tasks; layers: mean error after the "
        f"steps of training in which only the layers of a mask adapt; rates: mean learned factor of each "
        f"tensor at each step; quantiles: of all factors, at {QUANTILES}",
        "training": {
            "iterations": options.iterations,
            "tasks": TASKS,
            "few": FEW,
            "beta": 1e-3,
            "share": {k: r.share for k, r in RUNS.items()},
        },
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("sweep-adaptation", result, folder=options.results))
    partial.unlink()


if __name__ == "__main__":
    main()
