"""The workloads of the benchmark, their weights and their tasks."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.job import Examples, Job, Workload
from mamlbook.networks import conv4, mlp
from mamlbook.tasks.base import Data
from mamlbook.tasks.distribution import TaskDistribution
from mamlbook.tasks.glyph_pool import glyphs
from mamlbook.tasks.images import Episodes
from mamlbook.tasks.omniglot_pool import omniglot
from mamlbook.tasks.sinusoid import Sinusoids

WAVES, EPISODES = 25, 16  # tasks of a meta-batch, as in the experiments


def _sine(name: str, steps: int, tasks: int = WAVES, method: str = "maml", **options: str) -> Workload:
    return Workload(name, "mlp", method, steps, tasks, queries=10, **options)


def _tasks(tasks: int) -> Workload:
    return _sine(f"tasks-{tasks}", 5, tasks, kind="curve")


def _steps(steps: int) -> Workload:
    return _sine(f"steps-{steps}", steps, kind="curve")


def _pictures(pooling: str, steps: int, queries: int = 1) -> Workload:
    name = f"conv4-{pooling}-{steps}" if queries == 1 else f"conv4-{pooling}-{steps}-{queries}q"
    return Workload(name, f"conv4-{pooling}", "maml", steps, EPISODES, queries)


_SINE = [_sine(f"sine-{steps}", steps) for steps in (1, 5, 10)]

GROUPS: dict[str, list[Workload]] = {
    "sine": _SINE,
    "first-order": [_sine("first-order-5", 5, method="fomaml")],
    "reptile": [_sine("reptile-5", 5, method="reptile")],
    "omniglot": [_pictures(pooling, steps) for pooling in ("stride", "max") for steps in (1, 5)],
    # As many queries as in most papers, so that support and query set are of different size.
    "omniglot-15": [_pictures(pooling, steps, queries=15) for pooling in ("stride", "max") for steps in (1, 5)],
    # What lies on both curves is measured once.
    "tasks": [_tasks(1), _tasks(8), _SINE[1], _tasks(128), _tasks(512)],
    "steps": [_SINE[0], _steps(4), _steps(16), _steps(64)],
    "memory": [_sine(f"memory-{steps}", steps, 512, kind="memory") for steps in (1, 4, 16, 64)],
}

# Whole meta-trainings.
TRAININGS: dict[str, list[Workload]] = {
    "sine": _SINE[:2],
    "replicas": [replace(_SINE[0], name="sine-1 x5", replicas=5)],
}


def chosen(names: list[str] | None = None, groups: dict[str, list[Workload]] = GROUPS) -> list[Workload]:
    """The workloads of these names, or of the groups of these names; all of them without any.

    Raises:
        ValueError: a name is unknown.
    """
    known = {workload.name: [workload] for group in groups.values() for workload in group} | groups
    wanted = list(groups) if names is None else names
    unknown = [name for name in wanted if name not in known]
    if unknown:
        listed = ", ".join(groups)
        raise ValueError(f"workloads: expected some of {listed}, or names such as sine-5, got {', '.join(unknown)}")
    return list(dict.fromkeys(workload for name in wanted for workload in known[name]))


def network(workload: Workload, seed: int = 0) -> nn.Sequential:
    """The paper's network for the workload, seeded."""
    if workload.convolutional:
        return conv4(5, pooling=workload.network.removeprefix("conv4-"), seed=seed)
    return mlp(1, 40, 40, 1, seed=seed)


def distribution(workload: Workload, folder: Path | None = None) -> tuple[str, TaskDistribution]:
    """Where the workload's tasks come from, and its name: waves, or drawings five ways with one shot."""
    if not workload.convolutional:
        return "sinusoids", Sinusoids(shots=10, queries=workload.queries)
    if folder or os.environ.get("MAMLBOOK_DATA"):
        return "Omniglot", Episodes(omniglot(folder), ways=5, shots=1, queries=workload.queries)
    return "glyphs", Episodes(glyphs(), ways=5, shots=1, queries=workload.queries)


def job(workload: Workload, folder: Path | None = None, device: str = "cpu", seed: int = 0) -> tuple[str, Job]:
    """The workload with its weights and the tasks of a seed in single precision, and the name of the data."""
    data, tasks = distribution(workload, folder)
    drawn = tasks.draw(workload.tasks, torch.Generator().manual_seed(seed))
    theta = _weights(workload)
    return data, Job(workload, theta, _numbers(drawn.support), _numbers(drawn.query), device)


def _weights(workload: Workload) -> tuple[np.ndarray, ...]:
    starts = [network(workload, seed).parameters() for seed in range(workload.replicas)]
    weights = [[p.detach().numpy() for p in each] for each in zip(*starts, strict=True)]
    return tuple(each[0] if workload.replicas == 1 else np.stack(each) for each in weights)


def _numbers(data: Data) -> Examples:
    return Examples(data.x.numpy(), data.y.numpy())
