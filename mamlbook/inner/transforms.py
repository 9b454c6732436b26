"""Maps g -> T(g) on the inner gradients, handed to higher's ``grad_callback``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

Gradients = Sequence[Tensor | None]


class Transform(Protocol):
    """A map on the inner gradients of step ``step``; ``None`` stands for a tensor that stays as it is.

    A transform may also have a method ``adapts(name, step)``. The gradient of a tensor that it refuses is not computed.
    """

    def __call__(self, gradients: Gradients, *, names: Sequence[str], step: int) -> Gradients: ...


class keep:
    """Adapt only the tensors whose name the predicate accepts: phi_l <- phi_l - alpha m_l g_l with m_l in {0, 1}.

    The rest stay exactly at theta, and theta still learns from them in the outer loop.

    >>> head_only = keep(lambda name: name.startswith("head"))
    >>> head_only.adapts("linear1.weight", step=0), head_only.adapts("head.weight", step=0)
    (False, True)
    """

    def __init__(self, accepts: Callable[[str], bool]):
        self.accepts = accepts

    def adapts(self, name: str, step: int) -> bool:
        return self.accepts(name)

    def __call__(self, gradients: Gradients, *, names: Sequence[str], step: int) -> Gradients:
        return gradients

    def __repr__(self) -> str:
        return f"keep({getattr(self.accepts, '__name__', self.accepts)})"


def weights(name: str) -> bool:
    """Everything but the gain and offset of batch norm: what the MAML paper adapts on Omniglot."""
    return not name.endswith((".gain", ".offset"))
