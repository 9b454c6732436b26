"""The head of a network: what it sees, its weights among theta, and the targets that it is to reach."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.model import Model
from mamlbook.numerics import Params
from mamlbook.torch_internals import check_on_device
from mamlbook.trees import Tree


def has_bias(model: Model) -> bool:
    """Whether the head has a bias that learns.

    Raises:
        ValueError: the network has no head that is known.
    """
    return f"{model.require_head()}.bias" in model.names


def head_of(model: Model, phi: Params) -> Tensor:
    """The weights of the head: (B, C, d)."""
    return phi[model.names.index(f"{model.require_head()}.weight")]


def head_features(model: Model, theta: Params, x: Tree) -> Tensor:
    """What the head's weights are multiplied with: (B, K, d), or (B, K, d + 1) with a 1 for its bias."""
    h = model.features(theta, x)
    return torch.cat([h, torch.ones_like(h[..., :1])], -1) if has_bias(model) else h


def with_head(model: Model, phi: Params, head: Tensor) -> Params:
    """The same weights with another head, (B, C, d), or (B, C, d + 1) with the bias behind."""
    d = head_of(model, phi).shape[-1]
    new = {f"{model.head}.weight": head[..., :d]}
    if head.shape[-1] > d:
        new[f"{model.head}.bias"] = head[..., d]
    return tuple(new.get(name, weight) for name, weight in zip(model.names, phi, strict=True))


def numeric_targets(y_hat: Tensor, y: Tensor) -> Tensor:
    """Targets for a squared loss: y itself, or (B, K, C) with a 1 for the right class and 0 for the others.

    Raises:
        ValueError: the predictions are no tensor (B, K, C), or y is neither classes nor of their shape.
        RuntimeError: a class is none of the C, which the device itself finds.
    """
    if not isinstance(y_hat, Tensor) or not isinstance(y, Tensor) or y_hat.ndim != 3:
        got = tuple(y_hat.shape) if isinstance(y_hat, Tensor) else type(y_hat).__name__
        raise ValueError(
            f"net: expected predictions (tasks, examples, outputs) for a squared loss, got {got}; let the network end "
            "in one row of outputs per example, as nn.Flatten() makes it, or choose maml, which takes any"
        )
    if y.is_floating_point() or y.shape == y_hat.shape:
        if y.shape != y_hat.shape:
            raise ValueError(f"y: expected the shape of the predictions, {tuple(y_hat.shape)}, got {tuple(y.shape)}")
        return y.to(y_hat.dtype)
    if y.shape != y_hat.shape[:2]:
        raise ValueError(f"y: expected classes of shape {tuple(y_hat.shape[:2])}, got {tuple(y.shape)}")
    check_on_device(
        ((y >= 0) & (y < y_hat.shape[-1])).all(),
        f"y: expected classes from 0 to {y_hat.shape[-1] - 1} in every support set, got others, which a squared loss "
        "would take for examples of no class; leave out what is padded, and give tasks of unequal size as a list",
    )
    return (y[..., None] == torch.arange(y_hat.shape[-1], device=y.device)).to(y_hat.dtype)
