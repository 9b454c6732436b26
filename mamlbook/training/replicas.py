"""Meta-train several learners of one kind at once: ``fit_replicas``.

Learner r draws the tasks of ``seeds[r]``, by default r, and takes its own outer steps, at ``beta`` or at ``beta[r]``.
Its losses and weights are those of ``fit(learners[r], ..., seed=seeds[r])`` up to rounding. The meta-gradients of all
are computed together (``Replicas``): walked by Python with ``execution='eager'``, which also needs no compiler, or
'compiled'. What is random in a learner, such as dropout, is as after ``torch.manual_seed(noise[r])``, or for all as
from where the global generator is.

A learner that becomes nan or infinite is left behind, with its ``NonFinite`` in ``history.error``, while the others go
on. ``after`` takes up where the runs of these histories ended, with ``noise`` as it is given now. The other arguments,
and interrupts, are those of ``fit``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from mamlbook.arguments import require_distribution, require_learner
from mamlbook.checks import kind_of, seed_number, several
from mamlbook.devices import pick_device
from mamlbook.execution.replicas import Replicas
from mamlbook.execution.ways import COMPILED, EAGER, Execution
from mamlbook.learner import MetaLearner
from mamlbook.numerics import Params
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.distribution import TaskDistribution, stateful_parts
from mamlbook.training.drive import Compute, Drive
from mamlbook.training.history import History
from mamlbook.training.loop import numbers, steps_before
from mamlbook.training.outer_rule import OuterRule, Rate, rates
from mamlbook.training.run import Run


def fit_replicas(
    learners: Sequence[MetaLearner],
    distribution: TaskDistribution,
    *,
    steps: int,
    seeds: Sequence[int] | None = None,
    noise: Sequence[int] | None = None,
    tasks: int = 25,
    beta: Rate | Sequence[Rate] = 1e-3,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    device: str | int | torch.device | None = None,
    every: int = 100,
    after: Sequence[History] | None = None,
    minutes: float | None = None,
    progress: bool | None = None,
    execution: str = "eager",
) -> list[History]:
    """Meta-train R learners of one kind at once, each on tasks of its own: what R calls of ``fit`` do, in less time.

    >>> from torch.nn.functional import mse_loss
    >>> from mamlbook import Model, Sinusoids, fit_replicas, maml, mlp
    >>> learners = [maml(Model(mlp(1, 8, 1, seed=seed), mse_loss), alpha=0.01, steps=1) for seed in range(3)]
    >>> [len(history.losses) for history in fit_replicas(learners, Sinusoids(), steps=4, tasks=2)]
    [4, 4, 4]

    Raises:
        TypeError, ValueError: an argument that cannot do, or learners that are not of one kind.
    """
    learners = _learners(learners, distribution)
    steps, tasks, every, _, minutes = numbers(learners[0], distribution, steps, tasks, every, 0, minutes)
    way = _way(execution)
    seeds = [seed_number("seeds", seed) for seed in _each("seeds", seeds, range(len(learners)), learners)]
    betas = _each("beta", beta if isinstance(beta, list | tuple) else None, [beta] * len(learners), learners)
    befores = _befores(after, learners, distribution)
    plans = [rates(rate, steps + steps_before(before)) for rate, before in zip(betas, befores, strict=True)]
    if device is not None:
        learners = _moved(learners, pick_device(device))
    replicas = Replicas(learners, way, _noise(noise, learners))
    shared: dict[str, Any] = {"distribution": distribution, "tasks": tasks, "optimizer": optimizer, "way": way}
    try:
        runs = [_run(*own, **shared) for own in zip(learners, seeds, plans, befores, strict=True)]
        Drive(runs, every, minutes, leaving=True).begin(progress, partial(_computing, runs, replicas))
    finally:
        replicas.release()
    return [run.history for run in runs]


def _noise(noise: Sequence[int] | None, learners: list[MetaLearner]) -> list[int] | None:
    return None if noise is None else [seed_number("noise", seed) for seed in _each("noise", noise, [], learners)]


def _way(execution: str) -> Execution:
    ways = {"eager": EAGER, "compiled": COMPILED}
    if not isinstance(execution, str) or execution not in ways:
        raise ValueError(f"execution: expected 'eager' or 'compiled' for replicas, got {execution!r}")
    return ways[execution]


def _befores(
    after: Sequence[History] | None, learners: list[MetaLearner], distribution: TaskDistribution
) -> list[History | None]:
    """The history that each learner goes on from, if any."""
    befores = _each("after", after, [None] * len(learners), learners)
    if len({steps_before(before) for before in befores}) > 1:
        raise ValueError("after: expected histories of equally many meta-steps, since replicas keep step")
    if after is not None and any(stateful_parts(distribution)):
        raise ValueError("distribution: expected one that drawing does not change where runs are gone on with")
    return befores


def _run(
    learner: MetaLearner,
    seed: int,
    planned: list[float],
    before: History | None,
    *,
    distribution: TaskDistribution,
    tasks: int,
    optimizer: Callable[..., torch.optim.Optimizer],
    way: Execution,
) -> Run:
    # What drawing changes, such as a drift, changes for each learner by itself.
    own = copy.deepcopy(distribution) if any(stateful_parts(distribution)) else distribution
    run = Run(learner, own, tasks, seed, OuterRule(optimizer, learner, planned), planned, None, None, way)
    run.take_over(before, False)
    return run


def _computing(runs: list[Run], replicas: Replicas, bar: tqdm) -> Compute:
    replicas.announce = bar.set_description_str
    for run in runs:
        run.executor = replicas

    def compute(batches: Sequence[Tasks | list[Tasks]]) -> list[tuple[Params, Tensor]]:
        of_one_size = [batch for batch in batches if isinstance(batch, Tasks)]
        if len(of_one_size) < len(batches):
            raise ValueError(
                "distribution: expected draw to return Tasks of one size for replicas, got a list of Tasks; train the "
                "learners one by one"
            )
        return replicas(of_one_size)

    return compute


def _learners(learners: Sequence[MetaLearner], distribution: TaskDistribution) -> list[MetaLearner]:
    if not isinstance(learners, list | tuple) or not learners:
        raise TypeError(
            f"learners: expected a list of at least one MetaLearner, got {kind_of(learners)}; for a single one call fit"
        )
    for learner in learners:
        require_learner(learner)
        require_distribution(distribution, learner)
    return list(learners)


def _moved(learners: list[MetaLearner], place: torch.device) -> list[MetaLearner]:
    return [learner.to(place) for learner in learners]


def _each(name: str, given: Sequence[Any] | None, usual: Sequence[Any], learners: list[MetaLearner]) -> list[Any]:
    """One of something for each learner, the usual ones if none are given."""
    found = list(usual if given is None else several(name, "one for each learner, in a list", given))
    if len(found) != len(learners):
        raise ValueError(f"{name}: expected one for each of {len(learners)} learners, got {len(found)}")
    return found
