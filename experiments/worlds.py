"""The families of tasks that the rows of the comparison table are measured on, each with its network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from mamlbook import MetaLearner, Model, Sinusoids, accuracy, conv4
from mamlbook.algorithms import ALGORITHMS, Algorithm, imaml
from mamlbook.evaluation import Metric
from mamlbook.tasks import Episodes, Pool, TaskDistribution, WaveCollection, glyph_split, glyphs

STEPS_JUDGED = 10


def arriving(model: Model, alpha: float = 0.01, lam: float = 20.0, damping: float = 0.0) -> MetaLearner:
    """iMAML with plain steps and a pull so strong that they come near the minimum, as its formula assumes."""
    return imaml(model, alpha, 16, lam, damping=damping, rule=torch.optim.SGD)


# Rows that need tasks that come back have a MAML beside them that is trained on the same ones.
ROWS = ALGORITHMS | {
    "maml, tasks that come back": replace(ALGORITHMS["maml"], needs="collection"),
    "imaml, arriving": replace(ALGORITHMS["imaml"], build=arriving),
}


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
    steps_judged: int = STEPS_JUDGED  # inner steps on a new task, at most, where settings are settled and reported

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
    return World(None, mse_loss, None, alpha=1.0, steps_judged=50, refused=refused, **options)


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
