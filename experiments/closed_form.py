"""Inner loops that are solved against inner loops of steps: where the solved ones win, and what does not carry over.

    python -m experiments.closed_form

writes runs/closed-form.json.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss
from tqdm import tqdm

from experiments import arguments, fit
from experiments.sweeps import numbers
from mamlbook import GradientDescent, MetaLearner, Model, Sinusoids, Tasks, accuracy, evaluate, maml, mlp
from mamlbook.algorithms.closed_form import fiml, kernel_ridge, line_search, ntk_ridge, protomaml
from mamlbook.pages import environment, record
from mamlbook.tasks import Episodes, glyph_split, glyphs
from mamlbook.tasks.sinusoid import split, uniform
from mamlbook.training import pick_device

SEEDS, ITERATIONS, GLYPH_ITERATIONS = 5, 1_000, 200
TASKS, SHOTS, EVERY, WINDOW = 25, 10, 50, 50
TEST_TASKS, TEST_POINTS, TEST_STEPS = 600, 100, 10
SUPPORTS = (2, 3, 5, 10, 20, 40)
GLYPH_TASKS, GLYPH_QUERIES, GLYPH_TEST_TASKS, GLYPH_TEST_QUERIES = 16, 3, 300, 5

WAVES: dict[str, Callable[[Model], MetaLearner]] = {
    "kernel ridge": kernel_ridge,
    "NTK ridge": ntk_ridge,
    "MAML, 1 step": lambda model: maml(model, 0.01, 1),
    "MAML, 5 steps": lambda model: maml(model, 0.01, 5),
    "line search, 1 step": line_search,
}
LETTERS: dict[str, Callable[[Model], MetaLearner]] = {
    "kernel ridge": kernel_ridge,
    "kernel ridge, scores × 10": kernel_ridge,
    "MAML, 5 steps": lambda model: maml(model, 0.4, 5),
    "ProtoMAML": lambda model: protomaml(model, 0.1, 5),
    "FIML": fiml,
}


@dataclass(frozen=True)
class Outside:
    """Waves whose support set lies where training was, in -5..5, and whose query set lies beyond it, in ``beyond``."""

    beyond: tuple[float, float]

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        waves = Sinusoids()
        amplitude = uniform(waves.amplitude, (tasks, 1, 1), generator)
        phase = uniform(waves.phase, (tasks, 1, 1), generator)
        inside = uniform(waves.domain, (tasks, SHOTS, 1), generator)
        x = torch.cat([inside, uniform(self.beyond, (tasks, TEST_POINTS, 1), generator)], 1)
        return split(x, amplitude * torch.sin(x - phase), SHOTS)


BEYOND = {"inside": (-5.0, 5.0), "to 6": (5.0, 6.0), "to 8": (6.0, 8.0), "to 10": (8.0, 10.0)}


def scaled(y_hat: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of scores that are ten times as large."""
    return cross_entropy(10 * y_hat, y)


def letters_model(name: str, seed: int) -> Model:
    """Drawings at half size, and two hidden layers of 64 units."""
    first = [("pool", nn.AvgPool2d(2)), ("flatten", nn.Flatten())]
    net = nn.Sequential(OrderedDict([*first, *mlp(196, 64, 64, 5, seed=seed).named_children()]))
    return Model(net, scaled if name.endswith("10") else cross_entropy)


def wave_run(name: str, seed: int, iterations: int, device: torch.device) -> dict[str, Any]:
    """The losses on the way, and the errors at the end: by support points, and by distance."""
    learner = WAVES[name](Model(mlp(1, 40, 40, 1, seed=seed), mse_loss))
    waves = Sinusoids(shots=SHOTS)
    history = fit(learner, waves, steps=iterations, tasks=TASKS, seed=seed, device=device, progress=False)

    steps = TEST_STEPS if isinstance(learner.solver, GradientDescent) else 1

    def error(test: Any) -> Tensor:
        return evaluate(learner, test, tasks=TEST_TASKS, steps=steps, seed=1).mean(0)

    by_support = [error(Sinusoids(shots=shots, queries=TEST_POINTS)) for shots in SUPPORTS]
    return {
        "losses": numbers(history.smoothed(WINDOW)[EVERY - 1 :: EVERY]),
        "new": numbers(by_support[SUPPORTS.index(SHOTS)]),
        "support": numbers(torch.stack([errors[-1] for errors in by_support])),
        "beyond": numbers(torch.stack([error(Outside(interval))[-1] for interval in BEYOND.values()])),
    }


def letter_run(name: str, seed: int, iterations: int, device: torch.device) -> dict[str, Any]:
    """The accuracy on letters of scripts that training has not seen, after 0..10 steps; the loss in training."""
    learner = LETTERS[name](letters_model(name, seed))
    learn, judge = glyph_split(glyphs())
    episodes = Episodes(learn, ways=5, shots=1, queries=GLYPH_QUERIES)
    fit(learner, episodes, steps=iterations, tasks=GLYPH_TASKS, seed=seed, device=device, progress=False)
    test = Episodes(judge, ways=5, shots=1, queries=GLYPH_TEST_QUERIES)
    steps = TEST_STEPS if isinstance(learner.solver, GradientDescent) else 1
    options = {"tasks": GLYPH_TEST_TASKS, "steps": steps, "seed": 1}
    return {
        "new": numbers(evaluate(learner, test, metric=accuracy, **options).mean(0)),
        "loss": numbers(evaluate(learner, test, **options).mean(0)),
    }


def runs(table: dict, run: Callable, seeds: int, iterations: int, device: torch.device) -> dict[str, Any]:
    """Every method from every seed."""
    wanted = [(name, seed) for seed in range(seeds) for name in table]
    measured: dict[str, Any] = {name: {"error": {}} for name in table}
    for name, seed in tqdm(wanted, unit="run"):
        measured[name]["error"][str(seed)] = run(name, seed, iterations, device)
    return measured


def main(words: list[str] | None = None) -> None:
    parser = arguments("closed_form", __doc__, seeds=SEEDS, iterations=ITERATIONS, letters=GLYPH_ITERATIONS)
    options = parser.parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    result = {
        "waves": runs(WAVES, wave_run, options.seeds, options.iterations, device),
        "letters": runs(LETTERS, letter_run, options.seeds, options.letters, device),
        "supports": list(SUPPORTS),
        "beyond": {name: list(interval) for name, interval in BEYOND.items()},
        "every": EVERY,
        "protocol": f"waves: losses, query loss of training as a mean over {WINDOW} meta-steps, every {EVERY}; new, "
        f"squared error after 0..{TEST_STEPS} steps on {SHOTS} support points, at {TEST_POINTS} new points of "
        f"{TEST_TASKS} waves; support, the last of these by the number of support points; beyond, by the interval of "
        "the new points. What is solved has one step. letters: accuracy and loss after "
        f"0..{TEST_STEPS} steps on {GLYPH_TEST_TASKS} tasks of 5 letters with one drawing each, from scripts that "
        "training has not seen. Per method and seed",
        "training": {
            "iterations": options.iterations,
            "letters": options.letters,
            "tasks": [TASKS, GLYPH_TASKS],
            "beta": 1e-3,
        },
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("closed-form", result, folder=options.results))


if __name__ == "__main__":
    main()
