"""What the outer loop, the compiler and a learner's construction may ask of each part of a learner."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mamlbook.inner.base import Solver
    from mamlbook.model import Model


class Part:
    """A solver, a transform of its gradients, a meta-gradient, a weighting, or what they are made of.

    Everything here has a default that fits a part without memory. One that remembers computes its new state in
    ``forward``, keeps it in ``staged``, and takes it over in ``advance``, so that computing a gradient changes nothing.
    """

    remembers: bool = False
    """Whether computing leaves a new state in ``staged``."""

    staged: Any = None
    """The state that the next ``advance()`` takes over: tensors, nested in tuples or lists, or None."""

    @property
    def phase(self) -> Hashable:
        """What Python chooses by when the part computes: a traced step is good for one phase only."""
        return None

    def advance(self) -> None:
        """An outer step has been taken: move on."""

    def require(self, model: Model, solver: Solver) -> None:
        """Refuse a network, or a solver beside it, that this part cannot serve; called when a learner is made.

        Raises:
            ValueError: names what is missing, why it is needed, and what to do.
        """
