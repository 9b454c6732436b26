"""Turn one knob of meta-training at a time: sine networks from several seeds, at every setting of each knob.

    python -m experiments.sweeps --knobs alpha steps

writes runs/sweep-<knob>.json for every knob named (all of them by default). A sweep that is interrupted keeps the
runs it has finished in sweep-<knob>.partial.json, and the same command goes on from there.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments, fit_replicas
from mamlbook import (
    MetaLearner,
    Model,
    Sinusoids,
    confidence,
    evaluate,
    maml,
    mlp,
)
from mamlbook.algorithms import gradient
from mamlbook.analysis.diagnostics import largest_curvature
from mamlbook.pages import environment, record
from mamlbook.training import pick_device

ITERATIONS, SEEDS = 5_000, 5
TEST_STEPS, TEST_TASKS, TEST_POINTS = 20, 600, 100
CURVATURE_TASKS = 50


class Setting(NamedTuple):
    """One way to meta-train a sine network; the defaults are the setting that every knob is turned away from."""

    build: Callable[..., MetaLearner] = maml
    alpha: float | None = 0.01
    steps: int | None = 1
    tasks: int = 25
    beta: float = 1e-3
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam
    start: Callable[[torch.Tensor], object] | None = None
    shots: int = 10

    def learner(self, seed: int) -> MetaLearner:
        """The untrained learner of one seed; a rate or number of steps that is None is the algorithm's own default."""
        options = {"seed": seed} if self.start is None else {"seed": seed, "start": self.start}
        model = Model(mlp(1, 40, 40, 1, **options), mse_loss)
        given = {"alpha": self.alpha, "steps": self.steps}
        return self.build(model, **{name: value for name, value in given.items() if value is not None})


SGD = torch.optim.SGD
MOMENTUM = partial(torch.optim.SGD, momentum=0.9)
# What the paper's code draws for the sine network: a normal of deviation 0.01, cut at two deviations.
truncated = partial(nn.init.trunc_normal_, std=0.01, a=-0.02, b=0.02)
ORDERS_OF_RATE = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)


def each(field: str, values: Iterable[Any], **fixed: Any) -> dict[str, Setting]:
    return {f"{value:g}": Setting(**fixed, **{field: value}) for value in values}


KNOBS: dict[str, dict[str, Setting]] = {
    "alpha": each("alpha", (0.001, 0.003, 0.01, 0.03, 0.1)),
    "steps": each("steps", (1, 2, 3, 5, 10)),
    # The same distance to go, in more and shorter steps.
    "alpha-over-steps": {f"{s}": Setting(alpha=0.01 / s, steps=s) for s in (1, 2, 5)},
    "start": {
        "PyTorch": Setting(),
        "Glorot": Setting(start=nn.init.xavier_uniform_),
        "He": Setting(start=partial(nn.init.kaiming_uniform_, nonlinearity="relu")),
        "normal 0.01": Setting(start=truncated),
        "normal 1": Setting(start=nn.init.normal_),
    },
    "beta": each("beta", ORDERS_OF_RATE),
    "beta-one-task": each("beta", ORDERS_OF_RATE, tasks=1),
    "tasks": each("tasks", (1, 4, 25, 100)),
    "outer-rule": {
        **{f"SGD {beta:g}": Setting(optimizer=SGD, beta=beta) for beta in (1e-3, 1e-2, 3e-2)},
        **{f"momentum {beta:g}": Setting(optimizer=MOMENTUM, beta=beta) for beta in (1e-4, 1e-3, 3e-3)},
        **{f"RMSprop {beta:g}": Setting(optimizer=torch.optim.RMSprop, beta=beta) for beta in (1e-3, 3e-3)},
        **{f"Adam {beta:g}": Setting(beta=beta) for beta in (1e-3, 1e-2)},
    },
    # The algorithms of the first pages, each with its own defaults.
    "algorithm": {name: Setting(build=row.build, alpha=None, steps=None) for name, row in gradient.ROWS.items()},
}


def numbers(values: torch.Tensor) -> list[float | None]:
    """What JSON can hold: six digits, and None for what is no number any more."""
    return [float(f"{v:.6g}") if math.isfinite(v) else None for v in values.tolist()]


def measure(setting: Setting, learner: MetaLearner) -> dict[str, Any]:
    """Error after 0..20 steps on 600 new waves, and the curvature of fifty support losses at theta."""
    waves = Sinusoids(shots=setting.shots, queries=TEST_POINTS)
    errors = evaluate(learner, waves, tasks=TEST_TASKS, steps=TEST_STEPS, seed=1)
    mean, half = confidence(errors)
    support = waves.draw(CURVATURE_TASKS, torch.Generator().manual_seed(2)).like(learner.model.theta[0]).support
    curvature = largest_curvature(learner.model, support)
    return {
        "new": numbers(mean),
        "new_half": numbers(half),
        "new_median": numbers(errors.nanmedian(0).values),
        "curvature": numbers(curvature.mean()[None])[0],
    }


def train(setting: Setting, seeds: list[int], iterations: int, device: torch.device) -> list[dict[str, Any]]:
    """Meta-train one setting from every seed at once, and measure each; one that diverges says after how many steps."""
    learners, waves = [setting.learner(seed) for seed in seeds], Sinusoids(shots=setting.shots, queries=10)
    options = {"tasks": setting.tasks, "beta": setting.beta, "optimizer": setting.optimizer}
    # The noise is what is random in training, such as dropped gradients.
    options |= {"seeds": seeds, "noise": seeds, "device": device, "progress": False}
    histories = fit_replicas(learners, waves, steps=iterations, **options)
    return [
        measure(setting, learner) if history.error is None else diverged(history.error)
        for learner, history in zip(learners, histories, strict=True)
    ]


def diverged(error: ArithmeticError) -> dict[str, Any]:
    """What is stored of a training that came to no end."""
    nothing = [None] * (TEST_STEPS + 1)
    return {**dict.fromkeys(("new", "new_half", "new_median"), nothing), "curvature": None, "diverged": str(error)}


def sweep(knob: str, seeds: int, iterations: int, device: torch.device, known: dict, partial: Path) -> dict[str, Any]:
    """Every setting of one knob from every seed; ``known`` keeps what several knobs share, ``partial`` what is done."""
    done = json.loads(partial.read_text()) if partial.is_file() else {}
    started, runs = time.perf_counter(), {}
    for name, setting in tqdm(KNOBS[knob].items(), knob, unit="setting"):
        keys = {seed: f"{name}, seed {seed}, {iterations} meta-steps" for seed in range(seeds)}
        known |= {(setting, seed, iterations): done[key] for seed, key in keys.items() if key in done}
        missing = [seed for seed in keys if (setting, seed, iterations) not in known]
        trained = train(setting, missing, iterations, device) if missing else []
        known |= {(setting, seed, iterations): of_seed for seed, of_seed in zip(missing, trained, strict=True)}
        done |= {key: known[setting, seed, iterations] for seed, key in keys.items()}
        record(partial.stem, done, folder=partial.parent)
        errors = {str(seed): known[setting, seed, iterations] for seed in keys}
        runs[name] = {"configuration": str(setting.learner(0)), "error": errors}
    return {
        "runs": runs,
        "protocol": f"squared error after 0..{TEST_STEPS} steps on {TEST_POINTS} new points of {TEST_TASKS} waves: "
        "mean, half-width of its 95 % interval, median; mean largest eigenvalue of the support Hessian of "
        f"{CURVATURE_TASKS} waves; per seed",
        "training": {
            "iterations": iterations,
            "default": {k: getattr(v, "__name__", str(v)) for k, v in Setting()._asdict().items()},
        },
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }


def main(words: list[str] | None = None) -> None:
    parser = arguments("sweeps", __doc__, seeds=SEEDS)
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    parser.add_argument("--knobs", nargs="+", choices=list(KNOBS), default=list(KNOBS))
    options = parser.parse_args(words)
    device, known = pick_device(options.device), {}
    for knob in options.knobs:
        partial = options.results / f"sweep-{knob}.partial.json"
        result = sweep(knob, options.seeds, options.iterations, device, known, partial)
        print(record(f"sweep-{knob}", result, folder=options.results))
        partial.unlink()


if __name__ == "__main__":
    main()
