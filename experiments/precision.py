"""Shorter formats: how far they move first- and second-order meta-gradients, and what that does to a training.

    python -m experiments.precision

writes runs/precision.json, and leaves the parts that ``--parts`` does not name as they are. TF32 is emulated: the
operands of products are rounded to ten bits of mantissa.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
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
from mamlbook.pages import environment, load_theta, recall, recall_weights, record
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
# Formats whose outer rate is searched too, since a step that is short for the format is lost.
BETAS, SEARCHED = (1e-3, 3e-3, 1e-2, 3e-2), ("float32", "bfloat16 weights")
SEARCH_SEEDS, SEARCH_TASKS_SEED = (100, 101, 102), 2
PARTS = ("errors", "trained", "best rates")
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
    field: Field,
    train: TaskDistribution,
    test: TaskDistribution,
    form: Format,
    seeds: Sequence[int],
    iterations: int,
    *,
    betas: Sequence[float] | None = None,
    tested: int = 1,
) -> Tensor:
    """Train in the format, test in float32: the loss, or the metric, after each test step, (seeds, S + 1).

    ``betas`` are the outer rates of the seeds, and ``tested`` is the seed of the test tasks.
    """
    models = [Model(field.network(seed).to(form.weights), field.loss) for seed in seeds]
    rates = [lambda step, beta=beta: beta for beta in betas or [BETA] * len(seeds)]
    options = {"iterations": iterations, "tasks": field.tasks, "beta": rates, "seeds": seeds}
    solver, found = GradientDescent(field.alpha, field.trained), []
    with form.around():
        meta_train(models, solver, Exact(), train, **options)
    for model in models:
        learner = MetaLearner(Model(model.net.float(), field.loss), solver, Exact())
        judged = evaluate(learner, test, tasks=TEST_TASKS, steps=TEST_STEPS, metric=field.metric, seed=tested)
        found.append(judged.mean(0))
    return torch.stack(found)


def at_best_rates(given: tuple, seeds: int, iterations: int) -> dict[str, dict[str, Any]]:
    """Formats at the outer rate of ``BETAS`` that is best, by the mean over other seeds on other tasks."""
    found = {}
    for name in SEARCHED:
        betas, every = [beta for beta in BETAS for _ in SEARCH_SEEDS], [*SEARCH_SEEDS] * len(BETAS)
        tried = trained(*given, FORMATS[name], every, iterations, betas=betas, tested=SEARCH_TASKS_SEED)
        errors = tried[:, -1].unflatten(0, (len(BETAS), -1))
        beta = BETAS[errors.mean(1).nan_to_num(torch.inf).argmin()]
        rows = trained(*given, FORMATS[name], range(seeds), iterations, betas=[beta] * seeds)
        found[name] = {"beta": beta, "search": _rows(errors), "errors": _rows(rows)}
    return found


def _short(value: float) -> float | None:
    return float(f"{value:.3g}") if abs(value) < float("inf") else None


def _rows(values: Tensor) -> list[list[float | None]]:
    return [[_short(value) for value in row] for row in values.tolist()]


def main(words: list[str] | None = None) -> None:
    parser = arguments("precision", __doc__, draws=DRAWS, seeds=WAVES.seeds, iterations=WAVES.iterations)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args(words)
    path = options.results / "precision.json"
    before = recall("precision", folder=options.results) if path.is_file() else {}
    device, started, known = pick_device(options.device), time.perf_counter(), distributions()
    result: dict[str, Any] = {
        "steps": {"waves": WAVES.steps, "trained waves": WAVES.steps, "glyphs": GLYPHS.steps},
        "errors": {} if "errors" in options.parts else before["errors"],
        "trained": {name: {} for name in known} if "trained" in options.parts else before["trained"],
        "best rates": {} if "best rates" in options.parts else before["best rates"],
        "protocol": f"errors: median over {options.draws} draws of {WAVES.tasks} waves on 1-40-40-1 (alpha "
        f"{WAVES.alpha}), fresh and as stored in sinusoid-maml, or of {GLYPHS.tasks} 5-way 1-shot episodes of glyphs "
        f"on a fresh conv4 with 16 filters (alpha {GLYPHS.alpha}), relative to the gradient in float64; trained: MAML "
        f"with {WAVES.trained} steps on waves and {GLYPHS.trained} on glyphs, tested in float32 after 0 to "
        f"{TEST_STEPS} steps on {TEST_TASKS} tasks, squared error and accuracy, a row for each seed, at the outer rate "
        f"{BETA}; best rates: waves at the best of {BETAS}, which is chosen by the mean error after {TEST_STEPS} steps "
        f"on {TEST_TASKS} other tasks of the trainings from the seeds {SEARCH_SEEDS}",
        "training": {name: _training(field, options) for name, (field, *_) in known.items()},
        **environment(device),
    }
    stored = recall_weights("sinusoid-maml")
    builds = {
        "waves": ("waves", lambda: WAVES.network(0)),
        "trained waves": ("waves", lambda: load_theta(WAVES.network(0), stored)),
        "glyphs": ("glyphs", lambda: GLYPHS.network(0)),
    }
    for name, (of, build) in builds.items() if "errors" in options.parts else ():
        field, train, _ = known[of]
        generator = torch.Generator().manual_seed(0)
        draws = [train.draw(field.tasks, generator) for _ in range(options.draws)]
        result["errors"][name] = errors(build, field, draws)
    for name, given in known.items() if "trained" in options.parts else ():
        sizes = result["training"][name]
        for form_name, form in FORMATS.items():
            found = trained(*given, form, range(sizes["seeds"]), sizes["iterations"])
            result["trained"][name][form_name] = _rows(found)
    if "best rates" in options.parts:
        sizes = result["training"]["waves"]
        result["best rates"] = at_best_rates(known["waves"], sizes["seeds"], sizes["iterations"])
    result["seconds"] = before.get("seconds", 0) * (options.parts != PARTS) + round(time.perf_counter() - started)
    record("precision", result, folder=options.results)
    print(path)


def _training(field: Field, options: Any) -> Mapping[str, int]:
    return {
        "seeds": min(field.seeds, options.seeds),
        "iterations": min(field.iterations, options.iterations),
        "tasks": field.tasks,
    }


if __name__ == "__main__":
    main()
