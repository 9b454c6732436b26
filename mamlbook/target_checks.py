"""Targets that only seem to match their predictions: shapes that broadcast without a word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

ENTRY_BY_ENTRY = (
    functional.mse_loss,
    functional.l1_loss,
    functional.smooth_l1_loss,
    functional.huber_loss,
    functional.binary_cross_entropy_with_logits,
    functional.poisson_nll_loss,
    functional.gaussian_nll_loss,
    functional.soft_margin_loss,
    functional.hinge_embedding_loss,
)

COMPARING = (functional.kl_div, functional.cosine_similarity, functional.pairwise_distance, torch.dist)
"""What broadcasts on purpose at times, and hides in one number that it has."""


class Mismatch(ValueError):
    """Predictions and targets that do not belong together."""


class refusing_broadcasts(TorchFunctionMode):
    """Refuse, inside, to compare every prediction with every target where each was meant for one.

    Predictions (K, 1) and targets (K,) broadcast to (K, K): a loss of that learns the mean, and nothing complains.

    Raises:
        Mismatch: inside, when it happens.
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
        crossing = _crossing(one, other)
        if crossing and function in COMPARING:
            _refuse(one, other)
        result = function(*args, **(kwargs or {}))
        if crossing and isinstance(result, Tensor) and result.shape == 2 * one.shape[:1]:
            _refuse(one, other)
        return result


def _crossing(one: Tensor, other: Tensor) -> bool:
    """Whether these are (K, 1) and (K,), which become (K, K)."""
    column, row = (one, other) if one.ndim > other.ndim else (other, one)
    count = len(column) if column.ndim else 0
    return count > 1 and column.shape == (count, 1) and row.shape == (count,)


def _refuse(y_hat: Tensor, y: Tensor) -> None:
    raise Mismatch(
        f"y: expected targets that match the predictions, got {tuple(y.shape)} for {tuple(y_hat.shape)} of one task, "
        "which broadcast; for a regression both need the same shape, as (tasks, examples, 1); if every pair is meant, "
        "give both two axes, as in a[:, None] - a[None]"
    )
