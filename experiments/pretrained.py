"""A frozen backbone that learned to tell all letters apart, with a new head for each task, against training on tasks.

    python -m experiments.pretrained

writes runs/pretrained.json, one training after the other, and goes on where it stopped. ``PROTOCOL`` says what is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from tqdm import tqdm

from experiments import arguments, fit_replicas
from experiments.worlds import World, pictures
from mamlbook import GradientDescent, MetaLearner, Model, accuracy, conv4, evaluate, maml
from mamlbook.algorithms import ALGORITHMS
from mamlbook.analysis.costs import cost
from mamlbook.inner import PrototypeHead
from mamlbook.layers import FixedNorm
from mamlbook.metagradient import Exact
from mamlbook.pages import environment, recall, record
from mamlbook.tasks import FixedTasks, Pool, TaskDistribution
from mamlbook.tasks.base import Data, Tasks
from mamlbook.training import pick_device

WAYS, FILTERS, PICTURES = 5, 16, 128
STEPS, SEEDS, SEARCH_SEED = 200, 5, 100
BETAS, ALPHAS = (1e-3, 3e-3, 1e-2, 3e-2), (0.1, 0.03, 0.3)
TASKS_JUDGED, VALIDATION, TEST = 250, 11, 12
NAMES = ("maml", "prototypical network", "pre-training", "untrained")
INNER_STEPS, HEAD_STEPS, HEAD_RATES = 3, 30, (0.1, 1.0, 10.0)

PROTOCOL = (
    f"glyphs in three sets of scripts; {WAYS} ways, 1 shot, 15 queries of each class; conv4 with {FILTERS} filters. "
    f"MAML takes one inner step and 8 tasks a meta-step, the prototypical network 8 tasks too; pre-training takes "
    f"{PICTURES} pictures a step, with one class for all letters that look alike. All have as many multiplications as "
    f"{STEPS} meta-steps of MAML. Search, from seed {SEARCH_SEED}: every outer rate of {list(BETAS)}, for MAML at the "
    f"first inner rate of {list(ALPHAS)}, then the others at the best outer rate; judged by the accuracy on "
    f"{TASKS_JUDGED} validation tasks. There each row also chooses what costs no training: MAML how many of "
    f"{INNER_STEPS} steps, a head on the frozen backbone the length of the features (as they are, or one) and the "
    "statistics of batch norm (of the batch at hand, or of training pictures), the linear head its rate, of "
    f"{list(HEAD_RATES)}, and how many of {HEAD_STEPS} steps. The best is trained again from other seeds and measured "
    f"on {TASKS_JUDGED} test tasks: an accuracy for each seed, None for a run that came to no end. The untrained rows "
    "are the same heads on a network that was not trained."
)

Scores = dict[str, float]
"""The mean accuracy for every way to use what was trained."""


@dataclass(frozen=True)
class Letters:
    """Ordinary pre-training as a distribution over tasks: a single task, to say of any picture which letter it is.

    The support set is one picture of the query set, which a learner without inner steps does not look at.

    Shapes: x is (B, 128, 1, 28, 28), y is (B, 128), int64.
    """

    pool: Pool

    @property
    def labels(self) -> Tensor:
        """The class of every drawing, one class for all letters that look alike: (drawings,)."""
        return self.pool.looks.unique(return_inverse=True)[1].repeat_interleave(self.pool.counts)

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        labels = self.labels
        chosen = torch.randint(len(labels), (tasks, PICTURES), generator=generator)
        query = Data(self.pool.drawings[chosen].float() / 255, labels[chosen])
        return Tasks(Data(query.x[:, :1], query.y[:, :1]), query)


class Training(NamedTuple):
    """One way to train: the learner, its tasks and how many at a time, and the uses of the start that it gives.

    ``rows`` name those uses that are compared: of all that begin alike, the best.
    """

    learner: Callable[[float, int], MetaLearner]
    distribution: TaskDistribution
    tasks: int
    use: Callable[[MetaLearner, TaskDistribution, int], Scores]
    rows: Sequence[str]
    alphas: Sequence[float] = ALPHAS[:1]


def trainings(world: World) -> dict[str, Training]:
    """The three ways to train."""
    letters = Letters(world.training.pool)
    classes = int(letters.labels.max()) + 1

    def learner_of_tasks(alpha: float, seed: int) -> MetaLearner:
        return maml(small(WAYS, seed), alpha, 1)

    def prototypical(alpha: float, seed: int) -> MetaLearner:
        return MetaLearner(small(WAYS, seed), GradientDescent(alpha, 0, start=PrototypeHead()), Exact())

    def pretrained(alpha: float, seed: int) -> MetaLearner:
        return ALGORITHMS["joint"](small(classes, seed), alpha)

    heads = ("nearest mean", "linear head")
    return {
        "maml": Training(learner_of_tasks, world.training, world.tasks, after_steps, ("MAML",), ALPHAS),
        "prototypical network": Training(prototypical, world.training, world.tasks, at_prototypes, ("prototypes",)),
        "pre-training": Training(pretrained, letters, 1, with_a_head, heads),
    }


def small(outputs: int, seed: int) -> Model:
    return Model(conv4(outputs, filters=FILTERS, seed=seed), cross_entropy)


# ---------------------------------------------------------------- how a start is used


def after_steps(learner: MetaLearner, on: TaskDistribution, seed: int) -> Scores:
    """After every inner step."""
    scores = _evaluated(learner, on, INNER_STEPS, seed)
    return {f"MAML, {step} steps": score for step, score in enumerate(scores)}


def at_prototypes(learner: MetaLearner, on: TaskDistribution, seed: int) -> Scores:
    """With the head of the class means."""
    return {"prototypes": _evaluated(learner, on, 0, seed)[0]}


def with_a_head(learner: MetaLearner, on: TaskDistribution, seed: int) -> Scores:
    """With a head on the frozen backbone: the nearest mean, or a linear head after every step."""
    tasks, found = on.draw(TASKS_JUDGED, torch.Generator().manual_seed(seed)), {}
    for statistics, net in (("of the batch", learner.model.net), ("stored", frozen(learner.model.net))):
        support, query = (features(net, data) for data in tasks[:2])
        for length, scale in (("as they are", Tensor.clone), ("of length one", normalize)):
            how = f"statistics {statistics}, features {length}"
            given = Tasks(*(Data(scale(data.x.mT).mT, data.y) for data in (support, query)))
            found[f"nearest mean, {how}"] = nearest_mean(given)
            for rate in HEAD_RATES:
                scores = linear_head(given, rate)
                found |= {f"linear head, {how}, rate {rate:g}, {step} steps": s for step, s in enumerate(scores)}
    return found


def features(net: nn.Sequential, data: Data) -> Data:
    """What the head of the network would see, with batch norm by the pictures of each task: x becomes (B, K, d)."""
    with torch.no_grad():
        return Data(torch.stack([net[:-1](pictures) for pictures in data.x]), data.y)


def frozen(net: nn.Sequential) -> nn.Sequential:
    """The network with the statistics of a thousand training pictures in the place of those of the batch at hand."""
    drawings, net = pictures().training.pool.drawings, deepcopy(net)
    chosen = torch.randint(len(drawings), (1000,), generator=torch.Generator().manual_seed(0))
    h = drawings[chosen].float() / 255
    with torch.no_grad():
        for block in (block for name, block in net.named_children() if name.startswith("block")):
            seen, norm = block.conv(h), FixedNorm(FILTERS)
            statistics = {"mean": seen.mean((0, 2, 3)), "variance": seen.var((0, 2, 3), correction=0)}
            norm.load_state_dict(block.norm.state_dict() | statistics)
            block.norm = norm
            h = block(h)
    return net


def nearest_mean(tasks: Tasks) -> float:
    """The accuracy of the class with the nearest mean of the support features."""
    means = tasks.support.x.unflatten(1, (WAYS, -1)).mean(2)  # episodes have class after class
    return (torch.cdist(tasks.query.x, means).argmin(-1) == tasks.query.y).float().mean().item()


def linear_head(tasks: Tasks, rate: float) -> list[float]:
    """The accuracy of a linear head after every step of gradient descent from zero."""
    head = nn.Linear(tasks.support.x.shape[-1], WAYS)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    learner = MetaLearner(Model(head, cross_entropy), GradientDescent(rate, HEAD_STEPS))
    return evaluate(learner, FixedTasks(tasks), metric=accuracy, progress=False).mean(0).tolist()


def _evaluated(learner: MetaLearner, on: TaskDistribution, steps: int, seed: int) -> list[float]:
    scores = evaluate(learner, on, tasks=TASKS_JUDGED, steps=steps, seed=seed, metric=accuracy, progress=False)
    return scores.mean(0).tolist()


# ---------------------------------------------------------------- the protocol


def work(training: Training) -> int:
    """Multiplications and additions of one step of a training."""
    batch = training.distribution.draw(training.tasks, torch.Generator().manual_seed(0))
    return cost(training.learner(ALPHAS[0], 0), batch).operations


def trained(
    training: Training, steps: int, settings: Sequence[tuple[float, float]], seeds: Sequence[int], device: torch.device
) -> list[MetaLearner | None]:
    """A learner for each (alpha, beta) and seed; None for one that came to no end.

    One by one: convolutions of several learners at once would take longer.
    """
    learners: list[MetaLearner | None] = []
    for (alpha, beta), seed in zip(settings, seeds, strict=True):
        learner = training.learner(alpha, seed)
        how = {"tasks": training.tasks, "seeds": [seed], "beta": beta, "device": device}
        (history,) = fit_replicas([learner], training.distribution, steps=steps, progress=False, **how)
        learners.append(learner if history.error is None else None)
    return learners


def judged(training: Training, learner: MetaLearner | None, on: TaskDistribution, seed: int) -> Scores | None:
    return None if learner is None else training.use(learner.to("cpu"), on, seed)


def run(training: Training, world: World, steps: int, seeds: int, device: torch.device) -> dict[str, Any]:
    """Search, choose for each row, and measure from other seeds."""
    tried: dict[tuple[float, float], Scores | None] = {}

    def attempt(settings: list[tuple[float, float]]) -> None:
        learners = trained(training, steps, settings, [SEARCH_SEED] * len(settings), device)
        scores = (judged(training, learner, world.judged[0], VALIDATION) for learner in learners)
        tried.update(zip(settings, scores, strict=True))

    def best(row: str) -> tuple[float, tuple[float, float], str]:
        return max(
            (score, setting, use)
            for setting, scores in tried.items()
            for use, score in (scores or {}).items()
            if use.startswith(row)
        )

    first, *others = training.alphas
    attempt([(first, beta) for beta in BETAS])
    if others:
        attempt([(alpha, best(training.rows[0])[1][1]) for alpha in others])
    rows, measured = {}, {}
    for row in training.rows:
        validation, setting, use = best(row)
        if setting not in measured:
            learners = trained(training, steps, [setting] * seeds, range(seeds), device)
            measured[setting] = [judged(training, learner, world.judged[1], TEST) for learner in learners]
        found = [None if scores is None else round(scores[use], 5) for scores in measured[setting]]
        alpha, beta = setting
        told = {"alpha": alpha, "beta": beta, "use": use, "validation": round(validation, 5)}
        rows[row] = told | {"accuracy": found}
    search = [
        {"alpha": alpha, "beta": beta, "best": {row: _best(scores, row) for row in training.rows}}
        for (alpha, beta), scores in tried.items()
    ]
    return {"steps": steps, "search": search, "rows": rows}


def _best(scores: Scores | None, row: str) -> float | None:
    return None if scores is None else round(max(s for use, s in scores.items() if use.startswith(row)), 5)


def untrained(training: Training, world: World, seeds: int) -> dict[str, Any]:
    """The same heads on networks that were not trained, used as is best on the validation tasks."""
    on_validation = training.use(training.learner(ALPHAS[0], SEARCH_SEED), world.judged[0], VALIDATION)
    scores = [training.use(training.learner(ALPHAS[0], seed), world.judged[1], TEST) for seed in range(seeds)]
    rows = {}
    for row in training.rows:
        use = max((use for use in on_validation if use.startswith(row)), key=on_validation.__getitem__)
        rows[row] = {"use": use, "accuracy": [round(each[use], 5) for each in scores]}
    return {"steps": 0, "rows": rows}


def main(words: list[str] | None = None) -> None:
    parser = arguments("pretrained", __doc__, seeds=SEEDS, steps=STEPS)
    parser.add_argument("--trainings", nargs="+", choices=NAMES, default=NAMES)
    options = parser.parse_args(words)
    torch.set_num_threads(1)
    world = pictures()
    every = trainings(world)
    device, path = pick_device(options.device), options.results / "pretrained.json"
    stored = recall("pretrained", folder=options.results) if path.is_file() else {"trainings": {}}
    budget = options.steps * work(every["maml"])
    for name in tqdm(options.trainings, "pretrained", unit="training"):
        if name in stored["trainings"]:
            continue
        begun = time.perf_counter()
        if name == "untrained":
            found = untrained(every["pre-training"], world, options.seeds)
        else:
            found = run(every[name], world, round(budget / work(every[name])), options.seeds, device)
        stored["trainings"][name] = found | {"seconds": round(time.perf_counter() - begun)}
        record("pretrained", stored | {"protocol": PROTOCOL, **environment(device)}, folder=options.results)
    print(path)


if __name__ == "__main__":
    main()
