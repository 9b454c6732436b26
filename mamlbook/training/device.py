"""Where to compute."""

from __future__ import annotations

import torch


def pick_device(device: str | torch.device) -> torch.device:
    """The device by name: 'auto' is the GPU if there is one, otherwise the CPU.

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
