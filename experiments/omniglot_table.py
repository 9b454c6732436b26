"""Omniglot, one table: every row by the same short protocol, in the columns of the papers and on alphabets held out.

    python -m experiments.omniglot_table --data FOLDER

fills the next missing cells of runs/omniglot-table.json, the most asked first, until it is stopped, and goes on where
it stopped: a search and a training are kept as soon as they are done, and a training that was cut off goes on from its
checkpoint. ``--minutes`` ends it after the training that is under way then, and ``--cells 3`` after so many cells. The
weights of the first seed are in omniglot-table.npz, in half precision. ``PROTOCOL`` says what is done for each cell.
``--cost`` trains nothing and says what the missing cells would take.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from experiments import arguments, fit
from mamlbook import GradientDescent, MetaLearner, Model, accuracy, confidence, conv4, evaluate
from mamlbook.algorithms import maml
from mamlbook.files import replacing
from mamlbook.inner import PrototypeHead, keep
from mamlbook.metagradient import Exact
from mamlbook.model_zoo import composed
from mamlbook.numerics import Params
from mamlbook.pages import environment, load_theta, recall, record
from mamlbook.tasks import Episodes, Pool, TaskDistribution
from mamlbook.tasks.base import Data, Tasks
from mamlbook.tasks.omniglot_pool import background, evaluation, omniglot, paper_split
from mamlbook.training import pick_device

NAME = "omniglot-table"
COMMAND = "python -m experiments.omniglot_table"
FILTERS, TASKS, QUERIES, STEPS, SEARCH_STEPS, SEEDS, SEARCH_SEED = 16, 8, 5, 250, 75, 3, 100
BETAS = (3e-3, 1e-2, 3e-2)
VALIDATION_CLASSES, VALIDATION_TASKS, TEST_TASKS = 100, 200, 600
VALIDATION, TEST = 11, 12  # seeds of the tasks that are chosen on, and of those that are reported
FURTHER = 2  # values that are tried beyond an end of a range while the best is the last
LEAST_JUDGED = 3  # inner steps that are looked at where training takes fewer
HEAD_STEPS, HEAD_RATES = 5, (0.1, 1.0, 10.0)

# What the papers report, after longer trainings: accuracy with its interval, and where.
FINN, NICHOL, RAGHU = (f"https://arxiv.org/abs/{number}" for number in ("1703.03400", "1803.02999", "1909.09157"))
PAPER = {
    row: {column: {"accuracy": list(found), "source": source} for column, found in columns.items()}
    for row, source, columns in (
        ("maml", FINN, {"5w1s": (98.7, 0.4), "5w5s": (99.9, 0.1), "20w1s": (95.8, 0.3), "20w5s": (98.9, 0.2)}),
        ("fomaml", NICHOL, {"5w1s": (98.3, 0.5), "5w5s": (99.2, 0.2), "20w1s": (89.4, 0.5), "20w5s": (97.9, 0.1)}),
        (
            "reptile",  # with the statistics of the batch, as here
            NICHOL,
            {"5w1s": (97.68, 0.04), "5w5s": (99.48, 0.06), "20w1s": (89.43, 0.14), "20w5s": (97.12, 0.32)},
        ),
        ("anil", RAGHU, {"20w1s": (96.2, 0.5), "20w5s": (98.0, 0.3)}),
    )
}

PROTOCOL = (
    f"A short protocol, the same for every row: conv4 with {FILTERS} filters and strides, 28 x 28; {STEPS} meta-steps "
    f"of {TASKS} tasks with {QUERIES} queries of each class, Adam, the outer rate annealed to zero along a cosine; "
    "turned characters are classes of their own. Pre-training sees as many pictures a step and tells all training "
    f"classes apart, four for each character. {VALIDATION_CLASSES} of the training characters are kept apart for the "
    f"search: {SEARCH_STEPS} meta-steps from one seed for every outer rate of {list(BETAS)} at the middle inner "
    "setting, then for the other two at the best outer rate; a rate or a setting that is best at an end of its range "
    f"is followed beyond it, at most {FURTHER} times, about three times as far each; a backbone is searched by the "
    "nearest mean. The number of inner steps, and how a head is fitted to a backbone, are chosen with the final "
    "training of the first seed. All "
    f"this is judged on {VALIDATION_TASKS} validation tasks. Each number of ways and shots has a search of its own, "
    f"which the alphabets take over from the paper's split. Measured from {SEEDS} other seeds on {TEST_TASKS} "
    "tasks, the same for all rows; batch norm uses the statistics of the batch at hand."
)

COLUMNS: dict[str, tuple[int, int, str]] = {
    "5w1s": (5, 1, "paper"),
    "5w1s-alphabets": (5, 1, "alphabets"),
    "5w5s": (5, 5, "paper"),
    "20w1s": (20, 1, "paper"),
    "20w5s": (20, 5, "paper"),
}
"""Ways, shots and split of every column: 1200 shuffled characters to learn from, or 30 alphabets of 50."""

SEARCHED = {"5w1s-alphabets": "5w1s"}
"""The columns that take over the search of another one."""


class Use(NamedTuple):
    """One way to use what was trained: the learner for new tasks, and how many inner steps are looked at."""

    learner: Callable[[Model], MetaLearner]
    steps: int


class Training(NamedTuple):
    """One way to train: a learner for a setting, ways and a seed, the settings that are tried, and its uses.

    Of the settings the middle one comes first.

    ``rows`` name the rows of the table that it gives; where there is more than one use of a row, the best on the
    validation tasks is taken. Without uses the learner is used as it was trained. ``episodes`` are the training tasks.
    """

    learner: Callable[[float, int, int], MetaLearner]
    settings: Sequence[float] = (0.0,)
    episodes: str = "few-shot"
    rows: dict[str, dict[str, Use]] | None = None
    steps: int = STEPS


class Row(NamedTuple):
    """A row of the table of algorithms as a way to train: ``knob`` is what is searched, ``options`` are fixed."""

    algorithm: str
    knob: str
    options: dict[str, float]

    def settings(self, setting: float, ways: int) -> dict[str, Any]:
        """What ``mamlbook.model_zoo`` composes the learner of."""
        network = {"name": "conv4", "ways": ways, "filters": FILTERS}
        return {"network": network, "algorithm": self.algorithm, "options": {self.knob: setting, **self.options}}

    def __call__(self, setting: float, ways: int, seed: int) -> MetaLearner:
        return composed(self.settings(setting, ways), seed=seed)


def row(algorithm: str, knob: str = "alpha", **options: float) -> Row:
    return Row(algorithm, knob, options)


def nearest_mean(model: Model) -> MetaLearner:
    """The nearest mean, by a head that is computed and no step."""
    return MetaLearner(model, GradientDescent(0.0, 0, start=PrototypeHead()), Exact())


def prototypical(_: float, ways: int, seed: int) -> MetaLearner:
    """The nearest mean from training on."""
    return nearest_mean(Model(conv4(ways, filters=FILTERS, seed=seed), cross_entropy))


pretraining = row("joint")  # ordinary training: no inner step


def not_the_body(name: str) -> bool:
    return "norm" in name or name.startswith("head")


def fitted(*choice: Callable[[str], bool] | str) -> dict[str, Use]:
    """A new head from zero, and what else is chosen, by gradient descent at each of the rates."""

    def at(rate: float) -> Use:
        transforms = (keep(*choice),) if choice else ()
        return Use(lambda model: maml(model, rate, HEAD_STEPS, *transforms), HEAD_STEPS)

    return {f"rate {rate:g}": at(rate) for rate in HEAD_RATES}


BACKBONE: dict[str, dict[str, Use]] = {
    "pre-training, nearest mean": {"": Use(nearest_mean, 0)},
    "pre-training, linear head": fitted("head"),
    "pre-training, norms and head": fitted(not_the_body),
    "pre-training, fine-tuned": fitted(),
}
ROOT = (0.4, 0.13, 1.2)

TRAININGS: dict[str, Training] = {
    "maml": Training(row("maml", steps=1), ROOT),
    "prototypical network": Training(prototypical),
    "pre-training": Training(pretraining, episodes="characters", rows=BACKBONE),
    "untrained": Training(
        pretraining, episodes="none", rows={"untrained, nearest mean": BACKBONE["pre-training, nearest mean"]}
    ),
    "fomaml": Training(row("fomaml", steps=1), ROOT),
    "reptile": Training(row("reptile", steps=5), (0.1, 0.03, 0.3), episodes="all drawings"),
    "anil": Training(row("anil", steps=3), (0.3, 0.1, 1.0)),
    "kernel-ridge": Training(row("kernel-ridge", "lam"), (0.1, 0.01, 1.0)),
    "protomaml": Training(row("protomaml", steps=1), (0.1, 0.03, 0.3)),
    "boil": Training(row("boil", steps=1), ROOT),
    "meta-sgd": Training(row("meta-sgd", steps=1), ROOT),
    "maml++": Training(row("maml++", steps=3, anneal=STEPS // 2, after=STEPS // 4), (0.1, 0.03, 0.3)),
    "imaml": Training(row("imaml", steps=5, lam=0.5, iterations=3), (0.01, 0.003, 0.03)),
}
"""In the order in which they are run."""

ROWS = [row for name, training in TRAININGS.items() for row in training.rows or {name: {}}]
FIRST = ("maml", "fomaml", "reptile")  # of the columns beyond the first; the two that take few steps before the third


def jobs() -> Iterator[tuple[str, str, int]]:
    """Column, training and seed, the most asked first; a seed of all rows before the next seed."""
    short = ("maml", "prototypical network", "pre-training", "untrained")
    groups = [
        ("5w1s", tuple(TRAININGS)),
        ("5w1s-alphabets", short),
        ("5w5s", FIRST),
        ("20w1s", FIRST[:2]),
        ("20w5s", FIRST[:2]),
        ("20w1s", FIRST),
        ("20w5s", FIRST),
        *((column, tuple(TRAININGS)) for column in COLUMNS),
    ]
    seen = set()
    for column, names in groups:
        for seed in range(SEEDS):
            for name in names:
                if (column, name, seed) not in seen:
                    seen.add((column, name, seed))
                    yield column, name, seed


# ---------------------------------------------------------------- the tasks


@dataclass(frozen=True)
class Characters:
    """Ordinary training as a distribution over tasks: a single one, to say of any drawing which character it is.

    A turned character is another class, so that there are four for each. The support set, which a learner without
    inner steps does not look at, is the first drawing.

    Shapes: x is (B, pictures, 1, 28, 28), y is (B, pictures), int64.
    """

    pool: Pool
    pictures: int

    @property
    def classes(self) -> int:
        return 4 * len(self.pool)

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        characters = torch.arange(len(self.pool)).repeat_interleave(self.pool.counts)
        chosen = torch.randint(len(characters), (tasks, self.pictures), generator=generator)
        turns = torch.randint(4, (tasks, self.pictures), generator=generator)
        x = self.pool.drawings[chosen].float() / 255
        for quarter in range(1, 4):
            turned = turns == quarter
            x[turned] = x[turned].rot90(quarter, (-2, -1))
        y = 4 * characters[chosen] + turns
        return Tasks(Data(x[:, :1], y[:, :1]), Data(x, y))


class World(NamedTuple):
    """The three sets of classes of a split."""

    train: Pool
    validation: Pool
    test: Pool


def world(pool: Pool, split: str) -> World:
    """The classes to learn from, to choose by and to be judged on."""
    learn, test = paper_split(pool) if split == "paper" else (background(pool), evaluation(pool))
    order = torch.randperm(len(learn), generator=torch.Generator().manual_seed(0))
    kept, apart = order[VALIDATION_CLASSES:], order[:VALIDATION_CLASSES]
    return World(learn[kept.sort().values], learn[apart.sort().values], test)


def distribution(name: str, column: str, pool: Pool) -> TaskDistribution:
    """The tasks that a training learns from."""
    ways, shots, _ = COLUMNS[column]
    kind = TRAININGS[name].episodes
    if kind == "characters":
        return Characters(pool, TASKS * ways * (shots + QUERIES))
    if kind == "all drawings":  # without a query set all drawings of a task are learned from
        return Episodes(pool, ways, shots + QUERIES, 1, rotate=True)
    return Episodes(pool, ways, shots, QUERIES, rotate=True)


def judged(column: str, pool: Pool) -> Episodes:
    ways, shots, _ = COLUMNS[column]
    return Episodes(pool, ways, shots, QUERIES, rotate=True)


# ---------------------------------------------------------------- one training, and its uses


def start(name: str, column: str, pool: Pool, setting: float, seed: int) -> MetaLearner:
    """The learner before training."""
    training, (ways, _, _) = TRAININGS[name], COLUMNS[column]
    outputs = Characters(pool, 1).classes if training.episodes == "characters" else ways
    return training.learner(setting, outputs, seed)


def for_new_tasks(learner: MetaLearner, ways: int, use: Use | None) -> MetaLearner:
    """The learner that new tasks get: as trained, or the backbone below a head of zeros in one of its uses."""
    if use is None:
        return learner
    net = conv4(ways, filters=FILTERS)
    body = {n: p for n, p in learner.model.net.state_dict().items() if not n.startswith("head")}
    net.load_state_dict(body, strict=False)
    for weight in net.head.parameters():
        nn.init.zeros_(weight)
    return use.learner(Model(net, cross_entropy))


def uses(name: str) -> dict[str, dict[str, Use | None]]:
    """Every use of a training, by the rows that it gives; None is to use it as it was trained."""
    return dict(TRAININGS[name].rows or {name: {"": None}})


def most_steps(learner: MetaLearner, use: Use | None) -> int:
    if use is not None:
        return use.steps
    trained = getattr(learner.solver, "steps", 1)
    return trained if trained == 0 or learner.solver.__class__ is not GradientDescent else max(trained, LEAST_JUDGED)


def scores(learner: MetaLearner, use: Use | None, column: str, pool: Pool, tasks: int, seed: int) -> Tensor:
    """How many queries of every task are right after every inner step: (tasks, S + 1), whole numbers."""
    of_use = for_new_tasks(learner, COLUMNS[column][0], use)
    how = {"metric": accuracy, "chunk": 50, "progress": False}
    right = evaluate(of_use, judged(column, pool), tasks=tasks, steps=most_steps(learner, use), seed=seed, **how)
    return (right * QUERIES * COLUMNS[column][0]).round().long()


def trained(
    name: str, column: str, pool: Pool, setting: float, beta: float, seed: int, steps: int, device: str, file: Path
) -> tuple[MetaLearner | None, float]:
    """The learner after its training, None if it came to no end, and the seconds that it took."""
    learner = start(name, column, pool, setting, seed).to(device)
    if TRAININGS[name].episodes == "none":
        return learner, 0.0
    tasks = 1 if TRAININGS[name].episodes == "characters" else TASKS
    how: dict[str, Any] = {"execution": "eager", "every": 50, "checkpoint": file, "resume": file.is_file()}
    try:
        history = fit(
            learner,
            distribution(name, column, pool),
            steps=steps,
            tasks=tasks,
            beta=lambda step: beta * (1 + math.cos(math.pi * step / steps)) / 2,
            seed=seed,
            progress=False,
            **how,
        )
    except ArithmeticError:
        return None, 0.0
    return learner.to("cpu"), history.seconds


# ---------------------------------------------------------------- what is stored


def text_of(right: Tensor) -> str:
    """Whole numbers below 1,296 with two letters for each, in base 36, as ``mamlbook.pages.few_shot.numbers`` reads."""
    return "".join(np.base_repr(number, 36).zfill(2).lower() for number in right.tolist())


def ahead(values: Sequence[float], found: dict[float, float]) -> float | None:
    """The next value of a range to try, three times beyond an end that is best; None if there is none.

    ``found`` is the accuracy of those that were tried.
    """
    for value in values:
        if value not in found:
            return value
    best = max(found, key=found.__getitem__)
    if len(found) < len(values) + FURTHER and best in (min(found), max(found)):
        return float(f"{best * 10 / 3 if best == max(found) else best * 3 / 10:.2g}")
    return None


class Table:
    """What is measured so far, on disk after every step."""

    def __init__(self, folder: Path, pool: Pool, device: torch.device, checkpoints: Path):
        self.folder, self.pool, self.device, self.checkpoints = folder, pool, device, checkpoints
        known = recall(NAME, folder=folder) if (folder / f"{NAME}.json").is_file() else {}
        self.search: dict[str, dict[str, list[dict[str, Any]]]] = known.get("search", {})
        self.cells: dict[str, dict[str, dict[str, Any]]] = known.get("cells", {})
        self.weights = stored_weights(folder) if (folder / f"{NAME}.npz").is_file() else {}
        self.worlds: dict[str, World] = {}

    def world(self, column: str) -> World:
        split = COLUMNS[column][2]
        if split not in self.worlds:
            self.worlds[split] = world(self.pool, split)
        return self.worlds[split]

    def save(self) -> None:
        cells = {column: self.cells[column] for column in COLUMNS if column in self.cells}
        result = {"cells": cells, "search": self.search, "missing": self.cost(), "protocol": PROTOCOL}
        result |= {"command": COMMAND, "seed": SEARCH_SEED, "starts": self.starts()}
        with replacing(self.folder / f"{NAME}.npz") as partial, partial.open("wb") as file:
            np.savez_compressed(file, **{name: array.half().numpy() for name, array in self.weights.items()})
        record(NAME, {**result, **environment(self.device)}, folder=self.folder)

    def starts(self) -> dict[str, dict[str, Any]]:
        """The rows of algorithms whose weights are kept, as ``mamlbook.pretrained`` takes them."""
        found = {}
        for column, cells in self.cells.items():
            for name, cell in cells.items():
                way = TRAININGS[name].learner if name in TRAININGS else None
                if isinstance(way, Row) and f"{column}/{name}/00" in self.weights:
                    found[f"omniglot-short-{column}-{name}"] = {
                        "learner": way.settings(cell["setting"], COLUMNS[column][0]),
                        "weights": f"{column}/{name}/",
                        "command": COMMAND,
                        "accuracy": cell["seeds"]["0"]["accuracy"],
                        "inner_steps": cell["inner_steps"],
                        **({"paper": PAPER[name][column]} if column in PAPER.get(name, {}) else {}),
                    }
        return found

    def rows_of(self, name: str) -> list[str]:
        return list(TRAININGS[name].rows or {name: {}})

    def has(self, column: str, name: str, seed: int) -> bool:
        """Whether a training is measured, at what its search has found once it is at its end."""
        if self.wanted(column, name) is not None:
            return False
        chosen, cells = self.chosen(column, name), self.cells.get(column, {})
        return all(
            str(seed) in cell.get("seeds", {}) and {key: cell[key] for key in chosen} == chosen
            for cell in (cells.get(row, {}) for row in self.rows_of(name))
        )

    # ------------------------------------------------------------ one job

    def tried(self, column: str, name: str) -> list[dict[str, Any]]:
        """What the search of a training has tried for a column so far."""
        return self.search.get(SEARCHED.get(column, column), {}).get(name, [])

    def wanted(self, column: str, name: str) -> tuple[float, float] | None:
        """The inner setting and the outer rate that are tried next; None at the end of the search.

        First the outer rates at the middle setting, then the other settings at the best of these rates.
        """
        training, tried = TRAININGS[name], self.tried(column, name)
        if training.episodes == "none":
            return None
        middle = training.settings[0]
        by_beta = {one["beta"]: one["validation"] for one in tried if one["setting"] == middle}
        beta = ahead(BETAS, by_beta)
        if beta is not None:
            return middle, beta
        beta = max(by_beta, key=by_beta.__getitem__)
        by_setting = {one["setting"]: one["validation"] for one in tried if one["beta"] == beta}
        setting = ahead(training.settings, by_setting) if len(training.settings) > 1 else None
        return None if setting is None else (setting, beta)

    def chosen(self, column: str, name: str) -> dict[str, float]:
        """The inner setting and the outer rate that do best of those that were tried."""
        if TRAININGS[name].episodes == "none":
            return {"setting": 0.0, "beta": BETAS[0]}
        best = max(self.tried(column, name), key=lambda tried: tried["validation"])
        return {"setting": best["setting"], "beta": best["beta"]}

    def settings(self, column: str, name: str) -> dict[str, float]:
        """The inner setting and the outer rate that the search has found, after searching where it has not ended."""
        while (next_one := self.wanted(column, name)) is not None:
            self.attempt(column, name, *next_one)
        return self.chosen(column, name)

    def attempt(self, column: str, name: str, setting: float, beta: float) -> None:
        column = SEARCHED.get(column, column)
        file = self.checkpoints / f"{NAME}-search-{column}-{name}-{setting:g}-{beta:g}.pt"
        learner, seconds = trained(
            name, column, self.world(column).train, setting, beta, SEARCH_SEED, SEARCH_STEPS, str(self.device), file
        )
        row = self.rows_of(name)[0]
        value = 0.0 if learner is None else self.validated(name, row, column, learner)[2]
        found = {"setting": setting, "beta": beta, "validation": round(value, 2), "seconds": round(seconds, 1)}
        self.search.setdefault(column, {}).setdefault(name, []).append(found)
        self.save()
        file.unlink(missing_ok=True)

    def validated(self, name: str, row: str, column: str, learner: MetaLearner) -> tuple[str, int, float]:
        """The use of a training for a row, and the inner steps, that do best on validation tasks; the accuracy."""
        found, queries = ("", 0, -1.0), QUERIES * COLUMNS[column][0]
        for use, how in uses(name)[row].items():
            right = scores(learner, how, column, self.world(column).validation, VALIDATION_TASKS, VALIDATION)
            means = (100 * right.double() / queries).mean(0)
            step = int(means.argmax())
            if means[step] > found[2]:
                found = (use, step, means[step].item())
        return found

    def fill(self, column: str, name: str, seed: int) -> None:
        """Search if it has to be, train from one seed, measure, store."""
        chosen = self.settings(column, name)
        if self.has(column, name, seed):
            return  # the search has gone on, and found what it had found
        file = self.checkpoints / f"{NAME}-{column}-{name}-{seed}.pt"
        pools = self.world(column)
        learner, seconds = trained(
            name, column, pools.train, chosen["setting"], chosen["beta"], seed, STEPS, str(self.device), file
        )
        cells = self.cells.setdefault(column, {})
        if learner is not None:
            with torch.no_grad():  # what is stored is what is measured
                for weight in learner.parameters():
                    weight.copy_(weight.half())
        for row, ways_to_use in uses(name).items():
            cell = cells.setdefault(row, {**chosen, "seeds": {}})
            if {key: cell[key] for key in chosen} != chosen:
                cell = cells[row] = {**chosen, "seeds": {}}
            if learner is None:
                cell["seeds"][str(seed)] = {"right": None, "seconds": None}
                continue
            if "inner_steps" not in cell:
                use, steps, value = self.validated(name, row, column, learner)
                cell.update(use=use, inner_steps=steps, validation=round(value, 2))
            how = ways_to_use[cell["use"]]
            right = scores(learner, how, column, pools.test, TEST_TASKS, TEST)[:, cell["inner_steps"]]
            share = (100 * right.double() / (QUERIES * COLUMNS[column][0]))[:, None]
            mean, half = confidence(share)
            cell["seeds"][str(seed)] = {
                "accuracy": [round(mean.item(), 2), round(half.item(), 2)],
                "right": text_of(right),
                "seconds": round(seconds, 1),
            }
        if seed == 0 and learner is not None:
            kept = for_new_tasks(learner, COLUMNS[column][0], BACKBONE["pre-training, nearest mean"][""])
            kept = kept if TRAININGS[name].rows else learner
            self.weights.update({f"{column}/{name}/{n:02d}": p.detach() for n, p in enumerate(kept.parameters())})
        self.save()
        file.unlink(missing_ok=True)

    def cost(self) -> dict[str, dict[str, Any]]:
        """What the missing cells would take: seconds, by the time of a row in the first column and by the pictures."""
        missing: dict[str, dict[str, Any]] = {}
        base = COLUMNS["5w1s"][0] * (COLUMNS["5w1s"][1] + QUERIES)
        for column, name, seed in jobs():
            if self.has(column, name, seed):
                continue
            done = self.cells.get("5w1s", {}).get(self.rows_of(name)[0], {}).get("seeds", {})
            seconds = [one["seconds"] for one in done.values() if one["seconds"] is not None]
            ways, shots, _ = COLUMNS[column]
            pictures = ways * (shots + QUERIES) / base
            for row in self.rows_of(name):
                entry = missing.setdefault(column, {}).setdefault(row, {"seeds": [], "seconds": None})
                entry["seeds"].append(seed)
                if seconds:
                    a_seed = pictures * sum(seconds) / len(seconds) / len(self.rows_of(name))
                    entry["seconds"] = round((entry["seconds"] or 0) + a_seed, 1)
        return missing


def stored_weights(folder: Path) -> dict[str, Tensor]:
    """Every stored weight by its name, such as 5w1s/maml/00, in single precision."""
    with np.load(folder / f"{NAME}.npz") as arrays:
        return {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}


def weights_of(name: str, column: str, weights: dict[str, Tensor]) -> Params:
    """Those of one training, in the order of ``parameters()``."""
    return tuple(weights[key] for key in sorted(weights) if key.startswith(f"{column}/{name}/"))


def restored(name: str, column: str, cell: dict[str, Any], weights: dict[str, Tensor]) -> MetaLearner:
    """The learner of the first seed as it was measured: trained, or, for a backbone, below a head of zeros."""
    training, (ways, _, _) = TRAININGS[name], COLUMNS[column]
    learner = training.learner(cell.get("setting", 0.0), ways, 0)
    return load_theta(learner, weights_of(name, column, weights))


def main(words: list[str] | None = None) -> None:
    parser = arguments(NAME.replace("-", "_"), __doc__)
    parser.add_argument("--data", type=Path, default=None, help="folder of the two Omniglot zips")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no cell after so many")
    parser.add_argument("--cells", type=int, default=None, help="fill so many: a training from one seed each")
    parser.add_argument("--cost", action="store_true", help="only say what the missing cells would take")
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    options: argparse.Namespace = parser.parse_args(words)
    begun = time.monotonic()
    table = Table(options.results, omniglot(options.data), pick_device(options.device), options.checkpoints)
    filled = 0
    for column, name, seed in [] if options.cost else jobs():
        if table.has(column, name, seed):
            continue
        if filled == options.cells:
            break
        filled += 1
        if time.monotonic() - begun > 60 * options.minutes:
            break
        started = time.monotonic()
        table.fill(column, name, seed)
        cells = table.cells[column]
        told = ", ".join(f"{row} {cells[row]['seeds'][str(seed)].get('accuracy')}" for row in table.rows_of(name))
        print(f"{column}, seed {seed}: {told}, {time.monotonic() - started:.0f} s", flush=True)
    for column, rows in table.cost().items():
        for row, entry in rows.items():
            minutes = "unknown" if entry["seconds"] is None else f"{entry['seconds'] / 60:.1f} minutes"
            print(f"missing: {column}, {row}, seeds {entry['seeds']}: {minutes}")
    print(options.results / f"{NAME}.json")


if __name__ == "__main__":
    main()
