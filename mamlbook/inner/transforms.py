"""Maps g -> T(g) on the inner gradients, handed to higher's ``grad_callback``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

Gradients = Sequence[Tensor | None]


class Transform(Protocol):
    """A map on the inner gradients of step ``step``; ``None`` in the result leaves a tensor as it is."""

    def __call__(self, gradients: Gradients, *, names: Sequence[str], step: int) -> Gradients: ...


class keep:
    """Adapt only the tensors whose name the predicate accepts: phi_l <- phi_l - alpha m_l g_l with m_l in {0, 1}.

    The rest stay exactly at theta, and theta still learns from them in the outer loop.

    >>> head_only = keep(lambda name: name.startswith("head"))
    >>> head_only([1, 2], names=["linear1.weight", "head.weight"], step=0)
    [None, 2]
    """

    def __init__(self, accepts: Callable[[str], bool]):
        self.accepts = accepts

    def __call__(self, gradients: Gradients, *, names: Sequence[str], step: int) -> Gradients:
        return [g if self.accepts(name) else None for g, name in zip(gradients, names, strict=True)]

    def __repr__(self) -> str:
        return f"keep({getattr(self.accepts, '__name__', self.accepts)})"


def weights(name: str) -> bool:
    """Everything but the gain and offset of batch norm: what the MAML paper adapts on Omniglot."""
    return not name.endswith((".gain", ".offset"))
