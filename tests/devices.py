"""Where a test of devices runs: on a GPU where there is one, and on the rehearsed one everywhere else."""

import contextlib

import pytest
import torch

if torch.cuda.is_available():  # PyTorch has one kind of GPU at a time
    rehearsal = None
    _here = []
else:
    import rehearsal

    _here = [pytest.param(rehearsal.NAME, id="rehearsed")]

DEVICES = [*_here, pytest.param("cuda", marks=pytest.mark.gpu, id="gpu")]


@contextlib.contextmanager
def never_waiting(device):
    """Fail where Python waits for the device."""
    if torch.device(device).type == "cuda":
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
    else:
        with rehearsal.waits() as found:
            yield
        assert not found


def drawing_like_the_cpu(device, seed=7):
    """Begin the noise anew; the rehearsed device then draws the numbers of the CPU, which no GPU does."""
    torch.manual_seed(seed)
    if torch.device(device).type != "cuda":
        rehearsal.MODULE.set_rng_state(torch.get_rng_state())


def on(device, tensors):
    """Whether all are on the device."""
    return all(t.device.type == torch.device(device).type for t in tensors)
