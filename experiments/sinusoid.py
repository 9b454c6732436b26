"""Meta-train sine networks from several seeds: the curves and the weights that the pages load.

    python -m experiments.sinusoid

writes runs/sinusoid-<run>.json for every run of the table below and, beside it, the weights of seed 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from experiments import arguments, fit
from mamlbook import Sinusoids, confidence, evaluate
from mamlbook.learner import MetaLearner
from mamlbook.model_zoo import composed
from mamlbook.numerics import Params
from mamlbook.stored import environment, record
from mamlbook.tasks.distribution import SupportAsQuery, TaskDistribution
from mamlbook.training import pick_device

ALPHA, STEPS = 0.01, 10
TASKS, BETA = 25, 0.001


class Run(NamedTuple):
    """One meta-training: the row of the table and its steps, on which tasks, for how long."""

    algorithm: str
    inner: int
    train: TaskDistribution
    shots: int
    iterations: int


RUNS = {
    # What no training at all gives.
    "random": Run("maml", 1, Sinusoids(shots=10, queries=10), 10, 0),
    # Does it matter where adaptation begins? The paper's protocol, with 10,000 instead of 70,000 meta-steps.
    "maml": Run("maml", 1, Sinusoids(shots=10, queries=10), 10, 10_000),
    "joint": Run("joint", 0, Sinusoids(shots=10, queries=10), 10, 10_000),
    # Does it matter on which points the adapted network is judged? Three steps on five points.
    "new-points": Run("maml", 3, Sinusoids(shots=5, queries=5), 5, 4_000),
    "same-points": Run("maml", 3, SupportAsQuery(Sinusoids(shots=5, queries=5)), 5, 4_000),
}


def settings(run: Run) -> dict[str, Any]:
    """What the learner of a run is composed of."""
    network = {"name": "mlp", "sizes": [1, 40, 40, 1]}
    return {"network": network, "algorithm": run.algorithm, "alpha": ALPHA, "steps": run.inner}


def curves(learner: MetaLearner, shots: int) -> dict[str, list[float]]:
    """Mean squared error after 0..10 steps on 600 tasks: on 100 new points of the wave, and on the support points."""
    waves = Sinusoids(shots=shots, queries=100)
    measured = {}
    for name, distribution in (("new", waves), ("support", SupportAsQuery(waves))):
        mean, half = confidence(evaluate(learner, distribution, tasks=600, steps=STEPS, seed=1))
        measured[name] = [round(v, 5) for v in mean.tolist()]
        measured[f"{name}_half"] = [round(v, 5) for v in half.tolist()]
    return measured


def train(name: str, seeds: int, device: torch.device) -> tuple[dict[str, Any], Params]:
    """Meta-train one run of the table from every seed; its result, and the weights of seed 0."""
    run, errors, seconds = RUNS[name], {}, 0.0
    for seed in range(seeds):
        learner = composed(settings(run), seed=seed)
        options = {"steps": run.iterations, "tasks": TASKS, "beta": BETA, "seed": seed, "device": device}
        if run.iterations:
            seconds += fit(learner, run.train, progress=True, **options).seconds
        # What is stored is what is measured: the weights in half precision.
        with torch.no_grad():
            for weight in learner.model.theta:
                weight.copy_(weight.half())
        errors[str(seed)] = curves(learner, run.shots)
        if seed == 0:
            theta = tuple(t.detach().clone() for t in learner.model.theta)
    result = {
        "error": errors,
        "command": f"python -m experiments.sinusoid --runs {name}",
        "learner": settings(run),
        "protocol": f"mean squared error after 0..{STEPS} steps with rate {ALPHA} on {run.shots} support points; "
        "600 tasks, mean and half-width of its 95 % interval; per seed",
        "training": {
            "iterations": run.iterations,
            "tasks": TASKS,
            "beta": BETA,
            "distribution": repr(run.train),
            "configuration": str(learner),
        },
        "seconds": round(seconds),
        **environment(device),
    }
    return result, theta


def main(words: list[str] | None = None) -> None:
    parser = arguments("sinusoid", __doc__, seeds=5)
    parser.add_argument("--runs", nargs="+", choices=sorted(RUNS), default=list(RUNS))
    options = parser.parse_args(words)
    device = pick_device(options.device)
    for name in options.runs:
        result, theta = train(name, options.seeds, device)
        print(record(f"sinusoid-{name}", result, theta, folder=options.results))


if __name__ == "__main__":
    main()
