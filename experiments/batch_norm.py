"""Whose statistics? Batch norm in few-shot classification, judged on query batches of different composition.

    python -m experiments.batch_norm

writes runs/batch-norm.json.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from experiments import arguments
from experiments.side_by_side import meta_train
from mamlbook import BatchNorm, Exact, GradientDescent, Model, Params, Tasks, mlp
from mamlbook.inner import Adapted, Solver, SupportFirst
from mamlbook.layers import FixedNorm
from mamlbook.pages import environment, load_theta, record
from mamlbook.tasks.distribution import TaskDistribution
from mamlbook.tasks.glyph_pool import glyph_split, glyphs
from mamlbook.tasks.images import Episodes
from mamlbook.training import pick_device

WAYS, SHOTS, QUERIES = 5, 1, 5
ALPHA, STEPS, TASKS, BETA, ITERATIONS, SEEDS = 0.4, 2, 8, 2e-3, 500, 5
TEST_TASKS, GATHERED_TASKS = 300, 100


class Mode(NamedTuple):
    """The norm of each hidden layer, and whether the support set stands in front of the query examples."""

    norm: Callable[[int], nn.Module] | None
    beside: bool = False


MODES = {
    "the batch's": Mode(BatchNorm),
    "the support set's": Mode(lambda width: BatchNorm(width, first=WAYS * SHOTS), beside=True),
    "layer norm": Mode(nn.LayerNorm),
    "no norm": Mode(None),
}
KEPT = {"kept, of all steps": False, "kept, step by step": True}
"""Trained like the first mode; tested with statistics kept from training, of all steps in one or of each by itself."""


def network(norm: Callable[[int], nn.Module] | None, seed: int = 0) -> nn.Sequential:
    """Pictures of 28 x 28, halved, through two hidden layers: (K, 1, 28, 28) to (K, ways)."""
    layers = mlp(14 * 14, 64, 64, WAYS, norm=norm, seed=seed).named_children()
    return nn.Sequential(OrderedDict([("pool", nn.AvgPool2d(2)), ("flatten", nn.Flatten()), *layers]))


def solver_of(mode: Mode) -> Solver:
    solver = GradientDescent(ALPHA, STEPS)
    return SupportFirst(solver) if mode.beside else solver


def by_composition(adapted: Adapted, tasks: Tasks) -> list[float]:
    """Accuracy on the same query examples: all together, one at a time, one class at a time; means over the tasks."""
    x, y = tasks.query
    found = []
    with torch.no_grad():
        for size in (WAYS * QUERIES, 1, QUERIES):  # examples come class after class
            y_hat = torch.cat([adapted.predict(adapted.phi, part) for part in x.split(size, 1)], 1)
            found.append((y_hat.argmax(-1) == y).float().mean().item())
    return found


def statistics(model: Model, phi: Params, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance that each batch norm meets, their means over the tasks: (width,) each."""
    met: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}

    def keep(norm, inputs):
        met.setdefault(norm, []).append((inputs[0].mean(0), inputs[0].var(0)))

    norms = [module for module in model.net.modules() if isinstance(module, BatchNorm)]
    hooks = [norm.register_forward_pre_hook(keep) for norm in norms]
    with torch.no_grad():
        for b in range(len(x)):  # one task at a time: a hook cannot look out of vmap
            functional_call(model.net, dict(zip(model.names, (p[b] for p in phi), strict=True)), x[b])
    for hook in hooks:
        hook.remove()
    return [tuple(torch.stack(kept).mean(0) for kept in zip(*met[norm], strict=True)) for norm in norms]


def with_statistics(theta: Params, kept: list[tuple[Tensor, Tensor]]) -> Model:
    """The same network with statistics that stay."""
    net = load_theta(network(FixedNorm), theta)
    norms = [module for module in net.modules() if isinstance(module, FixedNorm)]
    for norm, (mean, variance) in zip(norms, kept, strict=True):
        norm.mean.copy_(mean)
        norm.variance.copy_(variance)
    return Model(net, cross_entropy)


def adapted_with_kept(model: Model, train: TaskDistribution, tasks: Tasks, by_step: bool) -> Adapted:
    """Adapt new tasks with the statistics that training tasks have had at phi_0, ..., phi_S, in one or by step."""
    known = train.draw(GATHERED_TASKS, torch.Generator().manual_seed(3))
    path = GradientDescent(ALPHA, STEPS).path(model, known.support, unroll=0)
    steps = [statistics(model, at.phi, known.support.x) for at in path]
    if not by_step:
        of_norms = zip(*steps, strict=True)
        steps = [[tuple(map(mean, zip(*of_steps, strict=True))) for of_steps in of_norms]] * len(steps)
    one_step, phi = GradientDescent(ALPHA, 1), None
    for kept in steps[:-1]:
        phi = one_step(with_statistics(model.theta, kept), tasks.support, unroll=0, theta=phi).phi
    last = with_statistics(model.theta, steps[-1])
    return Adapted(phi, phi, last, None)


def mean(tensors) -> Tensor:
    return torch.stack(tensors).mean(0)


def measure(iterations: int, seeds: int) -> dict[str, list[list[float]]]:
    """Train every mode from every seed, and judge it on new scripts: mode to a row of three accuracies per seed."""
    train, held_out = (Episodes(pool, WAYS, SHOTS, QUERIES) for pool in glyph_split(glyphs()))
    tasks, found = held_out.draw(TEST_TASKS, torch.Generator().manual_seed(1)), {}
    for name, mode in tqdm(MODES.items(), unit="mode"):
        models = [Model(network(mode.norm, seed), cross_entropy) for seed in range(seeds)]
        options = {"iterations": iterations, "tasks": TASKS, "beta": lambda step: BETA}
        meta_train(models, solver_of(mode), Exact(), train, **options)
        found[name] = [by_composition(solver_of(mode)(m, tasks.support, unroll=0), tasks) for m in models]
        if name == "the batch's":
            for kept, by_step in KEPT.items():
                found[kept] = [by_composition(adapted_with_kept(m, train, tasks, by_step), tasks) for m in models]
    return {name: [[round(v, 5) for v in row] for row in rows] for name, rows in found.items()}


def main(words: list[str] | None = None) -> None:
    parser = arguments("batch_norm", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    options = parser.parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    accuracy = measure(options.iterations, options.seeds)
    result: dict[str, Any] = {
        "accuracy": accuracy,
        "protocol": f"{WAYS} ways, {SHOTS} shot, glyphs of other scripts; accuracy after {STEPS} steps of {TEST_TASKS} "
        f"tasks on the same {QUERIES} query drawings of each class: all in one batch, each alone, each class alone; "
        "per statistics and seed",
        "training": {
            "iterations": options.iterations,
            "tasks": TASKS,
            "queries": WAYS * QUERIES,
            "beta": BETA,
            "alpha": ALPHA,
            "steps": STEPS,
            "network": "14 * 14, 64, 64, ways",
        },
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("batch-norm", result, folder=options.results))


if __name__ == "__main__":
    main()
