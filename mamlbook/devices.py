"""What differs from one device to another: its name, the noise that it draws, and when its work is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


def pick_device(device: str | int | torch.device) -> torch.device:
    """The device by name, or by the number of a GPU: 'auto' is the GPU if there is one, otherwise the CPU.

    >>> pick_device("cpu")
    device(type='cpu')

    Raises:
        ValueError: the name is unknown, or that device is not on this machine.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(
            f"device: expected 'auto', 'cpu', 'cuda' or another device of this machine, got {str(device)!r} ({error})"
        ) from None
    return picked


def random_states() -> list[Tensor]:
    """The global generators, which layers such as dropout draw from: the CPU's, then each GPU's."""
    return [torch.get_rng_state(), *(module.get_rng_state(number) for module, number in _gpus())]


def set_random_states(states: Sequence[Tensor]) -> None:
    """Put the global generators back where they were, but for those of GPUs that are not here or of another kind."""
    torch.set_rng_state(states[0])
    for (module, number), state in zip(_gpus(), states[1:], strict=False):
        if state.shape == module.get_rng_state(number).shape:
            module.set_rng_state(state, number)


@contextmanager
def noise_kept() -> Iterator[None]:
    """Leave the global generators where they are, whatever is drawn inside."""
    states = random_states()
    try:
        yield
    finally:
        set_random_states(states)


@contextmanager
def on_cpu() -> Iterator[None]:
    """Make new tensors on the CPU, whatever ``torch.set_default_device`` says. It decorates functions as well."""
    with torch.device("cpu"):
        yield


@contextmanager
def drawn_on_cpu(seed: int) -> Iterator[None]:
    """Draw from a seed, the same numbers for every device, and leave the global generators where they are."""
    with on_cpu(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would begin the GPUs' noise anew as well
        yield


def sent(tensor: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """The tensor on that device, and in that precision, without a wait where none is needed.

    What goes to a GPU is put aside before the copy begins, and may be written again. Pinned memory is read in place,
    and what comes from a GPU is not there before the copy is done.
    """
    waits = device.type == "cpu" or tensor.is_pinned()
    return tensor.to(device, dtype or tensor.dtype, non_blocking=not waits)


def wait_for(device: torch.device) -> None:
    """Wait until the device has done all that it was asked for."""
    torch.get_device_module(device).synchronize()


def _gpus() -> list[tuple[Any, int]]:
    """PyTorch's module for the GPUs of this machine, once for each of them, and its number."""
    kind = torch.accelerator.current_accelerator(check_available=True)
    if kind is None:
        return []
    return [(torch.get_device_module(kind), number) for number in range(torch.accelerator.device_count())]
