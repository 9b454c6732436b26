"""A transformer as it comes, meta-trained on tasks of words: which of two secret letters stands first?

    python -m experiments.transformer

writes runs/transformer.json, and the weights of the first seed's MAML beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from experiments import arguments, fit_replicas
from mamlbook import Data, GradientDescent, MetaLearner, Model, Tasks, accuracy, evaluate, joint, maml
from mamlbook.devices import drawn_on_cpu
from mamlbook.pages import environment, record
from mamlbook.training import pick_device

LETTERS, LENGTH, SHOTS, QUERIES = 8, 6, 10, 20
STEPS, TASKS, ITERATIONS, SEEDS = 2, 16, 300, 5
ALPHAS, BETAS = (0.1, 0.3, 1.0), (3e-3, 1e-2)
TEST_ALPHAS, TEST_STEPS = (0.03, 0.1, 0.3, 1.0), 20
VALIDATION_TASKS, TEST_TASKS = 100, 400


def pairs() -> tuple[Tensor, Tensor, Tensor]:
    """All ordered pairs of two letters: for training, to choose rates by, and for the test, (pairs, 2) each."""
    every = torch.tensor(list(permutations(range(LETTERS), 2)))
    return every[torch.randperm(len(every), generator=torch.Generator().manual_seed(0))].split((32, 12, 12))


class WhichIsFirst:
    """Words with two secret letters in them; the class says whether the first of the two stands before the second.

    Words are (tasks, examples, LENGTH) whole numbers without repetition, classes (tasks, examples) 0 or 1.
    """

    def __init__(self, secrets: Tensor, shots: int = SHOTS, queries: int = QUERIES):
        self.secrets, self.shots, self.queries = secrets, shots, queries

    def draw(self, count: int, generator: torch.Generator | None = None) -> Tasks:
        examples = self.shots + self.queries
        number = torch.randint(len(self.secrets), (count,), generator=generator)
        secret = self.secrets[number]
        lots = torch.rand(count, examples, LETTERS, generator=generator)
        lots.scatter_(2, secret[:, None].expand(-1, examples, -1), -1.0)  # they are in every word
        letters = lots.argsort(2)[..., :LENGTH]
        words = letters.gather(2, torch.rand(letters.shape, generator=generator).argsort(2))
        one, other = ((words == letter[:, None, None]).float().argmax(2) for letter in secret.T)
        x, y = words.split((self.shots, self.queries), 1), (one < other).long().split((self.shots, self.queries), 1)
        return Tasks(Data(x[0], y[0]), Data(x[1], y[1]), number)


class Transformer(nn.Module):
    """Letters and places, one encoder layer of PyTorch, and a head on the mean: (K, LENGTH) to (K, 2)."""

    def __init__(self, width: int = 16, seed: int = 0):
        super().__init__()
        with drawn_on_cpu(seed):
            self.letters, self.places = nn.Embedding(LETTERS, width), nn.Parameter(torch.randn(LENGTH, width))
            self.encoder = nn.TransformerEncoderLayer(
                width, 2, 2 * width, dropout=0.0, batch_first=True, norm_first=True
            )
            self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.letters(x) + self.places).mean(1))


METHODS: dict[str, tuple[Callable[..., MetaLearner], Sequence[float]]] = {
    "MAML": (lambda model, alpha: maml(model, alpha, STEPS), ALPHAS),
    "joint": (lambda model, alpha: joint(model), (0.0,)),
}


def train(name: str, settings: Sequence[tuple[float, float]], seeds: Sequence[int], iterations: int) -> list[Model]:
    """Meta-train a method at each pair of rates, inner and outer, each with its seed, all at once."""
    method, _ = METHODS[name]
    # A rate that is a tensor may differ between learners side by side.
    learners = [
        method(Model(Transformer(seed=seed), cross_entropy), nn.Parameter(torch.tensor(alpha), requires_grad=False))
        for (alpha, _), seed in zip(settings, seeds, strict=True)
    ]
    training, betas = WhichIsFirst(pairs()[0]), [beta for _, beta in settings]
    fit_replicas(learners, training, steps=iterations, tasks=TASKS, beta=betas, seeds=seeds, progress=False)
    return [learner.model for learner in learners]


def tested(model: Model, alpha: float, secrets: Tensor, tasks: int, seed: int) -> list[float]:
    """Accuracy on new words after 0 to TEST_STEPS steps at a rate, the mean over tasks."""
    learner = MetaLearner(model, GradientDescent(alpha, STEPS))
    options = {"tasks": tasks, "steps": TEST_STEPS, "seed": seed, "metric": accuracy}
    return evaluate(learner, WhichIsFirst(secrets), **options).mean(0).tolist()


def measure(name: str, seeds: int, iterations: int) -> dict[str, Any]:
    """Search both rates of training, then rate and steps of the test, by validation rules; test on other rules."""
    _, validation, test = pairs()
    settings = [(alpha, beta) for alpha in METHODS[name][1] for beta in BETAS]
    searched, search = train(name, settings, [SEEDS] * len(settings), iterations), []
    for (alpha, beta), model in zip(settings, searched, strict=True):
        curves = {rate: tested(model, rate, validation, VALIDATION_TASKS, 1) for rate in TEST_ALPHAS}
        rate = max(curves, key=lambda rate: max(curves[rate]))
        best, steps = max(curves[rate]), curves[rate].index(max(curves[rate]))
        search.append({"alpha": alpha, "beta": beta, "accuracy": _short(best), "test_alpha": rate, "test_steps": steps})
    chosen = max(search, key=lambda one: one["accuracy"])
    models = train(name, [(chosen["alpha"], chosen["beta"])] * seeds, range(seeds), iterations)
    curves = [tested(model, chosen["test_alpha"], test, TEST_TASKS, 2) for model in models]
    rounded = {str(seed): {"new": list(map(_short, curve))} for seed, curve in enumerate(curves)}
    return {**chosen, "search": search, "error": rounded, "theta": models[0].theta}


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def main(words: list[str] | None = None) -> None:
    parser = arguments("transformer", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    options = parser.parse_args(words)
    device, begun = pick_device(options.device), time.process_time()
    runs = {name: measure(name, options.seeds, options.iterations) for name in METHODS}
    theta = {name: run.pop("theta") for name, run in runs.items()}["MAML"]
    result = {
        "runs": runs,
        "protocol": f"accuracy on {QUERIES} new words after 0..{TEST_STEPS} steps on {SHOTS}, the mean over "
        f"{TEST_TASKS} tasks whose pairs of letters were in no training; per seed. Rates of the training, and rate and "
        f"steps of the test, are those of the greatest accuracy on {VALIDATION_TASKS} tasks of other pairs, from a "
        "seed of its own; seconds: of one core",
        "training": {"iterations": options.iterations, "tasks": TASKS, "steps": STEPS, "pairs": len(pairs()[0])},
        "seconds": round(time.process_time() - begun),
        **environment(device),
    }
    print(record("transformer", result, theta, folder=options.results))


if __name__ == "__main__":
    main()
