"""A transformer as it comes, meta-trained on tasks of words: which of two secret letters stands first?

    python -m experiments.transformer

writes runs/transformer.json, and the weights of the first seed's MAML beside it. A search goes on where it stopped.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from experiments import arguments, fit_replicas
from mamlbook import Data, GradientDescent, MetaLearner, Model, Tasks, accuracy, evaluate, joint, maml
from mamlbook.analysis.costs import cost
from mamlbook.devices import drawn_on_cpu
from mamlbook.pages import environment, record
from mamlbook.training import pick_device

LETTERS, LENGTH, SHOTS, QUERIES = 8, 6, 10, 20
STEPS, TASKS, ITERATIONS, SEEDS = 2, 16, 300, 5
ALPHAS, BETAS = (0.1, 0.3, 1.0), (3e-3, 1e-2, 3e-2)
JOINT_BETAS = (1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 2e-2, 3e-2, 5e-2, 1e-1)  # as many as MAML has pairs of rates
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


class Method(NamedTuple):
    """A learner of an inner rate, the pairs of rates that are tried first, and the name of whose arithmetic it gets."""

    learner: Callable[..., MetaLearner]
    tried: Sequence[tuple[float, float]]
    arithmetic_of: str | None = None


METHODS = {
    "MAML": Method(lambda model, alpha: maml(model, alpha, STEPS), [(a, b) for a in ALPHAS for b in BETAS]),
    "joint": Method(lambda model, alpha: joint(model), [(0.0, beta) for beta in JOINT_BETAS]),
    "joint, equal arithmetic": Method(
        lambda model, alpha: joint(model), [(0.0, beta) for beta in JOINT_BETAS], arithmetic_of="MAML"
    ),
}


def operations(name: str) -> int:
    """The operations of one meta-gradient."""
    tasks = WhichIsFirst(pairs()[0]).draw(TASKS, torch.Generator().manual_seed(0))
    return cost(METHODS[name].learner(Model(Transformer(), cross_entropy), 0.1), tasks).operations


def meta_steps(name: str, iterations: int) -> int:
    """How many meta-steps a method takes: ``iterations``, or as many as cost what the other's ``iterations`` cost."""
    other = METHODS[name].arithmetic_of
    return iterations * operations(other) // operations(name) if other else iterations


def train(name: str, settings: Sequence[tuple[float, float]], seeds: Sequence[int], iterations: int) -> list[Model]:
    """Meta-train a method at each pair of rates, inner and outer, each with its seed, all at once."""
    method = METHODS[name].learner
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


def judged(model: Model) -> dict[str, Any]:
    """The greatest accuracy by validation rules, with the rate and the number of steps that reach it."""
    curves = {rate: tested(model, rate, pairs()[1], VALIDATION_TASKS, 1) for rate in TEST_ALPHAS}
    rate = max(curves, key=lambda rate: max(curves[rate]))
    best = max(curves[rate])
    return {"accuracy": _short(best), "test_alpha": rate, "test_steps": curves[rate].index(best)}


def beyond(search: Sequence[dict[str, Any]]) -> list[tuple[float, float]]:
    """The next pairs of rates, if a best rate is at the end of those that were tried with its partner."""
    best = max(search, key=lambda one: one["accuracy"])
    pair, found = {"alpha": best["alpha"], "beta": best["beta"]}, []
    for own, other in (("alpha", "beta"), ("beta", "alpha")):
        tried = [one[own] for one in search if one[other] == best[other]]
        if best[own] and best[own] in (min(tried), max(tried)):
            by = 3 if best[own] == max(tried) else 1 / 3
            found.append(tuple({**pair, own: float(f"{best[own] * by:.1g}")}.values()))
    return found


def search(name: str, iterations: int, known: list[dict[str, Any]]) -> None:
    """Try the pairs of rates that are not known yet, and further ones as long as a best rate is at an end."""
    wanted = METHODS[name].tried
    while missing := [pair for pair in wanted if pair not in [(one["alpha"], one["beta"]) for one in known]]:
        models = train(name, missing, [SEEDS] * len(missing), iterations)
        known += [
            {"alpha": alpha, "beta": beta, **judged(model)}
            for (alpha, beta), model in zip(missing, models, strict=True)
        ]
        wanted = beyond(known)


def measure(name: str, seeds: int, iterations: int, folder: Path) -> dict[str, Any]:
    """Search both rates of training, then rate and steps of the test, by validation rules; test on other rules."""
    kept = folder / "transformer.partial.json"
    known = json.loads(kept.read_text()) if kept.is_file() else {}
    begun, own = time.process_time(), known.setdefault(name, {"search": [], "seconds": 0.0})
    iterations = meta_steps(name, iterations)
    search(name, iterations, own["search"])
    own["seconds"] += time.process_time() - begun
    record(kept.stem, known, folder=folder)
    begun, chosen = time.process_time(), max(own["search"], key=lambda one: one["accuracy"])
    models = train(name, [(chosen["alpha"], chosen["beta"])] * seeds, range(seeds), iterations)
    curves = [tested(model, chosen["test_alpha"], pairs()[2], TEST_TASKS, 2) for model in models]
    return {
        **chosen,
        "meta_steps": iterations,
        "operations": iterations * operations(name),
        "search": own["search"],
        "error": {str(seed): {"new": list(map(_short, curve))} for seed, curve in enumerate(curves)},
        "seconds": round(own["seconds"] + time.process_time() - begun),
        "theta": models[0].theta,
    }


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def main(words: list[str] | None = None) -> None:
    parser = arguments("transformer", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    options = parser.parse_args(words)
    device, folder = pick_device(options.device), options.results
    runs = {name: measure(name, options.seeds, options.iterations, folder) for name in METHODS}
    theta = {name: run.pop("theta") for name, run in runs.items()}["MAML"]
    result = {
        "runs": runs,
        "protocol": f"accuracy on {QUERIES} new words after 0..{TEST_STEPS} steps on {SHOTS}, the mean over "
        f"{TEST_TASKS} tasks whose pairs of letters were in no training; per seed. Rates of the training, and rate and "
        f"steps of the test, are those of the greatest accuracy on {VALIDATION_TASKS} tasks of other pairs, from a "
        f"seed of its own, after as long a training; each method begins with {len(JOINT_BETAS)} settings, and a best "
        "rate at the end of those that were tried is followed beyond it. operations: of the matrix products of one "
        "training; with equal arithmetic joint training takes as many as MAML; seconds: of one core",
        "training": {"iterations": options.iterations, "tasks": TASKS, "steps": STEPS, "pairs": len(pairs()[0])},
        "seconds": sum(run["seconds"] for run in runs.values()),
        **environment(device),
    }
    path = record("transformer", result, theta, folder=folder)
    (folder / "transformer.partial.json").unlink()
    print(path)


if __name__ == "__main__":
    main()
