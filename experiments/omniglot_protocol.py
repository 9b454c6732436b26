"""What a protocol decides: two stored starts for Omniglot, measured again with one decision changed at a time.

    python -m experiments.omniglot_protocol --data FOLDER

writes runs/omniglot-protocol.json. Nothing is trained. ``PROTOCOL`` says what is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from experiments import arguments
from mamlbook import MetaLearner, confidence, pretrained
from mamlbook.layers import BatchNorm
from mamlbook.pages import environment, record
from mamlbook.tasks import Episodes, Pool
from mamlbook.tasks.base import Data, Tasks
from mamlbook.tasks.omniglot_pool import background, evaluation, omniglot, paper_split
from mamlbook.training import pick_device

NAME = "omniglot-protocol"
WAYS, TASKS, CHUNK, SEED = 5, 600, 20, 1
QUERIES, STEPS = (1, 5, 15), (0, 1, 2, 3, 5, 10)
SIDE = 7  # pixels of the drawings that a baseline without a network compares

PROTOCOL = (
    f"The stored starts omniglot-5w1s-maml (1200 shuffled characters to learn from) and -background (30 alphabets), "
    f"{WAYS} ways, 1 shot. Each line has one decision changed; where nothing else is said there is 1 query of each "
    "class, one inner step, classes turned, and batch norm by the statistics of the query set. Accuracy in per cent "
    f"over {TASKS} tasks with its 95 % interval. Lines of one part are measured on the same tasks where the tasks are "
    "the same, and differences are those of pairs. Ties: the class of the support drawing with the fewest different "
    f"pixels, of drawings made black and white at {SIDE} x {SIDE}."
)

Predict = Callable[[MetaLearner, Tasks], Tensor]


def by_query_set(learner: MetaLearner, tasks: Tasks, steps: int = 1) -> Tensor:
    """Scores (B, K, N) with the statistics of all queries of a task: transductive."""
    adapted = learner.adapt(tasks.support, steps)
    return adapted.predict(adapted.phi, tasks.query.x)


def each_beside_support(learner: MetaLearner, tasks: Tasks) -> Tensor:
    """Every query by itself, in a batch with the support set."""
    adapted, x = learner.adapt(tasks.support), tasks.query.x
    alone = (torch.cat([tasks.support.x, x[:, [place]]], 1) for place in range(x.shape[1]))
    return torch.cat([adapted.predict(adapted.phi, batch)[:, -1:] for batch in alone], 1)


def each_alone(learner: MetaLearner, tasks: Tasks) -> Tensor:
    """Every query in a batch of its own: its own pixels are all there is."""
    adapted = learner.adapt(tasks.support)
    return torch.cat([adapted.predict(adapted.phi, x[:, None]) for x in tasks.query.x.unbind(1)], 1)


def by_support_set(learner: MetaLearner, tasks: Tasks) -> Tensor:
    """All queries with the statistics of the support set alone."""
    norms = [module for module in learner.modules() if isinstance(module, BatchNorm)]
    adapted, count = learner.adapt(tasks.support), tasks.support.x.shape[1]
    for norm in norms:
        norm.first = count
    try:
        return adapted.predict(adapted.phi, torch.cat([tasks.support.x, tasks.query.x], 1))[:, count:]
    finally:
        for norm in norms:
            norm.first = None


STATISTICS: dict[str, Predict] = {
    "query set": by_query_set,
    "support set": by_support_set,
    "support set and one query": each_beside_support,
    "one query": each_alone,
}


def draws(episodes: Episodes, tasks: int):
    """The tasks, some at a time."""
    generator = torch.Generator().manual_seed(SEED)
    for first in range(0, tasks, CHUNK):
        yield episodes.draw(min(CHUNK, tasks - first), generator)


def accuracies(learner: MetaLearner, episodes: Episodes, predict: Predict, tasks: int) -> Tensor:
    """The accuracy of every task in per cent, (tasks,)."""
    found = []
    with torch.no_grad(), learner.testing():
        for batch in draws(episodes, tasks):
            right = predict(learner, batch).argmax(-1) == batch.query.y
            found.append(100 * right.double().mean(1))
    return torch.cat(found)


def told(values: Tensor) -> list[float]:
    mean, half = confidence(values[:, None])
    return [round(mean.item(), 2), round(half.item(), 2)]


def one_alphabet(pool: Pool, tasks: int) -> list[tuple[Episodes, int]]:
    """Tasks whose classes come from one alphabet, equally many of each."""
    names = sorted(set(pool.alphabets))
    of_each = max(1, tasks // len(names))
    chosen = [pool[torch.tensor([one == name for one in pool.alphabets])] for name in names]
    return [(Episodes(part, WAYS, 1, 1, rotate=True), of_each) for part in chosen]


def pixel_distances(tasks: Tasks) -> Tensor:
    """In how many pixels every query differs from every support drawing, at 7 x 7 in black and white: (B, K, N)."""

    def small(data: Data) -> Tensor:
        return (avg_pool2d(data.x.flatten(0, 1), data.x.shape[-1] // SIDE) > 0.15).view(*data.x.shape[:2], -1)

    support, query = small(tasks.support), small(tasks.query)
    return (query[:, :, None] != support[:, None]).sum(-1)


def ties(episodes: Episodes, tasks: int) -> dict[str, Any]:
    """The accuracy of the nearest drawing by what is done with a tie, and how often there is one."""
    found: dict[str, list[Tensor]] = {name: [] for name in ("tied", "first", "shared", "counted as right")}
    for batch in draws(episodes, tasks):
        distance = pixel_distances(batch)
        least = distance.amin(-1, keepdim=True)
        nearest = distance == least
        right = nearest.gather(-1, batch.query.y[..., None])[..., 0]
        found["tied"].append((nearest.sum(-1) > 1).double())
        found["first"].append((distance.argmin(-1) == batch.query.y).double())
        found["shared"].append(right / nearest.sum(-1))
        found["counted as right"].append(right.double())
    return {name: told(100 * torch.cat(values).mean(1)) for name, values in found.items()}


def measured(pool: Pool, tasks: int) -> dict[str, Any]:
    """Every decision of the page."""
    held_out, result = paper_split(pool)[1], {}
    learner = pretrained("omniglot-5w1s-maml").learner
    alphabets = pretrained("omniglot-5w1s-maml-background").learner
    usual = Episodes(held_out, WAYS, 1, 1, rotate=True)
    base = accuracies(learner, usual, by_query_set, tasks)

    statistics = {}
    for queries in (QUERIES[0], QUERIES[-1]):
        episodes = Episodes(held_out, WAYS, 1, queries, rotate=True)
        scores = {name: accuracies(learner, episodes, predict, tasks) for name, predict in STATISTICS.items()}
        statistics[str(queries)] = {
            name: {"accuracy": told(values), "less": told(values - scores["query set"])}
            for name, values in scores.items()
        }
    result["statistics"] = statistics
    result["queries"] = {
        str(count): told(accuracies(learner, Episodes(held_out, WAYS, 1, count, rotate=True), by_query_set, tasks))
        for count in QUERIES
    }
    upright = Episodes(held_out, WAYS, 1, 1, rotate=False)
    result["turned"] = {"yes": told(base), "no": told(accuracies(learner, upright, by_query_set, tasks))}
    result["steps"] = {
        str(steps): told(accuracies(learner, usual, lambda one, batch, s=steps: by_query_set(one, batch, s), tasks))
        for steps in STEPS
    }
    result["split"] = {
        "learned from the characters": told(
            accuracies(learner, Episodes(paper_split(pool)[0], WAYS, 1, 1, rotate=True), by_query_set, tasks)
        ),
        "new characters": told(base),
        "new alphabets": told(
            accuracies(alphabets, Episodes(evaluation(pool), WAYS, 1, 1, rotate=True), by_query_set, tasks)
        ),
        "alphabets learned from": told(
            accuracies(alphabets, Episodes(background(pool), WAYS, 1, 1, rotate=True), by_query_set, tasks)
        ),
        "one new alphabet a task": told(
            torch.cat(
                [
                    accuracies(alphabets, part, by_query_set, count)
                    for part, count in one_alphabet(evaluation(pool), tasks)
                ]
            )
        ),
    }
    result["ties"] = ties(Episodes(held_out, WAYS, 1, 5, rotate=True), tasks)
    result["spread"] = {
        str(count): round(
            accuracies(learner, Episodes(held_out, WAYS, 1, count, rotate=True), by_query_set, tasks).std().item(), 3
        )
        for count in (1, 15)
    }
    return result


def main(words: list[str] | None = None) -> None:
    parser = arguments(NAME.replace("-", "_"), __doc__, tasks=TASKS)
    parser.add_argument("--data", type=Path, default=None, help="folder of the two Omniglot zips")
    options = parser.parse_args(words)
    begun = time.perf_counter()
    found = measured(omniglot(options.data), options.tasks)
    seconds = round(time.perf_counter() - begun)
    about = {"command": "python -m experiments.omniglot_protocol", "seed": SEED, "seconds": seconds}
    record(NAME, found | {"protocol": PROTOCOL, **about, **environment(pick_device("cpu"))}, folder=options.results)
    print(options.results / f"{NAME}.json")


if __name__ == "__main__":
    main()
