"""The task-diversity dial: from one sine wave to all of them to three families, and who wins where.

    python -m experiments.diversity

writes runs/diversity.json.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments, fit
from experiments.sweeps import numbers
from mamlbook import ALGORITHMS, GradientDescent, MetaLearner, Model, Sinusoids, confidence, evaluate, mlp
from mamlbook.pages import environment, record
from mamlbook.tasks import Lines, Mixture, SquareWaves, TaskDistribution
from mamlbook.training import pick_device

ITERATIONS, SEEDS = 2_000, 5
ALPHA, BETA, TASKS, SHOTS = 0.01, 1e-3, 25, 10
TEST_STEPS, TEST_TASKS, TEST_POINTS = 20, 600, 100
RATES = (0.001, 0.003, 0.01, 0.03, 0.1)
CHOICE_TASKS, CHOICE_STEPS = 200, 10
LONG_STEPS, LONG_TASKS, LONG_SHOTS = (0, 1, 3, 10, 30, 100, 300, 1000), 200, (10, 100)

FAMILIES = {"waves": Sinusoids, "lines": Lines, "squares": SquareWaves}
ROLES = ("joint", "maml", "fomaml", "reptile", "scratch")


class Position(NamedTuple):
    """A place on the dial: up to 1 the width of the band of waves, above it 1 plus the share of other families."""

    position: float
    label: str

    def tasks(self, **options: Any) -> TaskDistribution:
        """The distribution at this place; ``options`` are shots, queries or domain."""
        width, others = min(self.position, 1.0), max(self.position - 1, 0.0)
        waves = Sinusoids(**options)
        waves = replace(waves, amplitude=shrunk(waves.amplitude, width), phase=shrunk(waves.phase, width))
        if not others:
            return waves
        return Mixture([waves, Lines(**options), SquareWaves(**options)], [1 - others, others / 2, others / 2])


DIAL = (
    Position(0.0, "one wave"),
    Position(0.1, "waves within 10 % of the range"),
    Position(0.3, "waves within 30 %"),
    Position(0.6, "waves within 60 %"),
    Position(1.0, "all waves"),
    Position(1.5, "half waves, half lines and square waves"),
)
ALL_WAVES, MIXTURE = DIAL[4], DIAL[5]


def shrunk(interval: tuple[float, float], width: float) -> tuple[float, float]:
    """The interval shrunk round its centre: 1 leaves it alone, 0 leaves the centre."""
    low, high = interval
    centre = (low + high) / 2
    return tuple(width * end + (1 - width) * centre for end in interval)


def spread(position: Position, grid: int = 101, tasks: int = 4000) -> tuple[float, float]:
    """How much the tasks have in common: the mean over x of E[y^2], and of Var[y], the error of the best one curve."""
    generator, power, variance = torch.Generator().manual_seed(5), 0.0, 0.0
    for x in torch.linspace(-5, 5, grid).tolist():
        y = position.tasks(shots=1, queries=1, domain=(x, x)).draw(tasks, generator).query.y
        power += y.square().mean().item() / grid
        variance += y.var(correction=0).item() / grid
    return float(f"{power:.4g}"), float(f"{variance:.4g}")


def trained(role: str, distribution: TaskDistribution, seed: int, iterations: int, device: torch.device) -> MetaLearner:
    """A learner after meta-training; 'scratch' is the untrained network."""
    learner = ALGORITHMS["joint" if role == "scratch" else role](Model(mlp(1, 40, 40, 1, seed=seed), mse_loss))
    if role != "scratch":
        options = {"steps": iterations, "tasks": TASKS, "beta": BETA, "seed": seed, "device": device}
        fit(learner, distribution, progress=False, **options)
    return learner


def at_rate(learner: MetaLearner, alpha: float) -> MetaLearner:
    """The same start, adapted with another inner rate."""
    return MetaLearner(learner.model, GradientDescent(alpha, TEST_STEPS))


def curves(learner: MetaLearner, test: TaskDistribution) -> dict[str, list]:
    """Error after 0..20 steps on 600 new tasks: mean, half-width of its 95 % interval, median."""
    errors = evaluate(learner, test, tasks=TEST_TASKS, steps=TEST_STEPS, seed=1)
    mean, half = confidence(errors)
    named = {"new": mean, "new_half": half, "new_median": errors.nanmedian(0).values}
    return {name: numbers(values) for name, values in named.items()}


def best_rate(learner: MetaLearner, test: TaskDistribution) -> float:
    """The inner rate with the smallest mean error after ten steps, on tasks that are used for nothing else."""
    options = {"tasks": CHOICE_TASKS, "steps": CHOICE_STEPS, "seed": 3}
    errors = {rate: evaluate(at_rate(learner, rate), test, **options)[:, -1].mean().item() for rate in RATES}
    return min(errors, key=lambda rate: errors[rate] if math.isfinite(errors[rate]) else math.inf)


def long(learner: MetaLearner) -> dict[str, list]:
    """Error on all waves after up to 1,000 steps, from ten and from a hundred support points."""
    measured = {}
    for shots in LONG_SHOTS:
        waves = ALL_WAVES.tasks(shots=shots, queries=TEST_POINTS)
        errors = evaluate(learner, waves, tasks=LONG_TASKS, steps=LONG_STEPS[-1], seed=4, chunk=LONG_TASKS)
        measured[str(shots)] = numbers(errors[:, list(LONG_STEPS)].mean(0))
    return measured


def families(iterations: int, seed: int, mixture: MetaLearner, device: torch.device) -> dict[str, dict]:
    """One family at a time: what MAML reaches when trained on that family alone, and when trained on the mixture."""
    measured = {}
    for name, family in FAMILIES.items():
        alone = trained("maml", family(shots=SHOTS), seed, iterations, device)
        test = family(shots=SHOTS, queries=TEST_POINTS)
        measured[name] = {"alone": curves(alone, test), "mixture": curves(mixture, test)}
    return measured


def dial(seeds: int, iterations: int, device: torch.device) -> dict[str, Any]:
    """Every algorithm at every place of the dial from every seed."""
    started = time.perf_counter()
    runs, tuned = ({role: [{"error": {}} for _ in DIAL] for role in ROLES} for _ in range(2))
    endless, kinds = {role: {} for role in ROLES}, {}
    wanted = [(number, role, seed) for number in range(len(DIAL)) for role in ROLES for seed in range(seeds)]
    for number, role, seed in tqdm(wanted, "dial", unit="run"):
        place, key = DIAL[number], str(seed)
        learner = trained(role, place.tasks(shots=SHOTS), seed, iterations, device)
        test = place.tasks(shots=SHOTS, queries=TEST_POINTS)
        runs[role][number]["error"][key] = curves(at_rate(learner, ALPHA), test)
        rate = best_rate(learner, test)
        tuned[role][number]["error"][key] = {"new": curves(at_rate(learner, rate), test)["new"], "rate": rate}
        if place is ALL_WAVES:
            endless[role][key] = long(learner)
        if place is MIXTURE and role == "maml":
            kinds[key] = families(iterations, seed, learner, device)
    positions = []
    for place in DIAL:
        power, variance = spread(place)
        distribution = repr(place.tasks(shots=SHOTS))
        positions.append({**place._asdict(), "power": power, "spread": variance, "distribution": distribution})
    return {
        "dial": positions,
        "runs": runs,
        "tuned": tuned,
        "long": {"steps": list(LONG_STEPS), "error": endless},
        "families": kinds,
        "protocol": f"squared error after 0..{TEST_STEPS} steps with rate {ALPHA} on {SHOTS} support points, on "
        f"{TEST_POINTS} new points of {TEST_TASKS} tasks of the distribution trained on: mean, half-width of its 95 % "
        f"interval, median; per seed. tuned: the mean with the rate of {RATES} that is best after {CHOICE_STEPS} steps "
        f"on {CHOICE_TASKS} other tasks. long: all waves, mean over {LONG_TASKS} tasks, by support points. families: "
        "MAML tested on one family, trained on it alone or on the mixture. power and spread of a position: mean over "
        "x of E[y^2] and of Var[y] over tasks",
        "training": {"iterations": iterations, "tasks": TASKS, "beta": BETA, "alpha": ALPHA, "steps": "the defaults"},
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }


def main(words: list[str] | None = None) -> None:
    parser = arguments("diversity", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    options = parser.parse_args(words)
    result = dial(options.seeds, options.iterations, pick_device(options.device))
    print(record("diversity", result, folder=options.results))


if __name__ == "__main__":
    main()
