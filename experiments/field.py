"""Measure the whole field by one protocol: every row with settings of its own, found by the same search.

    python -m experiments.field --world waves
    python -m experiments.field --world glyphs --rows maml fomaml reptile

writes runs/field-<world>.json, one entry at a time, and goes on where it stopped. An entry is a row of the comparison
table with a number of inner steps. ``PROTOCOL`` says what is done for it.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from tqdm import tqdm

from experiments import arguments, fit_replicas
from mamlbook import MetaLearner, Model, Sinusoids, accuracy, conv4, evaluate
from mamlbook.algorithms import ALGORITHMS, Algorithm
from mamlbook.analysis.costs import cost
from mamlbook.evaluation import Metric
from mamlbook.pages import environment, recall, record
from mamlbook.tasks import Episodes, Pool, TaskDistribution, WaveCollection, glyph_split, glyphs
from mamlbook.training import History, pick_device

STEPS, SEEDS, SEARCH_SEED = 1_000, 5, 100
BETAS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
TIMES = (1 / 3, 1, 3)
FURTHER = 2  # rates that are tried beyond each end, three times as far each, while the best is the last
TASKS_JUDGED, STEPS_JUDGED = 600, 10
VALIDATION, TEST = 11, 12  # seeds of the tasks that settings are chosen on, and of those that are reported

# Rows that need tasks that come back have a MAML beside them that is trained on the same ones.
ROWS = ALGORITHMS | {"maml, tasks that come back": replace(ALGORITHMS["maml"], needs="collection")}

# Entries that need no run of their own, since the meta-gradient is MAML's to the last digit.
AS_MAML = {("truncated", 1), ("multi-step-loss", 1), ("forward-mode", 1), ("forward-mode", 5)}

# What a row has to be told besides its rates, and the values that are tried.
KNOBS: dict[str, dict[str, Sequence[float]]] = {
    "imaml": {"lam": (0.5, 2.0, 5.0), "damping": (0.1, 1.0, 10.0)},
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

PROTOCOL = (
    "One search for every row and number of inner steps, from one seed. First every outer rate beta at the row's own "
    "defaults; then, one setting of the row after the other, the inner rate alpha first, every value that is tried, "
    "each with the best beta so far and its two neighbours. A rate that is best at the end of its range is followed "
    f"beyond it, at most {FURTHER} times. Settings are judged on validation tasks, by the mean after "
    f"as many inner steps, at most {STEPS_JUDGED}, as are best for them there. There are two budgets, as many "
    f"meta-steps ({STEPS}) and as many multiplications as MAML with one inner step takes for these, and each has its "
    "own best setting. That is then meta-trained from fresh seeds and measured on fresh tasks: per seed, the mean over "
    "tasks after the number of inner steps that was chosen, None for a run that came to no end."
)


class World(NamedTuple):
    """A family of tasks with its network; ``judged`` are the distributions to choose on and to report on."""

    network: Callable[..., nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    metric: Metric | None
    tasks: int
    training: TaskDistribution
    collection: TaskDistribution
    judged: tuple[TaskDistribution, TaskDistribution]
    alpha: float  # how many times the rate of a row's defaults, which are those of the waves
    refused: dict[str, str]

    def model(self, row: Algorithm, seed: int) -> Model:
        network = partial(row.network, 1, 40, 40, 1) if self.network is None else self.network
        return Model(network(seed=seed), self.loss)

    def distribution(self, row: Algorithm) -> TaskDistribution:
        return self.collection if row.needs == "collection" else self.training


def waves() -> World:
    """The sine waves of the paper: ten shots, a network 1-40-40-1."""
    judged = Sinusoids(shots=10, queries=100)
    options = {"tasks": 25, "training": Sinusoids(), "collection": WaveCollection(), "judged": (judged, judged)}
    refused = {name: "for classes" for name, row in ROWS.items() if row.needs == "classes"}
    return World(None, mse_loss, None, alpha=1.0, refused=refused, **options)


def pictures() -> World:
    """Five letters, one drawing of each to learn from: sixteen filters, scripts split into three sets."""
    learn, others = glyph_split(glyphs())
    for_validation = torch.tensor([script in ("Armenian", "Hebrew") for script in others.alphabets])
    training = Episodes(learn, ways=5, shots=1, queries=5)
    judged = tuple(Episodes(pool, ways=5, shots=1, queries=15) for pool in _apart(others, for_validation))
    refused = {name: "for tasks that come back" for name, row in ROWS.items() if row.needs == "collection"}
    refused |= {"cavia": "its network is one for waves", "forward-mode": "it carries a column for each weight"}
    options = {"tasks": 8, "training": training, "collection": training, "judged": judged}
    return World(partial(conv4, 5, filters=16), cross_entropy, wrong, alpha=10.0, refused=refused, **options)


def wrong(y_hat: Tensor, y: Tensor) -> Tensor:
    """The share of examples that are told wrongly: less is better, as with an error."""
    return 1 - accuracy(y_hat, y)


def _apart(pool: Pool, first: Tensor) -> tuple[Pool, Pool]:
    """Two parts of a pool, the second without what looks like a class of the first."""
    return pool[first], pool[~first & ~torch.isin(pool.looks, pool.looks[first])]


WORLDS = {"waves": waves, "glyphs": pictures}


class Setting(NamedTuple):
    """What a row is told, and its outer rate."""

    beta: float
    options: tuple[tuple[str, float], ...]

    def stored(self) -> dict[str, float]:
        return {"beta": self.beta, **dict(self.options)}


class Search:
    """The search of one row with one number of inner steps, in one world."""

    def __init__(self, world: World, row: str, steps: int | None, device: torch.device, most: int = STEPS):
        self.world, self.row, self.device, self.most = world, ROWS[row], device, most
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

    def work(self) -> int:
        """Multiplications and additions of one meta-step."""
        batch = self.world.distribution(self.row).draw(self.world.tasks, torch.Generator().manual_seed(0))
        return cost(self.learner(self.first(), 0), batch).operations

    def budgets(self, reference: int) -> dict[str, int]:
        """The meta-steps of each budget; ``reference`` is the work of a meta-step of MAML with one inner step."""
        return {"meta-steps": self.most, "arithmetic": max(1, round(self.most * reference / self.work()))}

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

    def judge(self, learner: MetaLearner | None, seed: int) -> list[float] | None:
        """The mean over tasks after 0, 1, ... inner steps; None for a run that came to no end."""
        if learner is None:
            return None
        on = self.world.judged[seed == TEST]
        scores = evaluate(
            learner, on, tasks=self.judged, steps=STEPS_JUDGED, seed=seed, metric=self.world.metric, progress=False
        )
        return [float(f"{value:.5g}") if math.isfinite(value) else None for value in scores.mean(0).tolist()]

    def attempt(self, options: dict, betas: Sequence[float], budgets: dict[str, int]) -> None:
        """Try one way to be told with several outer rates."""
        settings = [Setting(beta, tuple(sorted(options.items()))) for beta in betas]
        new = [setting for setting in settings if setting not in self.tried]
        if not new:
            return
        curves: dict[int, list] = {}
        seeds = [SEARCH_SEED] * len(new)
        for end, learners in self.train(options, [setting.beta for setting in new], seeds, list(budgets.values())):
            curves[end] = [self.judge(learner, VALIDATION) for learner in learners]
        for place, setting in enumerate(new):
            self.tried[setting] = {budget: curves[end][place] for budget, end in budgets.items()}

    def best(self, budget: str) -> Setting:
        """The setting with the least mean on the validation tasks."""
        return min(self.tried, key=lambda setting: least(self.tried[setting][budget])[0])

    def run(self, budgets: dict[str, int], seeds: int) -> dict[str, Any]:
        """Search, then measure the best of each budget from fresh seeds."""
        begun = time.perf_counter()
        betas = list(BETAS)
        self.attempt(self.first(), betas, budgets)
        for _ in range(FURTHER):
            betas = self.widened(betas, [self.best(budget).beta for budget in budgets])
            self.attempt(self.first(), betas, budgets)
        for name, values in self.knobs.items():
            here = self.best("meta-steps")
            place = betas.index(here.beta)
            near = betas[max(0, place - 1) : place + 2]
            tried: list[float] = []
            for _ in range(1 + FURTHER * (name == "alpha")):
                best = [dict(self.best(budget).options)[name] for budget in budgets]
                tried = self.widened(tried, best) if tried else list(values)
                for value in tried:
                    self.attempt(dict(here.options) | {name: value}, near, budgets)
        return {
            "work": self.work(),
            "search": [{**setting.stored(), **found} for setting, found in self.tried.items()],
            "budgets": self.measured_once(budgets, seeds),
            "seconds": round(time.perf_counter() - begun),
        }

    def run_alone(self, seeds: int) -> dict[str, Any]:
        """The same with one budget, as one of the runs of a sweep: per seed ``new``, after 0, 1, ... inner steps."""
        found = self.run({"meta-steps": self.most}, seeds)
        best = found["budgets"]["meta-steps"]
        curves = [curve or [None] * (STEPS_JUDGED + 1) for curve in best.pop("curves")]
        pairs = enumerate(zip(curves, best.pop("errors"), strict=True))
        runs = {str(seed): {"new": curve, "chosen": [error]} for seed, (curve, error) in pairs}
        return {**best, "error": runs, "search": found["search"], "seconds": found["seconds"]}

    @staticmethod
    def widened(tried: Sequence[float], best: Sequence[float]) -> list[float]:
        """The rates that were tried, with one more at each end that is among the best."""
        least, most = min(tried), max(tried)
        below = [float(f"{least / 3:.3g}")] if least in best else []
        above = [float(f"{most * 3:.3g}")] if most in best else []
        return [*below, *tried, *above]

    def measured_once(self, budgets: dict[str, int], seeds: int) -> dict[str, dict[str, Any]]:
        """What is measured with each budget; two that are the same are run once."""
        found: dict[tuple[Setting, int], dict[str, Any]] = {}
        for budget, end in budgets.items():
            if (self.best(budget), end) not in found:
                found[self.best(budget), end] = self.measured(budget, end, seeds)
        return {budget: found[self.best(budget), end] for budget, end in budgets.items()}

    def measured(self, budget: str, end: int, seeds: int) -> dict[str, Any]:
        """The best setting of a budget, from fresh seeds on fresh tasks."""
        setting = self.best(budget)
        after = least(self.tried[setting][budget])[1]
        ((_, learners),) = self.train(dict(setting.options), [setting.beta] * seeds, list(range(seeds)), [end])
        curves = [self.judge(learner, TEST) for learner in learners]
        errors = [None if curve is None else curve[after] for curve in curves]
        return {"meta_steps": end, **setting.stored(), "inner_steps": after, "errors": errors, "curves": curves}


def least(curve: Sequence[float | None] | None) -> tuple[float, int]:
    """The least value of a curve and its place; infinite where there is none."""
    values = [math.inf if value is None else value for value in curve or [None]]
    return min(values), values.index(min(values))


def entries(rows: Sequence[str]) -> list[tuple[str, int | None]]:
    """Each row with each number of inner steps that it is measured with: one, five, and its own default; few first."""
    found: list[tuple[str, int | None]] = []
    for row in rows:
        default = inspect.signature(ROWS[row].build).parameters.get("steps")
        found += [(row, None)] if default is None else [(row, steps) for steps in sorted({1, 5, default.default})]
    return sorted((entry for entry in found if entry not in AS_MAML), key=lambda entry: entry[1] or 0)


def named(row: str, steps: int | None) -> str:
    return row if steps is None else f"{row}, S = {steps}"


def main(words: list[str] | None = None) -> None:
    parser = arguments("field", __doc__, seeds=SEEDS, steps=STEPS)
    parser.add_argument("--world", choices=list(WORLDS), default="waves")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    options = parser.parse_args(words)
    world, device, name = WORLDS[options.world](), pick_device(options.device), f"field-{options.world}"
    path = options.results / f"{name}.json"
    stored = recall(name, folder=options.results) if path.is_file() else {"entries": {}, "refused": world.refused}
    reference = Search(world, "maml", 1, device, options.steps).work()
    wanted = [(row, steps) for row, steps in entries(options.rows) if row not in world.refused]
    for row, steps in tqdm(wanted, name, unit="entry"):
        if named(row, steps) in stored["entries"]:
            continue
        search = Search(world, row, steps, device, options.steps)
        stored["entries"][named(row, steps)] = search.run(search.budgets(reference), options.seeds)
        record(name, stored | {"protocol": PROTOCOL, **environment(device)}, folder=options.results)
    print(path)


if __name__ == "__main__":
    main()
