"""Loops in Python around ``torch.optim.Adam``, as those who have no ``fit`` write them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.contenders import higher_loop
from benchmarks.contenders import torch_func as functions
from benchmarks.contenders.common import network
from benchmarks.job import Job
from benchmarks.trainers import BETA
from benchmarks.workloads import distribution

Four = tuple[Tensor, ...]  # of a batch: support x and y, query x and y
Gradients = Callable[[Four], tuple[list[Tensor], Tensor]]
Begin = Callable[[], tuple[list[Tensor], Gradients]]


def higher(job: Job) -> Loop:
    """``innerloop_ctx`` for one task after the other, then ``step()``."""

    def begin() -> tuple[list[Tensor], Gradients]:
        net = network(job, native=True)
        run = higher_loop.meta_gradient(job, net)
        return list(net.parameters()), lambda tasks: run(list(zip(*tasks, strict=True)))

    return Loop(job, begin)


def torch_func(job: Job) -> Loop:
    """The meta-gradient of torch.func under ``torch.compile``, whole, then ``step()``."""
    run = torch.compile(functions.meta_gradient(job), fullgraph=True, dynamic=False)

    def begin() -> tuple[list[Tensor], Gradients]:
        theta = functions.start(job)

        def gradients(tasks: Four) -> tuple[list[Tensor], Tensor]:
            found, loss = run(theta, *tasks)
            return list(found.values()), loss

        return list(theta.values()), gradients

    return Loop(job, begin)


class Loop:
    """Draw, differentiate, step; ``begin()`` gives fresh weights and what computes their meta-gradient."""

    def __init__(self, job: Job, begin: Begin):
        self.job, self.begin = job, begin
        self.tasks = distribution(job.workload)[1]
        self.generator = torch.Generator().manual_seed(0)
        self.run = Run(begin)

    def train(self, steps: int) -> list[Tensor]:
        losses = [self.run.step(self._drawn()) for _ in range(steps)]
        torch.stack(losses).tolist()  # read once, as a loop that reports them does
        return self.run.weights

    def follow(self, jobs: list[Job]) -> list[Tensor]:
        run = Run(self.begin)
        for job in jobs:
            run.step(tuple(torch.from_numpy(t).to(job.device) for t in (*job.support, *job.query)))
        return run.weights

    def _drawn(self) -> Four:
        tasks = self.tasks.draw(self.job.workload.tasks, self.generator)
        return tuple(t.to(self.job.device) for t in (*tasks.support, *tasks.query))


class Run:
    """Weights on their way, with the memory of their optimizer."""

    def __init__(self, begin: Begin):
        self.weights, self.gradients = begin()
        self.optimizer = torch.optim.Adam(self.weights, lr=BETA)

    def step(self, tasks: Four) -> Tensor:
        gradients, loss = self.gradients(tasks)
        for weight, gradient in zip(self.weights, gradients, strict=True):
            weight.grad = gradient
        self.optimizer.step()
        return loss
