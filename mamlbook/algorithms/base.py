"""A row of the field's table."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from mamlbook.learner import MetaLearner
from mamlbook.model import Model
from mamlbook.networks import mlp


@dataclass(frozen=True)
class Algorithm:
    """How an algorithm is composed, and what a reader wants to know before choosing it.

    ``replaces`` is what it changes in MAML's formula. ``gradients`` and ``products`` are its cost for each task and
    meta-step, in gradients and in Hessian-vector products, as functions of the inner steps S, or None where the work is
    of another kind, which ``work`` then names; ``memory`` is what the outer gradient has to keep. ``needs`` is "any"
    task, "classes" to tell apart, or a "collection" of tasks that come back; ``network(1, 40, 40, 1)`` is the kind of
    network it adapts; ``noisy`` says that its meta-gradient is a random estimate. ``factor`` is the part of the formula
    that it changes. Calling a row builds its learner.
    """

    build: Callable[..., MetaLearner]
    factor: str
    replaces: str
    gradients: Callable[[int], float] | None
    products: Callable[[int], float] | None
    memory: str
    assumes: str
    work: str = ""
    needs: str = "any"
    noisy: bool = False
    network: Callable[..., nn.Module] = mlp

    def __call__(self, model: Model, *arguments: Any, **options: Any) -> MetaLearner:
        return self.build(model, *arguments, **options)

    def offer(self, model: Model, **options: Any) -> MetaLearner:
        """Build with those of the options that this algorithm has: joint training has no steps, a kernel no rate."""
        known = inspect.signature(self.build).parameters
        return self.build(model, **{name: value for name, value in options.items() if name in known})
