"""Embeddings that look words up and do nothing else, each task in its own table."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """``torch.nn.functional.embedding``, of which ``vmap`` freezes the padding row of the first task only."""
    if max_norm is not None or scale_grad_by_freq:
        raise ValueError(
            "net: expected an embedding that looks words up and nothing else, got one with max_norm or "
            "scale_grad_by_freq, which change weights or gradients behind the loss; leave them out"
        )
    input = _within(input, len(weight))
    if padding_idx is None:
        return functional.embedding(input, weight)
    rows = torch.arange(len(weight), device=weight.device) == padding_idx % len(weight)
    return functional.embedding(input, torch.where(rows[:, None], weight.detach(), weight))


def _within(indices: Tensor, size: int) -> Tensor:
    """The same indices, but for those outside of a table, which are sent beyond all: ``vmap`` has the tables of all
    tasks in a row, where an index that is too large would find a word of the next task."""
    outside = (indices < 0) | (indices >= size)
    return torch.where(outside, torch.iinfo(indices.dtype).max // 2, indices)


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """``torch.nn.functional.embedding_bag`` of bags that are as large as one another, which has one derivative only."""
    if input.ndim != 2 or offsets is not None:
        raise ValueError(
            "net: expected an embedding bag on indices (examples, words), got one with offsets; pad the bags to one "
            "size and set padding_idx"
        )
    padded = torch.zeros_like(input, dtype=torch.bool) if padding_idx is None else input == padding_idx % len(weight)
    words = embedding(input, weight, max_norm=max_norm, scale_grad_by_freq=scale_grad_by_freq)
    padded = padded[..., None]
    if mode == "max":
        most = words.masked_fill(padded, -torch.inf).amax(1)
        return torch.where(padded.all(1), 0.0, most)
    words = words if per_sample_weights is None else words * per_sample_weights[..., None]
    total = words.masked_fill(padded, 0.0).sum(1)
    return total if mode == "sum" else total / (~padded).sum(1).clamp(min=1)


EXACT: dict[Callable, Callable] = {functional.embedding: embedding, functional.embedding_bag: embedding_bag}
"""The exact way of each lookup."""
