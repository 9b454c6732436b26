"""What a weighting has to offer, and the mean over tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mamlbook.meta_batch import JudgedTasks
from mamlbook.parts import Part


class Weighting(Part, nn.Module, ABC):
    """w = weighting(surrogates, batch): one weight per task, (B,).

    ``surrogates.detach()`` are the query losses, ``batch.gradients(surrogates)`` each task's own meta-gradient, and
    ``batch.index`` says which task it is. Computing weights changes nothing; a weighting that remembers has an
    ``advance()``, see ``Part``.
    """

    @abstractmethod
    def forward(self, surrogates: Tensor, batch: JudgedTasks) -> Tensor: ...


def task_weights(weighting: Weighting, surrogates: Tensor, batch: JudgedTasks) -> Tensor:
    """The weights of the tasks, (B,), if that is what the weighting gives.

    Raises:
        ValueError: it gives something else, which might be taken for weights by broadcasting.
    """
    weights = weighting(surrogates, batch)
    if not isinstance(weights, Tensor) or weights.shape != surrogates.shape:
        got = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise ValueError(
            f"weighting: expected a tensor with one weight per task, shape {tuple(surrogates.shape)}, got {got} from "
            f"{weighting}; of a single number make torch.full_like(surrogates.detach(), number)"
        )
    return weights


class UniformWeights(Weighting):
    """The mean over tasks: w_b = 1/B.

    A mean and not a sum, so that the outer rate beta keeps its meaning when the meta-batch grows.

    Shapes: (B,) to (B,).
    """

    def forward(self, surrogates: Tensor, batch: JudgedTasks) -> Tensor:
        return torch.full_like(surrogates, 1 / len(surrogates), requires_grad=False)


class FunctionWeights(Weighting):
    """A plain function (surrogates, batch) to weights, as a weighting."""

    def __init__(self, function: Callable[[Tensor, JudgedTasks], Tensor]):
        super().__init__()
        self.function = function

    def forward(self, surrogates: Tensor, batch: JudgedTasks) -> Tensor:
        return self.function(surrogates, batch)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))
