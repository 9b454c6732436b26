"""Whose statistics? Norms in few-shot classification, judged on query batches of different composition.

    python -m experiments.batch_norm

writes runs/batch-norm.json, one kind of norm at a time, and goes on where it stopped.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from experiments import arguments, fit_replicas, one_by_one
from experiments.worlds import pictures
from mamlbook import BatchNorm, GradientDescent, MetaLearner, Model, Params, TaskNorm, Tasks, keep, mlp, without_norms
from mamlbook.inner import Adapted, PerStepNorms, SupportFirst
from mamlbook.layers import FixedNorm
from mamlbook.pages import environment, load_theta
from mamlbook.tasks.distribution import TaskDistribution
from mamlbook.training import pick_device

WAYS, SHOTS, QUERIES, WIDTH = 5, 1, 5, 48
STEPS, TASKS, ITERATIONS, SEEDS = 3, 4, 200, 5
ALPHAS, BETAS, SEARCH_SEEDS = (0.1, 0.3, 1.0, 3.0), (1e-3, 3e-3, 1e-2, 3e-2), (100, 101, 102)
VALIDATION_TASKS, TEST_TASKS, GATHERED_TASKS = 100, 300, 100


class Mode(NamedTuple):
    """The norm of each hidden layer, and how it is used."""

    norm: Callable[[int], nn.Module] | None
    beside: bool = False  # whether the support set stands in front of the query examples
    per_step: bool = False  # whether each inner step has gains and offsets of its own

    def learner(self, seed: int, alpha: float) -> MetaLearner:
        """No task adapts a gain or an offset; a rate that is a tensor may differ between learners side by side."""
        model, rate = Model(network(self.norm, seed), cross_entropy), nn.Parameter(torch.tensor(alpha), False)
        changes = [PerStepNorms(model, STEPS)] if self.per_step else [keep(without_norms)] if self.norm else []
        solver = GradientDescent(rate, STEPS, *changes)
        return MetaLearner(model, SupportFirst(solver) if self.beside else solver)


MODES = {
    "the batch's": Mode(BatchNorm),
    "the batch's, gains by step": Mode(BatchNorm, per_step=True),
    "the support set's": Mode(lambda width: BatchNorm(width, first=WAYS * SHOTS), beside=True),
    "TaskNorm": Mode(lambda width: TaskNorm(width, first=WAYS * SHOTS), beside=True),
    "layer norm": Mode(nn.LayerNorm),
    "no norm": Mode(None),
}
KEPT = "kept from training"
"""Trained like the first mode; tested with the statistics that training tasks have had."""


def network(norm: Callable[[int], nn.Module] | None, seed: int = 0) -> nn.Sequential:
    """Pictures of 28 x 28, halved, through two hidden layers: (K, 1, 28, 28) to (K, ways)."""
    layers = mlp(14 * 14, WIDTH, WIDTH, WAYS, norm=norm, seed=seed).named_children()
    return nn.Sequential(OrderedDict([("pool", nn.AvgPool2d(2)), ("flatten", nn.Flatten()), *layers]))


def together(adapted: Adapted, tasks: Tasks) -> float:
    """Accuracy on all query examples at once, the mean over the tasks."""
    return by_composition(adapted, tasks, (WAYS * QUERIES,))[0]


def by_composition(
    adapted: Adapted, tasks: Tasks, sizes: tuple[int, ...] = (WAYS * QUERIES, 1, QUERIES)
) -> list[float]:
    """Accuracy on the same query examples: all together, one at a time, one class at a time; means over the tasks."""
    x, y = tasks.query
    found = []
    with torch.no_grad():
        for size in sizes:  # examples come class after class
            y_hat = torch.cat([adapted.predict(adapted.phi, part) for part in x.split(size, 1)], 1)
            found.append((y_hat.argmax(-1) == y).float().mean().item())
    return found


def statistics(model: Model, phi: Params, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Mean and variance that each batch norm meets, their means over the tasks: (width,) each."""
    met: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}

    def remember(norm, inputs):
        met.setdefault(norm, []).append((inputs[0].mean(0), inputs[0].var(0)))

    norms = [module for module in model.net.modules() if isinstance(module, BatchNorm)]
    hooks = [norm.register_forward_pre_hook(remember) for norm in norms]
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


def adapted_with_kept(learner: MetaLearner, train: TaskDistribution, tasks: Tasks) -> Adapted:
    """Adapt new tasks with the statistics that training tasks have had at phi_0, ..., phi_S, as ``eval()`` does."""
    known = train.draw(GATHERED_TASKS, torch.Generator().manual_seed(3))
    path = learner.solver.path(learner.model, known.support, unroll=0)
    of_norms = zip(*(statistics(learner.model, at.phi, known.support.x) for at in path), strict=True)
    kept = [tuple(torch.stack(t).mean(0) for t in zip(*of_steps, strict=True)) for of_steps in of_norms]
    return learner.solver(with_statistics(learner.model.theta, kept), tasks.support, unroll=0)


def trained(
    mode: Mode, train: TaskDistribution, runs: list[tuple[float, float, int]], iterations: int, device: torch.device
) -> list[MetaLearner | None]:
    """A learner for each inner rate, outer rate and seed; None for a run that came to no end."""
    learners = [mode.learner(seed, alpha).to(device) for alpha, _, seed in runs]
    histories = fit_replicas(
        learners,
        train,
        steps=iterations,
        tasks=TASKS,
        beta=[beta for _, beta, _ in runs],
        seeds=[seed for *_, seed in runs],
        progress=False,
    )
    return [None if run.error else learner for learner, run in zip(learners, histories, strict=True)]


def kept(
    learners: list[MetaLearner], mode: Mode, train: TaskDistribution, validation: Tasks, test: Tasks
) -> dict[str, Any]:
    """The same networks with the statistics that training tasks have had, at the inner rate that is best for these."""

    def adapted(learner: MetaLearner, alpha: float, tasks: Tasks) -> Adapted:
        at_rate = MetaLearner(learner.model, mode.learner(0, alpha).solver)
        return adapted_with_kept(at_rate, train, tasks)

    search = {
        alpha: [together(adapted(learner, alpha, validation), validation) for learner in learners] for alpha in ALPHAS
    }
    best = max(search, key=lambda alpha: sum(search[alpha]))
    return {
        "alpha": best,
        "search": [{"alpha": alpha, "accuracy": rounded(found)} for alpha, found in search.items()],
        "accuracy": [rounded(by_composition(adapted(learner, best, test), test)) for learner in learners],
    }


def measure(name: str, seeds: int, iterations: int, device: torch.device) -> dict[str, Any]:
    """Every pair of rates from the seeds of the search; the best on other scripts is trained again from fresh seeds."""
    mode, begun, world = MODES[name], time.process_time(), pictures()
    validation, test = (
        replace(distribution, queries=QUERIES).draw(count, torch.Generator().manual_seed(1)).to(device)
        for distribution, count in zip(world.judged, (VALIDATION_TASKS, TEST_TASKS), strict=True)
    )
    pairs = [(alpha, beta) for alpha in ALPHAS for beta in BETAS]
    runs = [(*pair, seed) for pair in pairs for seed in SEARCH_SEEDS]
    learners = trained(mode, world.training, runs, iterations, device)
    # A run that came to no end knows nothing.
    scores = [0.0 if one is None else together(one.adapt(validation.support), validation) for one in learners]
    count = len(SEARCH_SEEDS)
    search = {pair: scores[place * count : (place + 1) * count] for place, pair in enumerate(pairs)}
    best = max(pairs, key=lambda pair: sum(search[pair]))
    fresh = trained(mode, world.training, [(*best, seed) for seed in range(seeds)], iterations, device)
    chosen = [one for one in fresh if one is not None]
    result: dict[str, Any] = {
        "alpha": best[0],
        "beta": best[1],
        "search": [{"alpha": alpha, "beta": beta, "accuracy": rounded(search[alpha, beta])} for alpha, beta in pairs],
        "accuracy": [rounded(by_composition(learner.adapt(test.support), test)) for learner in chosen],
        "lost": seeds - len(chosen),
    }
    if name == next(iter(MODES)):
        judged = validation.to("cpu"), test.to("cpu")
        result[KEPT] = kept([learner.to("cpu") for learner in chosen], mode, world.training, *judged)
    return result | {"seconds": round(time.process_time() - begun)}


def rounded(values: list[float]) -> list[float]:
    return [round(value, 5) for value in values]


def main(words: list[str] | None = None) -> None:
    parser = arguments("batch_norm", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    options = parser.parse_args(words)
    device = pick_device(options.device)
    protocol = (
        f"{WAYS} ways, {SHOTS} shot, glyphs; accuracy after {STEPS} steps of {TEST_TASKS} tasks of "
        f"other scripts, on the same {QUERIES} query drawings of each class: all in one batch, each alone, each "
        "class alone; per seed. Each kind has the rates, inner and outer, with the greatest mean accuracy on "
        f"{VALIDATION_TASKS} tasks of a third set of scripts, from {len(SEARCH_SEEDS)} seeds that are used for nothing "
        "else. Kept statistics have an inner rate of their own. search: all pairs of rates; seconds: of one core"
    )
    training = {
        "iterations": options.iterations,
        "tasks": TASKS,
        "queries": WAYS * QUERIES,
        "steps": STEPS,
        "network": f"14 * 14, {WIDTH}, {WIDTH}, ways",
    }
    path = one_by_one(
        "batch-norm",
        options.results,
        MODES,
        options.modes,
        lambda name: measure(name, options.seeds, options.iterations, device),
        protocol=protocol,
        training=training,
        **environment(device),
    )
    print(path)


if __name__ == "__main__":
    main()
