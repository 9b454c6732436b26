"""Products of rounded operands: what a GPU's shorter formats do to a meta-gradient, on any machine."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.torch_internals import TorchDispatchMode

TF32 = 10
"""Bits of the mantissa that NVIDIA's tensor cores read of a float32; float32 itself has 23, and bfloat16 has 7."""

_aten = torch.ops.aten
_PRODUCTS = (_aten.mm, _aten.bmm, _aten.addmm, _aten.baddbmm, _aten.convolution, _aten.convolution_backward)


class RoundedProducts(TorchDispatchMode):
    """Matrix products and convolutions of float32 tensors, forward and backward, as if their operands had fewer bits.

    c = sum_k round(a_k) round(b_k), with a and b rounded to ``bits`` bits of mantissa and sums in float32, which is
    what a tensor core computes; everything else stays in float32. With ``TF32`` bits this is how a GPU multiplies
    where TF32 is allowed. It rounds in software, and is slower than float32.

    Raises:
        ValueError: ``bits`` is no whole number from 1 to 23.

    >>> third = torch.full((1, 1), 1 / 3)
    >>> with RoundedProducts(TF32):
    ...     print(round((third @ torch.ones(1, 1)).item(), 7))
    0.333252
    """

    def __init__(self, bits: int = TF32):
        super().__init__()
        self.bits = whole_number("bits", bits)
        if bits > 23:
            raise ValueError(f"bits: expected at most the 23 of a float32, got {bits}")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function.overloadpacket in _PRODUCTS:
            args = tuple(rounded(each, self.bits) if isinstance(each, Tensor) else each for each in args)
        return function(*args, **(kwargs or {}))


def rounded(x: Tensor, bits: int) -> Tensor:
    """The nearest float32 with so many bits of mantissa, halves away from zero; other types stay as they are."""
    if x.dtype != torch.float32 or bits == 23:
        return x
    left = 23 - bits
    whole = (x.contiguous().view(torch.int32) + (1 << (left - 1))) & -(1 << left)
    return torch.where(x.isfinite(), whole.view(torch.float32), x)
