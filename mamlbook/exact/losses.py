"""Losses of PyTorch that look at their values or have one derivative, in arithmetic that all tasks can do at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """``torch.nn.functional.gaussian_nll_loss``, which looks at the variances to see whether one is negative."""
    var = torch.as_tensor(var, dtype=input.dtype, device=input.device)
    var = var.unsqueeze(-1) if var.ndim == input.ndim - 1 and var.ndim else var
    var = var + (var.clamp(min=eps) - var).detach()
    loss = (var.log() + (input - target).square() / var) / 2 + full * math.log(2 * math.pi) / 2
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``torch.nn.functional.cross_entropy``, whose smoothing of weighted classes picks examples by their values."""
    if (
        weight is None
        or not label_smoothing
        or target.is_floating_point()
        or size_average is not None
        or reduce is not None
    ):
        return functional.cross_entropy(
            input, target, weight, size_average, ignore_index, reduce, reduction, label_smoothing
        )
    minus = -input.log_softmax(min(1, input.ndim - 1)).movedim(min(1, input.ndim - 1), -1)
    counted = target != ignore_index
    known = torch.where(counted, target, 0)
    own = weight[known] * counted
    right = own * minus.gather(-1, known[..., None])[..., 0]
    every = counted * (minus * weight).sum(-1)
    loss = (1 - label_smoothing) * right + label_smoothing / minus.shape[-1] * every
    return {"none": loss, "sum": loss.sum(), "mean": loss.sum() / own.sum()}[reduction]


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``torch.nn.functional.multi_margin_loss``, which has one derivative only."""
    if size_average is not None or reduce is not None:
        return functional.multi_margin_loss(input, target, p, margin, weight, size_average, reduce, reduction)
    right = input.gather(-1, target[..., None])
    over = (margin - right + input).clamp(min=0) ** p
    over = over if weight is None else over * weight[target][..., None]
    loss = over.scatter(-1, target[..., None], 0.0).mean(-1)
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


EXACT: dict[Callable, Callable] = {
    functional.gaussian_nll_loss: gaussian_nll_loss,
    functional.cross_entropy: cross_entropy,
    functional.multi_margin_loss: multi_margin_loss,
}
"""The exact way of each loss."""
