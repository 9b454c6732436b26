"""Shorter formats: how far they move first- and second-order meta-gradients, and what that does to a training.

    python -m experiments.precision

writes runs/precision.json. TF32 is emulated: the operands of products are rounded to ten bits of mantissa.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from experiments import arguments
from experiments.side_by_side import meta_train
from mamlbook import (
    Exact,
    FirstOrder,
    GradientDescent,
    MetaLearner,
    Model,
    Sinusoids,
    Tasks,
    accuracy,
    conv4,
    evaluate,
    mlp,
)
from mamlbook.analysis import TF32, RoundedProducts
from mamlbook.evaluation import Metric
from mamlbook.metagradient import MetaGradient
from mamlbook.model import Loss
from mamlbook.pages import environment, load_theta, recall_weights, record
from mamlbook.tasks.distribution import TaskDistribution
from mamlbook.tasks.glyph_pool import glyph_split, glyphs
from mamlbook.tasks.images import Episodes
from mamlbook.training import pick_device


class Format(NamedTuple):
    """In what weights are kept, and what surrounds the computation."""

    weights: torch.dtype = torch.float32
    around: Callable[[], AbstractContextManager] = nullcontext


DOUBLE = Format(torch.float64)
FORMATS = {
    "float32": Format(),
    "TF32": Format(around=partial(RoundedProducts, TF32)),
    "bfloat16 products": Format(around=partial(RoundedProducts, 7)),
    "bfloat16 weights": Format(torch.bfloat16),
}
ORDERS: dict[str, Callable[[], MetaGradient]] = {"maml": Exact, "fomaml": FirstOrder}


class Field(NamedTuple):
    """Networks, tasks and rates that formats are compared on."""

    network: Callable[[int], nn.Module]
    loss: Loss
    alpha: float
    tasks: int
    steps: list[int]
    trained: int
    """Inner steps of a meta-training."""
    seeds: int
    iterations: int
    metric: Metric | None = None


WAVES = Field(lambda seed: mlp(1, 40, 40, 1, seed=seed), mse_loss, 0.01, 25, [0, 1, 2, 5, 10, 20, 40], 5, 5, 400)
GLYPHS = Field(lambda seed: conv4(5, filters=16, seed=seed), cross_entropy, 0.4, 8, [0, 1, 2, 5], 1, 3, 200, accuracy)
DRAWS, BETA = 5, 1e-3
TEST_TASKS, TEST_STEPS = 300, 5


def distributions() -> dict[str, tuple[Field, TaskDistribution, TaskDistribution]]:
    """What is trained on, and what is tested on."""
    waves = Sinusoids(shots=10)
    train, held_out = (Episodes(pool, 5, 1, 5) for pool in glyph_split(glyphs()))
    return {"waves": (WAVES, waves, waves), "glyphs": (GLYPHS, train, held_out)}


def gradient(net: nn.Module, field: Field, order: str, steps: int, tasks: Tasks, form: Format) -> Tensor:
    """The meta-gradient in that format, as one vector in double precision."""
    model = Model(net.to(form.weights), field.loss)
    learner = MetaLearner(model, GradientDescent(field.alpha, steps), ORDERS[order]())
    with form.around():
        found = learner.meta_gradient(tasks.to(form.weights))
    return torch.cat([g.double().flatten() for g in found])


def errors(build: Callable[[], nn.Module], field: Field, draws: list[Tasks]) -> dict[str, dict[str, list]]:
    """|g - g64| / |g64| by order, format and number of inner steps: the median over draws, None where it is none."""
    found: dict[str, dict[str, list]] = {order: {name: [] for name in FORMATS} for order in ORDERS}
    for order, table in found.items():
        for steps in field.steps:
            right = [gradient(build(), field, order, steps, tasks, DOUBLE) for tasks in draws]
            for name, form in FORMATS.items():
                near = [gradient(build(), field, order, steps, tasks, form) for tasks in draws]
                off = [((a - b).norm() / b.norm()).item() for a, b in zip(near, right, strict=True)]
                table[name].append(_short(torch.tensor(off).median().item()))
    return found


def trained(
    field: Field, train: TaskDistribution, test: TaskDistribution, form: Format, seeds: int, iterations: int
) -> Tensor:
    """Train in the format, test in float32: the loss, or the metric, after each test step, (seeds, S + 1)."""
    models = [Model(field.network(seed).to(form.weights), field.loss) for seed in range(seeds)]
    options = {"iterations": iterations, "tasks": field.tasks, "beta": lambda step: BETA}
    with form.around():
        meta_train(models, GradientDescent(field.alpha, field.trained), Exact(), train, **options)
    solver, found = GradientDescent(field.alpha, field.trained), []
    for model in models:
        learner = MetaLearner(Model(model.net.float(), field.loss), solver, Exact())
        found.append(evaluate(learner, test, tasks=TEST_TASKS, steps=TEST_STEPS, metric=field.metric).mean(0))
    return torch.stack(found)


def _short(value: float) -> float | None:
    return float(f"{value:.3g}") if abs(value) < float("inf") else None


def main(words: list[str] | None = None) -> None:
    parser = arguments("precision", __doc__, draws=DRAWS, seeds=WAVES.seeds, iterations=WAVES.iterations)
    options = parser.parse_args(words)
    device, started, known = pick_device(options.device), time.perf_counter(), distributions()
    result: dict[str, Any] = {
        "steps": {"waves": WAVES.steps, "trained waves": WAVES.steps, "glyphs": GLYPHS.steps},
        "errors": {},
        "trained": {name: {} for name in known},
        "protocol": f"errors: median over {options.draws} draws of {WAVES.tasks} waves on 1-40-40-1 (alpha "
        f"{WAVES.alpha}), fresh and as stored in sinusoid-maml, or of {GLYPHS.tasks} 5-way 1-shot episodes of glyphs "
        f"on a fresh conv4 with 16 filters (alpha {GLYPHS.alpha}), relative to the gradient in float64; trained: MAML "
        f"with {WAVES.trained} steps on waves and {GLYPHS.trained} on glyphs, tested in float32 after 0 to "
        f"{TEST_STEPS} steps on {TEST_TASKS} tasks, squared error and accuracy, a row for each seed",
        "training": {name: _training(field, options) for name, (field, *_) in known.items()},
        **environment(device),
    }
    stored = recall_weights("sinusoid-maml")
    builds = {
        "waves": ("waves", lambda: WAVES.network(0)),
        "trained waves": ("waves", lambda: load_theta(WAVES.network(0), stored)),
        "glyphs": ("glyphs", lambda: GLYPHS.network(0)),
    }
    for name, (of, build) in builds.items():
        field, train, _ = known[of]
        generator = torch.Generator().manual_seed(0)
        draws = [train.draw(field.tasks, generator) for _ in range(options.draws)]
        result["errors"][name] = errors(build, field, draws)
    for (name, given), (form_name, form) in ((one, other) for one in known.items() for other in FORMATS.items()):
        sizes = result["training"][name]
        found = trained(*given, form, sizes["seeds"], sizes["iterations"])
        result["trained"][name][form_name] = [[_short(value) for value in row] for row in found.tolist()]
        result["seconds"] = round(time.perf_counter() - started)
        path = record("precision", result, folder=options.results)
    print(path)


def _training(field: Field, options: Any) -> Mapping[str, int]:
    return {
        "seeds": min(field.seeds, options.seeds),
        "iterations": min(field.iterations, options.iterations),
        "tasks": field.tasks,
    }


if __name__ == "__main__":
    main()
