"""Maps g -> T(g) on the inner gradients, handed to higher's ``grad_callback``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from torch import Tensor

Gradients = Sequence[Tensor | None]


class Place(NamedTuple):
    """Where on the way a gradient was taken.

    ``names`` of the tensors; ``step``, the number of the inner step from 0; ``curvature(v)``, how the inner objective
    bends along v at this phi when the predictions are taken to be linear in the weights: v^T G v for each task, (B,).
    Where v is None, the tensor stays as it is.
    """

    names: tuple[str, ...]
    step: int
    curvature: Callable[[Gradients], Tensor]


class Transform(Protocol):
    """A map on the inner gradients, (B, \\*shape) each; ``None`` stands for a tensor that stays as it is.

    A transform may also have a method ``adapts(name, step)``. The gradient of a tensor that it refuses is not computed.
    One with weights of its own, which the outer loop then learns, or with a training mode is an ``nn.Module``.
    """

    def __call__(self, gradients: Gradients, place: Place) -> Gradients: ...


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

    def __call__(self, gradients: Gradients, place: Place) -> Gradients:
        return gradients

    def __repr__(self) -> str:
        return f"keep({getattr(self.accepts, '__name__', self.accepts)})"


def without_norms(name: str) -> bool:
    """Everything but the gain and offset of batch norm: what the MAML paper adapts on Omniglot."""
    return not name.endswith((".gain", ".offset"))


def head(name: str) -> bool:
    """The last layer, which networks here call ``head``."""
    return name.startswith("head.")


def body(name: str) -> bool:
    """Everything but the last layer."""
    return not head(name)
