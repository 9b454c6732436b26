"""Losses that compute something else than they seem to: targets that broadcast, weights that are theta's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
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


FORM_OF_ANOTHER = ("to", "type_as", "view_as", "expand_as", "reshape_as")
"""What takes no more than a form from its second argument."""


class Mismatch(ValueError):
    """Predictions and targets that do not belong together."""


class refusing_broadcasts(TorchFunctionMode):
    """Refuse, inside, to compare every prediction with every target where each was meant for one.

    Predictions (K, 1) and targets (K,) broadcast to (K, K): a loss of that learns the mean, and nothing complains.
    So do pictures (K, 1, H, W) and (K, H, W), which are told from pairs that are meant if both are ``pair`` itself,
    predictions and targets. With ``net``, its weights are refused as well: they are theta there, and not what the task
    has adapted.

    Raises:
        Mismatch: inside, when it happens.
        ValueError: inside, something is computed from the weights of ``net``.
    """

    def __init__(self, *pair: Any, net: nn.Module | None = None):
        super().__init__()
        self.pair, self.net = pair, net

    def __torch_function__(
        self, function: Callable, types: Any, args: Sequence = (), kwargs: dict | None = None
    ) -> Any:
        given = [a for a in (*args[:2], *(kwargs or {}).values()) if isinstance(a, Tensor)]
        if len(given) < 2:
            return self._own(function, args, function(*args, **(kwargs or {})))
        one, other = given[:2]
        if function in ENTRY_BY_ENTRY and one.shape != other.shape:
            _refuse(one, other)
        crossing = _crossing(one, other)
        if crossing and function in COMPARING:
            _refuse(one, other)
        result = self._own(function, args, function(*args, **(kwargs or {})))
        if crossing and isinstance(result, Tensor) and result.shape == 2 * one.shape[:1]:
            _refuse(one, other)
        if one.shape != other.shape and self._is_pair(one, other) and _is_outer(result, one, other):
            _refuse(*self.pair)
        return result

    def _is_pair(self, one: Tensor, other: Tensor) -> bool:
        return all(any(tensor is each for each in self.pair) for tensor in (one, other))

    def _own(self, function: Callable, args: Sequence, result: Any) -> Any:
        """The result, unless it comes from the network's weights."""
        first = result[0] if isinstance(result, tuple | list) and result else result
        name = getattr(function, "__name__", "")
        if self.net is None or not isinstance(first, Tensor) or name.endswith("_like") or name.startswith("new_"):
            return result  # a form or a place, which anybody may ask for
        for given in args[:1] if name in FORM_OF_ANOTHER else args:
            for a in given if isinstance(given, tuple | list) else (given,):
                if isinstance(a, Tensor) and a.requires_grad and a.is_leaf and _is_weight(a, self.net):
                    raise ValueError(
                        "loss: expected a function of predictions and targets, got one that reads weights of the "
                        "network, which are theta there and not those that a task has adapted; penalise weights by "
                        "GradientDescent(lam=...) or the rule's weight_decay, or let the network return the penalty"
                    )
        return result


def _is_weight(tensor: Tensor, net: nn.Module) -> bool:
    return any(tensor is weight for weight in net.parameters())


def _is_outer(result: Any, one: Tensor, other: Tensor) -> bool:
    """Whether both have been broadcast, to a shape that neither has."""
    if not isinstance(result, Tensor) or result.shape in (one.shape, other.shape):
        return False
    try:
        return result.shape == torch.broadcast_shapes(one.shape, other.shape)
    except RuntimeError:
        return False


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
