"""PyTorch's norms as plain arithmetic, which refuse the shapes that PyTorch refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import torch
from torch import Tensor
from torch.nn import functional

from mamlbook.torch_internals import WEIGHT_NORM


def _normalised(x: Tensor, axes: list[int], eps: float) -> Tensor:
    wide = _wide(x)
    centred = wide - wide.mean(axes, keepdim=True)
    return (centred * torch.rsqrt(centred.square().mean(axes, keepdim=True) + eps)).to(x.dtype)


def _wide(x: Tensor) -> Tensor:
    """Numbers of 16 bits in single precision, as PyTorch's kernels square and sum them: 257 squared is no float16."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def _scaled(x: Tensor, gain: Tensor | None, offset: Tensor | None) -> Tensor:
    x = x if gain is None else x * gain
    return x if offset is None else x + offset


@overload
def _per_channel(values: Tensor, x: Tensor) -> Tensor: ...
@overload
def _per_channel(values: Tensor | None, x: Tensor) -> Tensor | None: ...
def _per_channel(values: Tensor | None, x: Tensor) -> Tensor | None:
    """One number a channel, (C,), in the shape that meets (K, C, ...)."""
    return None if values is None else values.view(-1, *[1] * (x.ndim - 2))


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.layer_norm``: over the last axes, each example by itself."""
    _require_last_axes(input, normalized_shape)
    return _scaled(_normalised(input, [-1 - axis for axis in range(len(normalized_shape))], eps), weight, bias)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """``torch.nn.functional.rms_norm``: the same without a mean."""
    _require_last_axes(input, normalized_shape)
    wide = _wide(input)
    eps = torch.finfo(wide.dtype).eps if eps is None else eps
    square = wide.square().mean([-1 - axis for axis in range(len(normalized_shape))], keepdim=True)
    return _scaled((wide * torch.rsqrt(square + eps)).to(input.dtype), weight, None)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """``torch.nn.functional.group_norm``: over the channels of a group and all pixels, each example by itself."""
    if input.shape[1] % num_groups:
        raise ValueError(
            f"net: expected channels that {num_groups} groups of a norm can share alike, got {input.shape[1]}; choose "
            "a number of groups that divides it"
        )
    _require_channels(input, weight, bias)
    groups = input.unflatten(1, (num_groups, -1))
    _require_several(groups, [*range(2, groups.ndim)])
    normalised = _normalised(groups, [*range(2, groups.ndim)], eps).flatten(1, 2)
    return _scaled(normalised, _per_channel(weight, input), _per_channel(bias, input))


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.instance_norm``: over the pixels of a channel, each example by itself."""
    axes = [*range(2, input.ndim)] if use_input_stats else None
    return _by_channel(input, axes, running_mean, running_var, weight, bias, eps)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm``: over examples and pixels of a channel, or by a known mean and variance."""
    axes = [axis for axis in range(input.ndim) if axis != 1] if training else None
    return _by_channel(input, axes, running_mean, running_var, weight, bias, eps)


def weight_norm(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    """``torch.nn.utils.weight_norm``: each slice of v along ``dim`` at the length of g; -1 takes v as a whole."""
    axes = [axis for axis in range(v.ndim) if dim == -1 or axis != dim % v.ndim]
    return v * (g / _wide(v).square().sum(axes, keepdim=True).sqrt().to(v.dtype))


def _by_channel(
    x: Tensor,
    axes: list[int] | None,
    mean: Tensor | None,
    variance: Tensor | None,
    gain: Tensor | None,
    offset: Tensor | None,
    eps: float,
) -> Tensor:
    """Each channel by the mean and variance over these axes, or without axes by known ones."""
    _require_channels(x, mean, variance, gain, offset)
    if axes is not None:
        _refuse_running(mean)
        _require_several(x, axes)
        normalised = _normalised(x, axes, eps)
    elif mean is None or variance is None:
        raise ValueError(
            "running_mean, running_var: expected both where a norm does not take its batch's own, got None"
        )
    else:
        normalised = (x - _per_channel(mean, x)) * torch.rsqrt(_per_channel(variance, x) + eps)
    return _scaled(normalised, _per_channel(gain, x), _per_channel(offset, x))


def _require_last_axes(x: Tensor, shape: Sequence[int]) -> None:
    if tuple(x.shape[x.ndim - len(shape) :]) != tuple(shape):
        raise ValueError(
            f"net: expected what a norm over {tuple(shape)} reads to end in these axes, got {tuple(x.shape)}; make the "
            "norm as wide as its input"
        )


def _require_channels(x: Tensor, *values: Tensor | None) -> None:
    """Refuse weights or statistics of another number of channels, which would broadcast where x has one."""
    for each in values:
        if each is not None and each.shape != x.shape[1:2]:
            raise ValueError(
                f"net: expected {len(each)} channels, of which a norm has so many weights or statistics, got "
                f"{x.shape[1]} in {tuple(x.shape)}; make the norm for as many channels as its input has"
            )


def _require_several(x: Tensor, axes: list[int]) -> None:
    """Refuse a mean of one number, from which nothing differs."""
    if all(x.shape[axis] == 1 for axis in axes):
        raise ValueError(
            f"net: expected several numbers for each mean and variance of a norm, got one in {tuple(x.shape)}, which "
            "becomes 0 whatever it is; take more shots, or a norm over the features of an example, nn.LayerNorm"
        )


def _refuse_running(mean: Tensor | None) -> None:
    if mean is not None:
        raise ValueError(
            "net: expected norms that keep nothing, got one in training that writes running statistics, which adapting "
            "tasks would overwrite for one another; "
            "call torch.func.replace_all_batch_norm_modules_(net) to take the batch's own, or net.eval() to fix them"
        )


EXACT: dict[Any, Callable] = {
    functional.layer_norm: layer_norm,
    torch.layer_norm: lambda input, shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True: layer_norm(
        input, shape, weight, bias, eps
    ),
    functional.rms_norm: rms_norm,
    torch.rms_norm: rms_norm,
    functional.group_norm: group_norm,
    torch.group_norm: lambda input, groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True: group_norm(
        input, groups, weight, bias, eps
    ),
    functional.instance_norm: instance_norm,
    functional.batch_norm: batch_norm,
    WEIGHT_NORM: weight_norm,
}
"""The exact way of each norm."""
