"""The search for the settings of a row: one way to look for them, whatever the row.

Many settings are tried from one seed. Those that look best are trained again from other seeds, and so is what lies next
to the best of them. What is best in the mean over these is meta-trained from fresh seeds and measured on fresh tasks.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch

from experiments import fit_replicas
from experiments.worlds import ROWS, STEPS_JUDGED, World
from mamlbook import MetaLearner, evaluate
from mamlbook.analysis import unsolved
from mamlbook.analysis.costs import cost
from mamlbook.metagradient import Implicit
from mamlbook.training import History

STEPS, SEARCH_SEED = 1_000, 100
BETAS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
TIMES = (1 / 3, 1, 3)
FURTHER = 2  # rates that are tried beyond each end, three times as far each, while the best is the last
FINALISTS, FINAL_SEEDS = 3, (101, 102, 103)  # settings that look best from one seed, and the seeds that decide
TASKS_JUDGED = 600
VALIDATION, TEST = 11, 12  # seeds of the tasks that settings are chosen on, and of those that are reported

Curve = list[float | None] | None  # errors after 0, 1, ... inner steps; None for a run that came to no end

# What a row has to be told besides its rates, and the values that are tried.
KNOBS: dict[str, dict[str, Sequence[float]]] = {
    "imaml": {"lam": (0.5, 2.0, 5.0), "damping": (0.1, 1.0, 10.0)},
    "imaml, arriving": {"lam": (10.0, 20.0, 40.0), "damping": (0.0, 0.1, 1.0)},
    "imaml-neumann": {"lam": (0.5, 2.0, 5.0), "rate": (1e-3, 3e-3, 1e-2)},
    "truncated": {"last": (1, 2)},
    "finite-difference": {"epsilon": (1e-4, 1e-3, 1e-2)},
    "kernel-ridge": {"lam": (1e-3, 1e-2, 1e-1)},
    "ntk-ridge": {"lam": (1e-3, 1e-2, 1e-1)},
    "meta-rkhs-1": {"reward": (1e-6, 1e-5, 1e-4)},
    "meta-rkhs-2": {"time": (1.0, 10.0, 100.0)},
    "line-search": {"damping": (0.0, 0.5, 5.0, 50.0)},
    "fiml": {"damping": (0.05, 0.5, 5.0), "pull": (0.01, 0.1, 1.0)},
    "dropgrad": {"p": (0.03, 0.1, 0.3)},
    "multi-step-loss": {"anneal": (STEPS / 10, STEPS / 2, STEPS), "floor": (0.0, 0.03)},
    "annealed": {"after": (STEPS // 10, STEPS // 4, STEPS // 2)},
    "maml++": {"anneal": (STEPS / 10, STEPS / 2), "after": (STEPS // 10, STEPS // 2), "floor": (0.0, 0.03)},
    "softmax-weights": {"temperature": (1.0, 5.0, 25.0)},
    "amfs-weights": {"temperature": (0.3, 1.0, 3.0)},
    "robust": {"rate": (1e-4, 1e-3, 1e-2)},
    "conflict-averse": {"c": (0.2, 0.5, 0.8)},
    "moml": {"rate": (0.5, 0.8, 1.0)},
    "moml-v2": {"rate": (0.1, 0.3, 1.0)},
    "local-moml": {"beta": (3e-3, 1e-2, 3e-2), "rate": (0.1, 0.5, 1.0)},
    "sgld": {"lam": (0.1, 1.0, 5.0), "temperature": (1e-6, 1e-5, 1e-4)},
    "sgld-score": {"temperature": (1e-3, 1e-2, 1e-1)},
    "evograd": {"sigma": (1e-3, 1e-2, 3e-2), "temperature": (0.1, 1.0, 10.0)},
    "es-maml": {"sigma": (3e-3, 1e-2, 3e-2)},
}


class Setting(NamedTuple):
    """What a row is told, and its outer rate."""

    beta: float
    options: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, told: Mapping[str, float]) -> Setting:
        return cls(told["beta"], tuple(sorted((name, value) for name, value in told.items() if name != "beta")))

    @property
    def told(self) -> dict[str, float]:
        return {"beta": self.beta, **dict(self.options)}


class Search:
    """The search of one row with one number of inner steps, in one world.

    ``most`` is how many meta-steps are taken. With ``operations``, the multiplications of another training, there is
    also the budget "arithmetic", as many meta-steps as these are enough for.
    """

    def __init__(
        self,
        world: World,
        row: str,
        steps: int | None,
        device: torch.device,
        most: int = STEPS,
        operations: int | None = None,
    ):
        self.world, self.row, self.device, self.most = world, ROWS[row], device, most
        self.operations = operations
        self.budgets = ("meta-steps",) if operations is None else ("meta-steps", "arithmetic")
        self.judged = TASKS_JUDGED
        self.fixed = {} if steps is None else {"steps": steps}
        self.defaults = {n: p.default for n, p in inspect.signature(self.row.build).parameters.items()}
        self.knobs = self._knobs(row)
        self.tried: dict[Setting, dict[str, Any]] = {}

    def _knobs(self, row: str) -> dict[str, Sequence[float]]:
        found: dict[str, Sequence[float]] = {}
        if "alpha" in self.defaults:
            # An inner rule such as Adam sets the size of its steps itself.
            scale = 1.0 if "rule" in self.defaults else self.world.alpha
            found["alpha"] = [round(self.defaults["alpha"] * scale * times, 6) for times in TIMES]
        return found | KNOBS.get(row, {})

    def learner(self, options: dict[str, float], seed: int) -> MetaLearner:
        whole = {name: int(value) if isinstance(self.defaults[name], int) else value for name, value in options.items()}
        return self.row.build(self.world.model(self.row, seed), **self.fixed, **whole).to(self.device)

    def first(self) -> dict[str, float]:
        """The row's defaults for what will be searched, the rate scaled to the world."""
        return {name: values[1] if name == "alpha" else self.defaults[name] for name, values in self.knobs.items()}

    def prices(self, options: dict) -> Iterator[int]:
        """The multiplications of one meta-step after the other, which a schedule changes on the way."""
        batch = self.world.distribution(self.row).draw(self.world.tasks, torch.Generator().manual_seed(0))
        learner, known = self.learner(options, 0), {}
        scheduled = [part for part in learner.parts() if not part.remembers]
        while True:
            phases = tuple(part.phase for part in scheduled)
            if phases not in known:
                known[phases] = cost(learner, batch).operations
            yield known[phases]
            for part in scheduled:
                part.advance()

    def ends(self, options: dict) -> dict[str, int]:
        """The meta-steps of each budget for a row that is told this."""
        ends = {"meta-steps": self.most}
        if self.operations is not None:
            count, left = 0, self.operations
            for price in self.prices(options):
                left -= price
                if left < -price / 2:  # the nearest number
                    break
                count += 1
            ends["arithmetic"] = max(1, count)
        return ends

    def train(self, options: dict, betas: Sequence[float], seeds: Sequence[int], ends: Sequence[int]) -> Iterator[list]:
        """Meta-train one replica for each rate and seed, and give what is left of them after each number of steps."""
        learners = [self.learner(options, seed) for seed in seeds]
        histories: list[History | None] = [None] * len(learners)
        done, distribution = 0, self.world.distribution(self.row)
        for end in sorted(set(ends)):
            going = [place for place, history in enumerate(histories) if history is None or history.error is None]
            if going:
                before = [histories[place] for place in going]
                found = fit_replicas(
                    [learners[place] for place in going],
                    distribution,
                    steps=end - done,
                    seeds=[seeds[place] for place in going],
                    noise=[seeds[place] + done for place in going],
                    tasks=self.world.tasks,
                    beta=[betas[place] for place in going],
                    after=None if before[0] is None else before,
                    progress=False,
                )
                for place, history in zip(going, found, strict=True):
                    histories[place] = history
            done = end
            yield (
                end,
                [
                    learner if history is not None and history.error is None else None
                    for learner, history in zip(learners, histories, strict=True)
                ],
            )

    def judge(self, learner: MetaLearner | None, seed: int, steps: int = STEPS_JUDGED) -> Curve:
        """The mean over tasks after 0, 1, ... inner steps; None for a run that came to no end."""
        if learner is None:
            return None
        on, judged = self.world.judged[seed == TEST], self.judged
        scores = evaluate(learner, on, tasks=judged, steps=steps, seed=seed, metric=self.world.metric, progress=False)
        return [float(f"{value:.5g}") if math.isfinite(value) else None for value in scores.mean(0).tolist()]

    def attempt(self, options: dict, betas: Sequence[float]) -> None:
        """Try one way to be told with several outer rates."""
        settings = [Setting.of({"beta": beta, **options}) for beta in betas]
        new = [setting for setting in settings if setting not in self.tried]
        if not new:
            return
        curves: dict[int, list] = {}
        seeds, ends = [SEARCH_SEED] * len(new), self.ends(options)
        for end, learners in self.train(options, [setting.beta for setting in new], seeds, list(ends.values())):
            curves[end] = [self.judge(learner, VALIDATION) for learner in learners]
        for place, setting in enumerate(new):
            self.tried[setting] = {budget: curves[end][place] for budget, end in ends.items()}

    def ranked(self, budget: str) -> list[Setting]:
        """The settings by their least mean on the validation tasks, the best first."""
        return sorted(self.tried, key=lambda setting: least(self.tried[setting][budget])[0])

    def best(self, budget: str) -> Setting:
        """The setting with the least mean on the validation tasks."""
        return self.ranked(budget)[0]

    def run(self) -> list[dict[str, Any]]:
        """Every setting that is tried, with the curve of each budget."""
        betas = list(BETAS)
        self.attempt(self.first(), betas)
        for _ in range(FURTHER):
            betas = widened(betas, [self.best(budget).beta for budget in self.budgets])
            self.attempt(self.first(), betas)
        for name, values in self.knobs.items():
            here = self.best("meta-steps")
            place = betas.index(here.beta)
            near = betas[max(0, place - 1) : place + 2]
            tried: list[float] = []
            for _ in range(1 + FURTHER * (name == "alpha")):
                best = [self.best(budget).told[name] for budget in self.budgets]
                tried = widened(tried, best) if tried else list(values)
                for value in tried:
                    self.attempt(dict(here.options) | {name: value}, near)
        return [{**setting.told, **found} for setting, found in self.tried.items()]

    def take_over(self, stored: Sequence[dict[str, Any]]) -> None:
        """Know what ``run`` gave before, instead of running."""
        for tried in stored:
            setting = Setting.of({name: tried[name] for name in ("beta", *self.knobs)})
            self.tried[setting] = {budget: tried[budget] for budget in self.budgets}

    def run_alone(self, seeds: int) -> dict[str, Any]:
        """One budget without a second round: per seed ``new``, after 0, 1, ... inner steps, as in a sweep."""
        begun = time.perf_counter()
        searched, best = self.run(), self.best("meta-steps")
        after = least(self.tried[best]["meta-steps"])[1]
        judged = (self.judge(learner, TEST) for learner in self.trained(best, self.most, seeds))
        curves = [curve or [None] * (STEPS_JUDGED + 1) for curve in judged]
        runs = {str(seed): {"new": curve, "chosen": [curve[after]]} for seed, curve in enumerate(curves)}
        measured = {"meta_steps": self.most, **best.told, "inner_steps": after}
        return {**measured, "error": runs, "search": searched, "seconds": round(time.perf_counter() - begun)}

    def trained(self, setting: Setting, end: int, seeds: int) -> list[MetaLearner | None]:
        """The learners of a setting after so many meta-steps, one of each of the fresh seeds; None for a lost run."""
        ((_, learners),) = self.train(dict(setting.options), [setting.beta] * seeds, list(range(seeds)), [end])
        return learners


class Final:
    """The second round of a search, in which the best settings of each budget are trained from other seeds.

    If a rate next to that of the best was never tried, it is tried as well, and what is best then is asked again.
    """

    def __init__(self, search: Search):
        self.search, self.budgets = search, search.budgets
        self.found: dict[Setting, dict[str, list[Curve]]] = {}

    def run(self) -> list[dict[str, Any]]:
        """Every setting that is trained, with what each seed came to after the steps that are best in the mean."""
        waiting = {budget: self.search.ranked(budget)[:FINALISTS] for budget in self.budgets}
        for _ in range(1 + FURTHER):
            self._train(waiting)
            waiting = {budget: self._beside(self.best(budget)) for budget in self.budgets}
        return [
            {**setting.told, **{budget: _in_the_mean(curves) for budget, curves in found.items()}}
            for setting, found in self.found.items()
        ]

    def best(self, budget: str) -> Setting:
        """The setting with the least mean over seeds and validation tasks."""
        own = [setting for setting, found in self.found.items() if budget in found]
        return min(own, key=lambda setting: least(mean_curve(self.found[setting][budget]))[0])

    def report(self, seeds: int) -> dict[str, dict[str, Any]]:
        """The best of each budget from fresh seeds on fresh tasks; what two budgets share is run once."""
        run: dict[tuple[Setting, int], dict[str, Any]] = {}
        found = {}
        for budget in self.budgets:
            best = self.best(budget)
            end = self.search.ends(dict(best.options))[budget]
            if (best, end) not in run:
                after = least(mean_curve(self.found[best][budget]))[1]
                learners = self.search.trained(best, end, seeds)
                curves = [self.search.judge(learner, TEST, self.search.world.steps_judged) for learner in learners]
                errors = [None if curve is None else curve[after] for curve in curves]
                run[best, end] = {"inner_steps": after, "errors": errors, **self._premise(learners)}
            found[budget] = {"meta_steps": end, **best.told, **run[best, end]}
        return found

    def _premise(self, learners: Sequence[MetaLearner | None]) -> dict[str, list[float | None]]:
        """Where the minimum is differentiated: what the inner steps leave of their gradient, the median over tasks."""
        if not isinstance(self.search.learner(self.search.first(), 0).metagradient, Implicit):
            return {}
        tasks = self.search.world.judged[0].draw(50, torch.Generator().manual_seed(VALIDATION))
        left = [None if learner is None else unsolved(learner, tasks).median().item() for learner in learners]
        return {"unsolved": [None if value is None else float(f"{value:.3g}") for value in left]}

    def _train(self, waiting: Mapping[str, Sequence[Setting]]) -> None:
        """Train what is waiting for a budget and was not trained for it, all with the same options together."""
        asked = [(setting, budget) for budget, settings in waiting.items() for setting in settings]
        new = [(setting, budget) for setting, budget in asked if budget not in self.found.get(setting, {})]
        for options in dict.fromkeys(setting.options for setting, _ in new):
            alike = [(setting, budget) for setting, budget in new if setting.options == options]
            settings = list(dict.fromkeys(setting for setting, _ in alike))
            betas = [setting.beta for setting in settings for _ in FINAL_SEEDS]
            ends, seeds = self.search.ends(dict(options)), [*FINAL_SEEDS] * len(settings)
            asked_for = {ends[budget] for _, budget in alike}
            for end, learners in self.search.train(dict(options), betas, seeds, list(asked_for)):
                for place, setting in enumerate(settings):
                    budgets = [budget for one, budget in alike if one == setting and ends[budget] == end]
                    own = learners[place * len(FINAL_SEEDS) : (place + 1) * len(FINAL_SEEDS)]
                    steps = self.search.world.steps_judged
                    curves = [self.search.judge(learner, VALIDATION, steps) for learner in own] if budgets else []
                    self.found.setdefault(setting, {}).update(dict.fromkeys(budgets, curves))

    def _beside(self, setting: Setting) -> list[Setting]:
        """The settings with one rate a place further, among those that no round has tried."""
        known = {*self.search.tried, *self.found}
        beside = []
        for name in ("beta", "alpha"):
            if name not in setting.told:
                continue
            own = setting.told[name]
            rates = widened(sorted({one.told[name] for one in known}), [own])
            place = rates.index(own)
            beside += [Setting.of(setting.told | {name: rate}) for rate in (rates[place - 1], rates[place + 1])]
        return [one for one in beside if one not in known]


def _in_the_mean(curves: Sequence[Curve]) -> dict[str, Any]:
    """What each seed came to after as many inner steps as are best in the mean."""
    after = least(mean_curve(curves))[1]
    return {"inner_steps": after, "errors": [None if curve is None else curve[after] for curve in curves]}


def least(curve: Sequence[float | None] | None) -> tuple[float, int]:
    """The least value of a curve and its place; infinite where there is none."""
    values = [math.inf if value is None else value for value in curve or [None]]
    return min(values), values.index(min(values))


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean over seeds; None where one of them has no value, or came to no end."""
    if any(curve is None for curve in curves):
        return None
    return [None if None in values else math.fsum(values) / len(values) for values in zip(*curves, strict=True)]


def widened(tried: Sequence[float], best: Sequence[float]) -> list[float]:
    """The rates that were tried, with one more at each end that is among the best."""
    least, most = min(tried), max(tried)
    below = [float(f"{least / 3:.3g}")] if least in best else []
    above = [float(f"{most * 3:.3g}")] if most in best else []
    return [*below, *tried, *above]
