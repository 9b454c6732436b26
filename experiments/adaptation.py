"""Which weights adapt, and at which rate: every method with rates of its own, on letters, built families and waves.

    python -m experiments.adaptation --parts letters few-waves shared own waves

writes runs/adaptation-<part>.json. An interrupted part keeps the methods that it has finished in
adaptation-<part>.partial.json, and the same command goes on from there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments, fit
from experiments.field_search import FURTHER, SEARCH_SEED, TEST, VALIDATION, least, widened
from experiments.sweeps import numbers
from experiments.worlds import World, pictures, waves
from mamlbook import MetaLearner, evaluate, mlp
from mamlbook.algorithms import ALGORITHMS
from mamlbook.analysis.pattern_search import candidates
from mamlbook.analysis.pattern_search import measure as adapt_by
from mamlbook.analysis.similarity import change, linear_cka, mean_cca
from mamlbook.inner import LearnedRates
from mamlbook.pages import environment, record
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.distribution import require_draw
from mamlbook.tasks.features import OwnFeatures, SharedFeatures
from mamlbook.tasks.sinusoid import Sinusoids, split, uniform
from mamlbook.training import NonFinite, pick_device

TEST_TASKS = 200
ALL = Sinusoids()
COMPARED_TASKS, COMPARED_POINTS = 30, 400
LAYERS = ("activation1", "activation2", "head")


@dataclass(frozen=True)
class FewWaves:
    """A few sine waves that come back, at fresh points in every draw; the seed of the generator decides which."""

    waves: Sinusoids = ALL

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        require_draw(tasks, generator)
        own = torch.Generator().manual_seed(generator.initial_seed())
        amplitude, phase = (uniform(ends, (tasks, 1, 1), own) for ends in (self.waves.amplitude, self.waves.phase))
        x = uniform(self.waves.domain, (tasks, self.waves.shots + self.waves.queries, 1), generator)
        return split(x, amplitude * torch.sin(x - phase), self.waves.shots)


class Part(NamedTuple):
    """A world with the methods that are compared in it, and for each the options that are tried at every outer rate."""

    world: World
    iterations: int
    seeds: int
    searched: int  # seeds that a setting is judged by
    betas: Sequence[float]
    steps: int  # inner steps that are looked at
    tried: Mapping[str, Sequence[Mapping[str, float]]]


def each(alphas: Sequence[float], **options: float) -> list[dict[str, float]]:
    return [{"alpha": alpha, **options} for alpha in alphas]


def letters() -> World:
    """The letters of the field, judged by as many drawings as they are trained on."""
    world = pictures()
    return world._replace(judged=tuple(replace(on, queries=5) for on in world.judged))


def built(family: type) -> World:
    """Regression on features that are shared, or on each task's own."""
    judged, network = family(queries=100), partial(mlp, 3, 40, 40, 1)
    return World(network, mse_loss, None, 10, family(), family(), (judged, judged), 1.0, {})


SLOW, LETTERS = (0.01, 0.03), (0.1, 0.5)
PARTS = {
    "letters": lambda: Part(
        letters(),
        iterations=100,
        seeds=5,
        searched=1,
        betas=(3e-3, 1e-2),
        steps=2,
        tried={row: each(LETTERS, steps=1) for row in ("maml", "anil", "boil")},
    ),
    **{
        name: lambda family=family: Part(
            built(family),
            iterations=200,
            seeds=5,
            searched=1,
            betas=(3e-3, 1e-2),
            steps=5,
            tried={row: each((0.03, 0.1), steps=2) for row in ("maml", "anil", "boil")},
        )
        for name, family in (("shared", SharedFeatures), ("own", OwnFeatures))
    },
    "waves": lambda: Part(
        waves()._replace(tasks=10),
        iterations=200,
        seeds=5,
        searched=1,
        betas=(3e-3, 1e-2),
        steps=10,
        tried={
            **{row: each(SLOW, steps=3) for row in ("maml", "meta-sgd", "lslr")},
            "cavia": each((0.3, 1.0), steps=3),
        },
    ),
    # Which ten waves it is differs between seeds, so that there are many.
    "few-waves": lambda: Part(
        waves()._replace(tasks=10, training=FewWaves()),
        iterations=500,
        seeds=20,
        searched=4,
        betas=(1e-3, 3e-3, 1e-2),
        steps=10,
        tried={
            "maml": each([0.01], steps=1),
            "dropgrad": [{"alpha": 0.01, "steps": 1, "p": p} for p in (0.1, 0.3)],
        },
    ),
}


class Method:
    """One method in one part: its search, and what it reaches from fresh seeds."""

    def __init__(self, part: Part, row: str, device: torch.device):
        self.part, self.row, self.device = part, row, device
        self.found: list[dict[str, Any]] = []

    def learner(self, options: Mapping[str, float], seed: int) -> MetaLearner:
        row = ALGORITHMS[self.row]
        return row.build(self.part.world.model(row, seed), **options).to(self.device)

    def train(
        self, options: Mapping[str, float], betas: Sequence[float], seeds: Sequence[int]
    ) -> list[MetaLearner | None]:
        """One learner for each rate and seed, None for those that became nan or infinite."""
        return [self.trained(options, beta, seed) for beta, seed in zip(betas, seeds, strict=True)]

    def trained(self, options: Mapping[str, float], beta: float, seed: int) -> MetaLearner | None:
        learner, world = self.learner(options, seed), self.part.world
        torch.manual_seed(seed)
        how = {"steps": self.part.iterations, "tasks": world.tasks, "beta": beta, "seed": seed}
        try:
            fit(learner, world.training, **how, execution="eager", progress=False)
        except NonFinite:
            return None
        return learner

    def judged(self, learner: MetaLearner | None, seed: int) -> dict[str, list[float | None]]:
        """The mean and the median over new tasks after 0, 1, ... inner steps; nothing of a run that was lost."""
        if learner is None:
            return dict.fromkeys(("mean", "median"), [None] * (self.part.steps + 1))
        world = self.part.world
        options = {
            "tasks": TEST_TASKS,
            "steps": self.part.steps,
            "seed": seed,
            "metric": world.metric,
            "progress": False,
        }
        errors = evaluate(learner, world.judged[seed == TEST], **options)
        return {"mean": numbers(errors.mean(0)), "median": numbers(errors.median(0).values)}

    def attempt(self, options: Mapping[str, float], betas: Sequence[float]) -> None:
        """Judge one way to be told with several outer rates, each from all seeds of the search."""
        seeds = [SEARCH_SEED + number for number in range(self.part.searched)]
        pairs = [(beta, seed) for beta in betas for seed in seeds]
        learners = self.train(options, [beta for beta, _ in pairs], [seed for _, seed in pairs])
        curves = torch.tensor(
            [[torch.nan if v is None else v for v in self.judged(one, VALIDATION)["mean"]] for one in learners]
        )
        for beta, mean in zip(betas, curves.unflatten(0, (len(betas), -1)).mean(1), strict=True):
            self.found.append({**options, "beta": beta, "mean": numbers(mean)})

    def best(self) -> dict[str, Any]:
        """The setting with the least mean over the seeds of the search, at its best number of steps."""
        return min(self.found, key=lambda one: least(one["mean"])[0])

    def search(self) -> None:
        """Every setting at every outer rate; a rate that is best at the end of its range is followed beyond it."""
        for options in self.part.tried[self.row]:
            self.attempt(options, self.part.betas)
        for _ in range(FURTHER):
            best = self.best()
            options = {name: best[name] for name in best if name not in ("beta", "mean")}
            tried = sorted(one["beta"] for one in self.found if one.items() >= options.items())
            new = [beta for beta in widened(tried, [best["beta"]]) if beta not in tried]
            if new:
                self.attempt(options, new)

    def run(self) -> dict[str, Any]:
        """The search, and its winner from fresh seeds on fresh tasks."""
        self.search()
        best = self.best()
        options = {name: best[name] for name in best if name not in ("beta", "mean")}
        seeds = range(self.part.seeds)
        learners = self.train(options, [best["beta"]] * len(seeds), list(seeds))
        ends = {str(seed): {**self.judged(one, TEST), **self.more(one, seed)} for seed, one in enumerate(learners)}
        return {
            "search": self.found,
            "chosen": {**options, "beta": best["beta"], "inner_steps": least(best["mean"])[1]},
            "configuration": str(self.learner(options, 0)),
            "error": ends,
        }

    def more(self, learner: MetaLearner | None, seed: int) -> dict[str, Any]:
        """What is looked at besides the error: alikeness, what single layers reach, learned rates, seen waves."""
        if learner is None:
            return {}
        found, world = {}, self.part.world
        if isinstance(world.training, FewWaves):
            seen = FewWaves(world.judged[1])
            options = {"tasks": world.tasks, "steps": self.part.steps, "seed": seed, "progress": False}
            found["seen"] = numbers(evaluate(learner, seen, **options).mean(0))
        elif self.row == "maml" and world.metric is None:
            found |= single_layers(learner, world) | compared(learner, world)
        for rates in [part for part in learner.solver.transforms if isinstance(part, LearnedRates)]:
            found["rates"] = [numbers(rate.detach().flatten(1).mean(1)) for rate in rates.rates]
        return found


def single_layers(learner: MetaLearner, world: World) -> dict[str, Any]:
    """The mean error after the steps of training where only the layers of a mask adapt: 001, 010, ... 111."""
    tasks = world.judged[1].draw(TEST_TASKS, torch.Generator().manual_seed(TEST)).like(learner.model.theta[0])
    return {"layers": [adapt_by(learner, (row,), tasks).loss for (row,) in candidates(learner.model, 1)]}


def compared(learner: MetaLearner, world: World) -> dict[str, Any]:
    """How much alike each layer's activations are before and after adaptation, on many points: means over tasks."""
    many = world.judged[1].__class__(queries=COMPARED_POINTS)
    tasks = many.draw(COMPARED_TASKS, torch.Generator().manual_seed(TEST)).like(learner.model.theta[0])
    found = {}
    for name, measured in (("cka", linear_cka), ("cca", mean_cca)):
        alike = change(learner, tasks, measured)
        found[name] = [numbers(alike[layer].mean()[None])[0] for layer in LAYERS]
    return found


PROTOCOL = (
    "Each method is searched by itself: every setting that is tried at every outer rate, judged on {tasks} validation "
    "tasks by the mean at the best number of inner steps up to {steps}, over {searched} seeds; a rate that is best at "
    "the end of its range is followed beyond it. The best is trained from fresh seeds and measured on {tasks} fresh "
    "tasks after 0 to {steps} steps, mean and median over tasks. seen: the waves of the training at fresh points; "
    "layers: the error after the steps of training where only the layers of a mask adapt; cka, cca: alikeness of each "
    "layer's activations before and after, on {points} points of {compared} tasks; rates: mean learned factor of each "
    "tensor at each step."
)


def main(words: list[str] | None = None) -> None:
    parser = arguments("adaptation", __doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args(words)
    device = pick_device(options.device)
    for name in options.parts:
        part, started = PARTS[name](), time.perf_counter()
        kept = options.results / f"adaptation-{name}.partial.json"
        done = json.loads(kept.read_text()) if kept.is_file() else {}
        for row in tqdm(part.tried, name, unit="method"):
            if row not in done:
                done[row] = Method(part, row, device).run()
                record(kept.stem, done, folder=options.results)
        result = {
            "methods": done,
            "protocol": PROTOCOL.format(
                tasks=TEST_TASKS,
                steps=part.steps,
                searched=part.searched,
                points=COMPARED_POINTS,
                compared=COMPARED_TASKS,
            ),
            "training": {"iterations": part.iterations, "tasks": part.world.tasks, "betas": list(part.betas)},
            "seconds": round(time.perf_counter() - started),
            **environment(device),
        }
        print(record(f"adaptation-{name}", result, folder=options.results))
        kept.unlink()


if __name__ == "__main__":
    main()
