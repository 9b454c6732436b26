"""From first order to second: when the inner gradients begin to be differentiated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mamlbook.checks import whole_number
from mamlbook.inner.transforms import Gradients, Place, Transform


class DerivativeAnnealing(nn.Module, Transform):
    """First order for the first ``after`` meta-steps, and what it costs; second order from then on.

    T(g) = sg(g) until then, T(g) = g afterwards;  sg stops gradients.

    With it every Jacobian d phi^{s+1} / d phi^s is the identity at first, so that MAML begins as FOMAML. Learned rates
    are learned all the time: phi depends on them through the constant gradients too.

    Raises:
        ValueError: ``after`` is negative or no whole number.

    References: [Antoniou et al., 2019](https://arxiv.org/abs/1810.09502), section 4, "derivative-order annealing".
    """

    def __init__(self, after: int):
        super().__init__()
        # A plain number, as the choice is made by Python and not on the device; it is part of the state all the same.
        self.after, self.done = whole_number("after", after, 0, "a whole number of meta-steps"), 0

    def forward(self, gradients: Gradients, place: Place) -> Gradients:
        if self.phase:
            return gradients
        return [None if g is None else g.detach() for g in gradients]

    @property
    def phase(self) -> bool:
        """What Python chooses by: a traced step is good for one phase only."""
        return self.done >= self.after

    def advance(self) -> None:
        self.done += 1

    def get_extra_state(self) -> Tensor:
        return torch.tensor(self.done)

    def set_extra_state(self, state: Tensor) -> None:
        self.done = int(state)

    def extra_repr(self) -> str:
        return f"after={self.after}"
