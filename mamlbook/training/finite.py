"""A run is worth going on while its losses, its weights and what its optimizer remembers are finite."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class NonFinite(ArithmeticError):
    """Something became nan or infinite, so that every later step would be lost."""


class NonFiniteLoss(NonFinite):
    """The query loss became nan or infinite."""


class NonFiniteState(NonFinite):
    """A weight, a buffer or a tensor of the optimizer became nan or infinite, though the losses had been finite."""


def non_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of the tensors that hold nan or an infinity, with one wait for each device."""
    places: dict[torch.device, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() or tensor.is_complex():
            places[tensor.device][name] = tensor.detach().isfinite().all()
    sound = {name: ok for found in places.values() for name, ok in _read(found)}
    return [name for name in tensors if not sound.get(name, True)]


def _read(found: dict[str, Tensor]) -> list[tuple[str, bool]]:
    return list(zip(found, torch.stack(tuple(found.values())).tolist(), strict=True))


def tensors_of(learner: nn.Module) -> dict[str, Tensor]:
    """Every weight and buffer by name, also the buffers that are not stored."""
    return {**dict(learner.named_parameters()), **dict(learner.named_buffers())}


def require_finite_losses(losses: Sequence[float], done: int, advice: str) -> None:
    """Refuse losses of the meta-steps after ``done`` that are not finite; ``advice`` says what to try.

    Raises:
        NonFiniteLoss: names the first meta-step.
    """
    for step, value in enumerate(losses, done + 1):
        if not math.isfinite(value):
            raise NonFiniteLoss(f"the query loss became {value} at meta-step {step}; {advice}")


def require_finite_state(tensors: Mapping[str, Tensor], step: int, advice: str) -> None:
    """Refuse a state that is not finite after so many meta-steps, with losses that were.

    Raises:
        NonFiniteState: names the first tensor.
    """
    for name in non_finite(tensors)[:1]:
        kind = "nan" if tensors[name].isnan().any() else "infinite"
        when = f"became {kind} by meta-step {step}, though every loss up to it was finite" if step else f"is {kind}"
        raise NonFiniteState(
            f"{name} {when}; a gradient can be nan or infinite where the loss is not, as that of a square root or a "
            "norm at 0: add a small constant inside it, clip the gradients in the optimizer, or try a smaller rate "
            f"alpha or beta{advice}"
        )
