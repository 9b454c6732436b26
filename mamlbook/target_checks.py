"""Targets that only seem to match their predictions: shapes that broadcast without a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

ENTRY_BY_ENTRY = (
    functional.mse_loss,
    functional.l1_loss,
    functional.smooth_l1_loss,
    functional.huber_loss,
    functional.binary_cross_entropy_with_logits,
)


class refusing_broadcasts(TorchFunctionMode):
    """Refuse, inside, to compare every prediction with every target where each was meant for one.

    Predictions (K, 1) and targets (K,) broadcast to (K, K): a loss of that learns the mean, and nothing complains.

    Raises:
        ValueError: inside, when it happens.
    """

    def __torch_function__(
        self, function: Callable, types: Any, args: Sequence = (), kwargs: dict | None = None
    ) -> Any:
        given = [a for a in (*args[:2], *(kwargs or {}).values()) if isinstance(a, Tensor)]
        if len(given) < 2:
            return function(*args, **(kwargs or {}))
        one, other = given[:2]
        if function in ENTRY_BY_ENTRY and one.shape != other.shape:
            _refuse(one, other)
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and _crossed(one, other, result):
            _refuse(one, other)
        return result


def _crossed(one: Tensor, other: Tensor, result: Tensor) -> bool:
    """Whether (K, 1) and (K,) have become (K, K)."""
    column, row = (one, other) if one.ndim > other.ndim else (other, one)
    count = len(column) if column.ndim else 0
    return count > 1 and column.shape == (count, 1) and row.shape == (count,) and result.shape == (count, count)


def _refuse(y_hat: Tensor, y: Tensor) -> None:
    raise ValueError(
        f"y: expected targets that match the predictions, got {tuple(y.shape)} for {tuple(y_hat.shape)} of one task, "
        "which broadcast; for a regression both need the same shape, as (tasks, examples, 1)"
    )
