"""What an inner solver has to offer, and what it hands on."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from torch import Tensor, nn

from mamlbook.checks import whole_number
from mamlbook.model import Model
from mamlbook.numerics import Params, add_scaled, detached
from mamlbook.parts import Part
from mamlbook.tasks.base import Data
from mamlbook.trees import Tree

ALL = math.inf
"""For ``unroll``: every inner step is differentiated."""


class Adapted(NamedTuple):
    """What solving the tasks gave.

    ``phi`` are the adapted weights and ``start`` is where they began, (B, \\*shape) each; ``predict(phi, x)`` is how
    they predict; ``inner(theta, phi)`` is the (B,) objective on the support set that phi makes small.
    """

    phi: Params
    start: Params
    predict: Callable[[Params, Tree], Tree]
    inner: Callable[[Params, Params], Tensor]

    def straight_through(self) -> Adapted:
        """The same solution as if the way to it were a constant: phi = start + sg(phi - start).

        It is the displacement that is held constant, not phi: a constant phi would have no gradient at all.
        """
        way = add_scaled(detached(self.phi), -1, detached(self.start))
        return self._replace(phi=add_scaled(self.start, 1, way))


class Solver(Part, nn.Module, ABC):
    """phi_b = inner(theta, support_b): a rule that solves all tasks of a batch, each from theta.

    ``unroll`` says how many of the last steps somebody will differentiate through: 0, a number of steps, or ``ALL``.
    ``steps`` overrides the solver's own number of steps, for evaluation. ``theta`` gives each task a start of its own,
    (B, \\*shape); without it all start from the model's weights.
    """

    def forward(
        self, model: Model, support: Data, *, unroll: float, steps: int | None = None, theta: Params | None = None
    ) -> Adapted:
        (last,) = deque(self.path(model, support, unroll=unroll, steps=steps, theta=theta), maxlen=1)
        return last

    @abstractmethod
    def path(
        self, model: Model, support: Data, *, unroll: float, steps: int | None = None, theta: Params | None = None
    ) -> Iterator[Adapted]:
        """Every intermediate solution, from the unadapted phi_0 to phi_S."""

    @property
    def proximal(self) -> float | Tensor:
        """lam of the proximal term lam / 2 ||phi - theta||^2 that the solver's objective has; 0 without one."""
        return 0.0

    @property
    def remedy(self) -> str:
        """What is probably wrong when the query loss is no longer finite, and what to try."""
        return "the outer rate beta is probably too large: try a smaller one"


def step_count(steps: int) -> int:
    """The number of inner steps, if it is one.

    Raises:
        ValueError: it is not a whole number of at least 0.
    """
    return whole_number("steps", steps, 0, "a whole number of inner steps")
