"""parallel-metalearn: vmap over tasks behind the interface of a trainer."""

from __future__ import annotations

import itertools

import torch
from metalearn.algorithms import MAML, Reptile
from metalearn.inner_optimizers import InnerSGD
from metalearn.loss import BaseLoss
from torch import nn

from benchmarks.contenders import Step
from benchmarks.contenders.common import loss_of, network, tasks_of
from benchmarks.job import Job


class _Wrapped(nn.Module):
    """A network in the form that the library asks for."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x, **ignored):
        return {"logits": self.net(x)}

    def get_fast_weights(self):
        return dict(self.named_parameters())


class _Loss(BaseLoss):
    """The job's loss, and as the metric the same number: the loss that the loop over tasks reports is another one."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, out_dict, targets, model_states=None, **ignored):
        value = self.loss(out_dict["logits"], targets)
        return value, value.detach()


def prepare(job: Job) -> Step:
    """``MAML.step`` or ``Reptile.step`` on all tasks in one chunk, with an outer rate of 0.

    Convolutions run with ``backend="sequential"``, one task after the other, which is faster on a CPU.
    """
    workload, tasks = job.workload, tasks_of(job)
    loop = workload.convolutional and job.device == "cpu"
    model = _Wrapped(network(job, native=loop))
    inner = InnerSGD(
        model.get_fast_weights(),
        first_order=workload.method != "maml",
        max_inner_steps=workload.steps,
        learn_lr=False,
    ).to(getattr(torch, job.dtype))
    for rate in inner.parameters():
        rate.data.fill_(workload.alpha)  # in the job's precision: given as inner_lr it would be rounded to single
    algorithm = (Reptile if workload.method == "reptile" else MAML)(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.0),
        inner_optimizer=inner,
        support_loss_fn=_Loss(loss_of(job)),
        inner_steps=workload.steps,
        chunk_size=workload.tasks,
        device=torch.device(job.device),
        backend="sequential" if loop else "vmap",
    )
    batches = itertools.repeat((*tasks.support, *tasks.query))

    def step():
        _, loss = algorithm.step(batches)
        return [p.grad for p in model.parameters()], loss

    return step
