"""What the contenders that are written in PyTorch share."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from benchmarks.job import Job
from benchmarks.workloads import network as fresh
from mamlbook.layers import BatchNorm
from mamlbook.tasks.base import Data, Tasks, never_again

# A GPU's convolutions round to ten bits by default, those of its matrix products do not; no contender may.
torch.backends.cudnn.allow_tf32 = False


def network(job: Job, *, native: bool = False) -> nn.Sequential:
    """The job's network with its weights; with ``native``, PyTorch's own batch normalisation in it."""
    net = fresh(job.workload)
    if native:
        _replace_norms(net)
    net.to(job.device, getattr(torch, job.dtype))
    with torch.no_grad():
        for weight, start in zip(net.parameters(), job.theta, strict=True):
            weight.copy_(torch.from_numpy(start))
    return net


def _replace_norms(net: nn.Module) -> None:
    for name, layer in net.named_children():
        if isinstance(layer, BatchNorm):
            norm = nn.BatchNorm2d(len(layer.gain), eps=layer.eps, track_running_stats=False)
            setattr(net, name, norm)
        else:
            _replace_norms(layer)


def loss_of(job: Job):
    return cross_entropy if job.workload.convolutional else mse_loss


def tasks_of(job: Job) -> Tasks:
    support, query = (Data(*(torch.from_numpy(t).to(job.device) for t in part)) for part in (job.support, job.query))
    return Tasks(support, query, never_again(len(support.x)).to(job.device))


def one_by_one(job: Job) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """The tasks as a loop meets them: support x and y, query x and y, each without the task axis."""
    tasks = tasks_of(job)
    return list(zip(*tasks.support, *tasks.query, strict=True))


def zeroed(net: nn.Module) -> list[Tensor]:
    """The weights, with gradients that begin at zero."""
    net.zero_grad(set_to_none=True)
    return list(net.parameters())


def away(starts: Iterator[Tensor] | list[Tensor], phi: Iterator[Tensor] | list[Tensor], share: float) -> None:
    """Add ``share`` times theta - phi to the gradients of theta: one task's part of Reptile's mean."""
    with torch.no_grad():
        for start, adapted in zip(starts, phi, strict=True):
            way = (start - adapted) * share
            start.grad = way if start.grad is None else start.grad.add_(way)
