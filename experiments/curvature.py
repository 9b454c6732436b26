"""What FOMAML leaves out, measured: two kinds of curvature, before and after meta-training, with ReLU and with tanh.

    python -m experiments.curvature

writes runs/curvature.json.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments, fit
from mamlbook import MetaLearner, Model, Params, Sinusoids, evaluate, fomaml, joint, maml, mlp
from mamlbook.analysis.diagnostics import gauss_newton_product, hessian_product, task_gradients
from mamlbook.numerics import dot
from mamlbook.pages import environment, record
from mamlbook.tasks.base import Data
from mamlbook.training import pick_device

ALPHA, TASKS, BETA, ITERATIONS, SEEDS = 0.01, 25, 1e-3, 5_000, 5
ACTIVATIONS: dict[str, type[nn.Module]] = {"ReLU": nn.ReLU, "tanh": nn.Tanh}
STARTS = {"untrained": None, "MAML": maml, "FOMAML": fomaml, "joint": joint}
BATCHES, CURVATURE_TASKS, TEST_TASKS, TEST_STEPS = 40, 100, 600, 10


def parts(model: Model, support: Data) -> dict[str, float]:
    """How far one inner step sees each part of the curvature, along the step's own direction: means over tasks.

    alpha ||G g|| / ||g||,  alpha ||(H - G) g|| / ||g||  and  alpha g^T H g / ||g||^2.
    """
    g = task_gradients(model, support)
    hessian, gauss_newton = hessian_product(model, support, g), gauss_newton_product(model, support, g)
    network = [h - n for h, n in zip(hessian, gauss_newton, strict=True)]
    squared = dot(g, g)
    return {
        "gauss_newton": ALPHA * (dot(gauss_newton, gauss_newton) / squared).sqrt().mean().item(),
        "network": ALPHA * (dot(network, network) / squared).sqrt().mean().item(),
        "along_gradient": ALPHA * (dot(g, hessian) / squared).mean().item(),
    }


def agreement(model: Model, waves: Sinusoids, generator: torch.Generator) -> dict[str, float]:
    """MAML's and FOMAML's meta-gradient of the same meta-batches: cosine, and difference over MAML's length."""
    exact, first = maml(model, ALPHA, 1), fomaml(model, ALPHA, 1)
    cosine, difference = [], []
    for _ in range(BATCHES):
        batch = waves.draw(TASKS, generator).like(model.theta[0])
        m, f = (_flat(learner.meta_gradient(batch)) for learner in (exact, first))
        cosine.append(m @ f / (m.norm() * f.norm()))
        difference.append((m - f).norm() / m.norm())
    return {"cosine": torch.stack(cosine).mean().item(), "difference": torch.stack(difference).median().item()}


def measure(learner: MetaLearner) -> dict[str, Any]:
    """Everything that is stored of one start; the waves are the same for every start."""
    model, waves, generator = learner.model, Sinusoids(), torch.Generator().manual_seed(2)
    support = waves.draw(CURVATURE_TASKS, generator).like(model.theta[0]).support
    numbers = parts(model, support) | agreement(model, waves, generator)
    errors = evaluate(learner, Sinusoids(queries=100), tasks=TEST_TASKS, steps=TEST_STEPS, seed=1).mean(0)
    return {name: float(f"{value:.5g}") for name, value in numbers.items()} | {
        "new": [float(f"{error:.6g}") for error in errors.tolist()]
    }


def train(activation: str, start: str, seed: int, iterations: int, device: torch.device) -> MetaLearner:
    """A sine network from one seed, meta-trained with one inner step, or left as it was drawn."""
    model = Model(mlp(1, 40, 40, 1, activation=ACTIVATIONS[activation], seed=seed), mse_loss).to(device)
    build = STARTS[start]
    if build is None:
        return maml(model, ALPHA)
    learner = build(model, ALPHA)
    fit(learner, Sinusoids(), steps=iterations, tasks=TASKS, beta=BETA, seed=seed, progress=False)
    return learner


def main(words: list[str] | None = None) -> None:
    parser = arguments("curvature", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    options = parser.parse_args(words)
    device, started, runs = pick_device(options.device), time.perf_counter(), {}
    wanted = [(a, s, seed) for a in ACTIVATIONS for s in STARTS for seed in range(options.seeds)]
    for activation, start, seed in tqdm(wanted, unit="run"):
        measured = measure(train(activation, start, seed, options.iterations, device))
        runs.setdefault(f"{activation} {start}", {})[str(seed)] = measured
    result = {
        "runs": runs,
        "protocol": f"per seed. gauss_newton, network, along_gradient: alpha |G g|/|g|, alpha |(H - G) g|/|g|, "
        f"alpha g'Hg/|g|^2, mean over the support losses of {CURVATURE_TASKS} waves with alpha {ALPHA}; cosine "
        f"(mean) and difference over MAML's length (median) of MAML's and FOMAML's meta-gradients on {BATCHES} "
        f"meta-batches of {TASKS}; new: squared error after 0..{TEST_STEPS} steps on 100 new points of "
        f"{TEST_TASKS} waves",
        "training": {"iterations": options.iterations, "tasks": TASKS, "beta": BETA, "inner steps": 1},
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("curvature", result, folder=options.results))


def _flat(params: Params) -> torch.Tensor:
    return torch.cat([p.flatten() for p in params])


if __name__ == "__main__":
    main()
