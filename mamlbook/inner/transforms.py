"""Maps g -> T(g) on the inner gradients, handed to higher's ``grad_callback``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mamlbook.checks import kind_of
from mamlbook.model import Model
from mamlbook.parts import Part

Gradients = Sequence[Tensor | None]


class Place(NamedTuple):
    """Where on the way a gradient was taken.

    ``names`` of the tensors; ``step``, the number of the inner step from 0; ``alpha``, the solver's rate;
    ``curvature(v)``, how the inner objective bends along v at this phi when the predictions are taken to be linear in
    the weights: v^T G v for each task, (B,). Where v is None, the tensor stays as it is.
    """

    names: tuple[str, ...]
    step: int
    alpha: float | Tensor
    curvature: Callable[[Gradients], Tensor]


class Transform(Part, ABC):
    """A map on the inner gradients, (B, \\*shape) each; ``None`` stands for a tensor that stays as it is.

    One with weights of its own, which the outer loop then learns, or with a training mode is an ``nn.Module`` as well.
    A plain function (gradients, place) -> gradients, or ``nn.Module``, is made one by ``as_transform``.
    """

    def adapts(self, model: Model, step: int) -> Sequence[bool]:
        """Which tensors of theta this step moves; the gradients of the others are not computed."""
        return [True] * len(model.names)

    @abstractmethod
    def __call__(self, gradients: Gradients, place: Place) -> Gradients: ...


class FunctionTransform(Transform):
    """A plain function as a transform."""

    def __init__(self, function: Callable[[Gradients, Place], Gradients]):
        self.function = function

    def __call__(self, gradients: Gradients, place: Place) -> Gradients:
        return self.function(gradients, place)

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


class ModuleTransform(nn.Module, Transform):
    """A plain ``nn.Module`` as a transform: the outer loop finds its weights, and it follows training and testing."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, gradients: Gradients, place: Place) -> Gradients:
        return self.module(gradients, place)


def as_transform(change: Transform | Callable[[Gradients, Place], Gradients]) -> Transform:
    """The transform itself, or a function in the form of one.

    Raises:
        TypeError: it is neither; a class of one's own says what it is by its base class.
    """
    if isinstance(change, Transform):
        return change
    if not callable(change) or isinstance(change, type) or callable(getattr(change, "adapts", None)):
        raise TypeError(
            "transforms: expected mamlbook.Transform objects or functions (gradients, place) -> gradients, got "
            f"{change!r}; derive a class of your own from mamlbook.Transform"
        )
    return ModuleTransform(change) if isinstance(change, nn.Module) else FunctionTransform(change)


def require_gradients(change: Transform, gradients: Any, shapes: list[torch.Size | None]) -> None:
    """Refuse what a transform gives in the place of gradients: something else, or what would broadcast."""
    if not isinstance(gradients, tuple | list) or len(gradients) != len(shapes):
        got = f"{len(gradients)}" if isinstance(gradients, tuple | list) else kind_of(gradients)
        raise ValueError(f"transforms: expected a list of {len(shapes)} gradients or None, got {got} from {change}")
    for gradient, shape in zip(gradients, shapes, strict=True):
        if gradient is not None and shape is not None and gradient.shape != shape:
            raise ValueError(
                f"transforms: expected gradients of the shapes that came, the task axis first, as {tuple(shape)}, got "
                f"{tuple(gradient.shape)} from {change}; keepdim=True and expand_as keep a shape"
            )


class _Everything(Transform):
    """Every weight adapts, by its own gradient."""

    def __call__(self, gradients: Gradients, place: Place) -> Gradients:
        return gradients


EVERYTHING = _Everything()
