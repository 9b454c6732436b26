"""What an inner solver has to offer, and what it hands on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from torch import Tensor

from mamlbook.model import Model
from mamlbook.numerics import Params
from mamlbook.tasks.base import Data


class Adapted(NamedTuple):
    """What solving the tasks gave.

    ``phi`` are the adapted weights, (B, \\*shape) each; ``predict(phi, x)`` is how they predict; ``inner(theta, phi)``
    is the (B,) objective on the support set that phi makes small.
    """

    phi: Params
    predict: Callable[[Params, Tensor], Tensor]
    inner: Callable[[Params, Params], Tensor]


class Solver(Protocol):
    """phi_b = inner(theta, support_b): a rule that solves all tasks of a batch, each from theta.

    ``unroll`` says whether somebody will differentiate through the solution. ``steps`` overrides the solver's own
    number of steps, for evaluation.
    """

    def __call__(self, model: Model, support: Data, *, unroll: bool, steps: int | None = None) -> Adapted: ...

    def path(self, model: Model, support: Data, *, unroll: bool, steps: int | None = None) -> Iterator[Adapted]:
        """Every intermediate solution, from the unadapted phi_0 = theta to phi_S."""
        ...
