"""PyTorch's fused operations as plain arithmetic, which is right under any number of derivatives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from mamlbook.exact import embeddings, losses, norms, recurrent
from mamlbook.exact.weights import TaskWeights
from mamlbook.torch_internals import requires_gradient, without_cached_parametrizations, without_checkpoints


@contextmanager
def exact_operations(given: Mapping[int, Tensor] | None = None) -> Iterator[None]:
    """Run what is inside with norms, attention and recurrent layers spelled out, whoever calls them.

    A kernel that PyTorch has fused comes with a derivative written by hand. That of the norms is wrong in the third
    order, and under an outer gradient of ``vmap(grad(...))`` in the second; that of ``weight_norm`` in the second; that
    of attention, of distances, of bags of words, of a margin and of a hard sigmoid ends after the first; and recurrent
    kernels cannot be batched over tasks, nor can losses that look at their values. Sums, products and exponentials have
    no such troubles.

    ``given`` are the weights of a task by the ``id`` of those of the network, for all that reads these (TaskWeights).

    References: https://github.com/pytorch/pytorch/issues/175754 and 186256 for the norms.
    """
    with _PROCESS.set(), _Exchange(given):
        yield


class _Process:
    """What PyTorch can only set for all threads: from when the first of them needs it until the last has ended."""

    def __init__(self):
        self.lock, self.users, self.stack = threading.Lock(), 0, ExitStack()

    @contextmanager
    def set(self) -> Iterator[None]:
        with self.lock:
            if not self.users:
                for setting in _settings():
                    self.stack.enter_context(setting)
            self.users += 1
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if not self.users:
                    self.stack.close()


_PROCESS = _Process()


def _settings() -> tuple[AbstractContextManager, ...]:
    return sdpa_kernel(SDPBackend.MATH), _layer_by_layer(), without_checkpoints(), without_cached_parametrizations()


@contextmanager
def _layer_by_layer() -> Iterator[None]:
    """Keep PyTorch from running a whole encoder layer as one kernel, as it does in evaluation without gradients.

    On the way it drops what is padding, whose number of words no two tasks need to share.
    """
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


class _Exchange(TorchFunctionMode):
    """Puts the exact operation in the place of the fused one as it is called, and a task's weights in that of theta."""

    def __init__(self, given: Mapping[int, Tensor] | None):
        super().__init__()
        self.of_task = None if given is None else TaskWeights(given)

    def __torch_function__(
        self, function: Callable, types: Any, args: Sequence = (), kwargs: dict | None = None
    ) -> Any:
        if (kwargs or {}).get("generator") is not None:
            raise ValueError(
                f"net: expected draws from torch's global generator, got {getattr(function, '__name__', function)} "
                "with a generator of its own, which tasks at once would draw from in another order than one by one; "
                "leave generator out, or draw when the network is made and keep the numbers in a buffer"
            )
        if self.of_task is not None and (_may_hold_weights(args) or kwargs) and function not in _OF_FORM:
            args = [self.of_task(value) for value in args]
            kwargs = {name: self.of_task(value) for name, value in (kwargs or {}).items()}
        return _EXACT.get(function, function)(*args, **(kwargs or {}))


def _may_hold_weights(values: Sequence) -> bool:
    """Whether one of them needs a closer look, which takes longer."""
    for value in values:
        kind = type(value)
        if value.requires_grad if kind is Tensor else kind not in _SIMPLE:
            return True
    return False


_SIMPLE = frozenset({int, float, bool, str, type(None), torch.Size, torch.dtype, torch.device, slice})


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``torch.nn.functional.bilinear``, for which ``vmap`` has no rule of its own."""
    _, one, other = weight.shape
    if (input1.shape[-1], input2.shape[-1]) != (one, other):
        raise ValueError(
            f"net: expected inputs of {one} and {other} features for a bilinear layer, got {tuple(input1.shape)} and "
            f"{tuple(input2.shape)}; make the layer as wide as they are"
        )
    y = torch.einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str | None = None) -> Tensor:
    """``torch.cdist``, which has one derivative only."""
    if x1.shape[-1] != x2.shape[-1]:
        raise ValueError(
            f"net: expected points of one dimension to measure distances between, got {tuple(x1.shape)} and "
            f"{tuple(x2.shape)}; give both as many numbers"
        )
    return _lengths(x1.unsqueeze(-2) - x2.unsqueeze(-3), p)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """``torch.nn.functional.pdist``, which has one derivative only."""
    one, other = torch.triu_indices(len(input), len(input), 1, device=input.device)
    return _lengths(input[one] - input[other], p)


def _lengths(difference: Tensor, p: float) -> Tensor:
    """The p-norms over the last axis, constant at 0, where a length has a kink and torch's second derivative is nan."""
    apart = (difference != 0).any(-1, keepdim=True)
    lengths = torch.linalg.vector_norm(torch.where(apart, difference, 1.0), p, -1)
    return torch.where(apart[..., 0], lengths, 0.0)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``torch.nn.functional.hardsigmoid``, which has one derivative only."""
    y = functional.relu6(input + 3) / 6
    return input.copy_(y) if inplace else y


_FORM = ("shape", "dtype", "device", "ndim", "layout", "is_leaf", "grad_fn", "requires_grad")
_OF_FORM = {
    *(getattr(Tensor, name).__get__ for name in _FORM),
    *(Tensor.size, Tensor.dim, Tensor.numel, Tensor.is_floating_point, Tensor.__len__),
}
"""What asks for no number of a tensor."""

_EXACT: dict[Any, Callable] = {
    Tensor.requires_grad.__get__: requires_gradient,  # type: ignore[attr-defined] # what asking for it calls
    **norms.EXACT,
    torch.cdist: cdist,
    torch.pdist: pdist,
    functional.bilinear: bilinear,
    torch.bilinear: bilinear,
    functional.hardsigmoid: hardsigmoid,
    **embeddings.EXACT,
    **recurrent.EXACT,
    **losses.EXACT,
}
