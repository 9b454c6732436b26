"""What every contender is asked for, in plain numbers: a contender need not have PyTorch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np


@dataclass(frozen=True)
class Workload:
    """One meta-gradient: of which method, with how many inner steps, on how many tasks, by which network."""

    name: str
    network: str  # mlp, conv4-stride or conv4-max
    method: str  # maml, fomaml or reptile
    steps: int
    tasks: int
    queries: int = 1  # of each class, or of each wave
    replicas: int = 1  # networks that are trained at once, each on tasks of its own
    kind: str = "race"  # curve: a point of one over tasks or steps;  memory: its bytes are measured as well

    @property
    def convolutional(self) -> bool:
        return self.network.startswith("conv4")

    @property
    def alpha(self) -> float:
        return 0.4 if self.convolutional else 0.01


class Examples(NamedTuple):
    """One set of every task: (B, K, ...) each."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Job:
    """A workload with its weights and its tasks, so that all contenders compute the same thing.

    With several replicas the weights have an axis for them in front; the tasks are those of all.
    """

    workload: Workload
    theta: tuple[np.ndarray, ...]
    support: Examples
    query: Examples
    device: str = "cpu"

    @property
    def dtype(self) -> str:
        return str(self.theta[0].dtype)

    def alone(self) -> list[Job]:
        """A job for each replica, with weights of its own."""
        if self.workload.replicas == 1:
            return [self]
        workload = replace(self.workload, replicas=1)
        return [replace(self, workload=workload, theta=theta) for theta in zip(*self.theta, strict=True)]

    def first(self, tasks: int, dtype: str = "float32", **changes: Any) -> Job:
        """The first few tasks of it in some precision, and with other changes of the workload."""

        def cut(examples: Examples) -> Examples:
            x, y = examples.x[:tasks], examples.y[:tasks]
            return Examples(x.astype(dtype), y.astype(dtype) if y.dtype.kind == "f" else y)

        workload = replace(self.workload, tasks=min(tasks, self.workload.tasks), **changes)
        theta = tuple(t.astype(dtype) for t in self.theta)
        return replace(self, workload=workload, theta=theta, support=cut(self.support), query=cut(self.query))


def distance(gradient: list[np.ndarray] | tuple[np.ndarray, ...], reference: tuple[np.ndarray, ...]) -> float:
    """How far a gradient is from the reference, over the length of the reference: ||g - r|| / ||r||.

    Raises:
        ValueError: it has not the reference's shapes.
    """
    shapes, expected = [np.shape(g) for g in gradient], [r.shape for r in reference]
    if shapes != expected:
        raise ValueError(f"gradient: expected shapes {expected}, got {shapes}")
    flat, flat_reference = (np.concatenate([np.ravel(t).astype(np.float64) for t in g]) for g in (gradient, reference))
    return float(np.linalg.norm(flat - flat_reference) / np.linalg.norm(flat_reference))
