"""The gradients that all others are held to: one task after the other, in double precision, by autograd alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.job import Job
from mamlbook.analysis.costs import OperationCounter

Weights = list[Tensor]


class Reference(NamedTuple):
    """The mean meta-gradient, the mean query loss, and the operations of the matrix products and convolutions."""

    gradient: tuple[np.ndarray, ...]
    loss: float
    operations: int


def reference(job: Job) -> Reference:
    """Compute the job by a plain loop over tasks and steps, on networks that are written out here.

    MAML: grad = mean_b d L_b(phi_b) / d theta;  FOMAML: the gradient at phi_b;  Reptile: mean_b (theta - phi_b).
    """
    job = job.first(job.workload.tasks, "float64")
    theta = [torch.from_numpy(t).requires_grad_() for t in job.theta]
    total, losses = [torch.zeros_like(t) for t in theta], []
    tensors = [torch.from_numpy(t) for t in (*job.support, *job.query)]
    with OperationCounter() as counted:
        for xs, ys, xq, yq in zip(*tensors, strict=True):
            gradient, loss = _of_task(job, theta, (xs, ys), (xq, yq))
            total = [t + g for t, g in zip(total, gradient, strict=True)]
            losses.append(loss)
    count = len(losses)
    return Reference(tuple((t / count).numpy() for t in total), sum(losses) / count, counted.total)


def adam(jobs: Sequence[Job], beta: float) -> tuple[np.ndarray, ...]:
    """The first job's weights after one meta-step of Adam, written out here, on the tasks of each job in turn.

    Kingma and Ba, 2015, with the numbers that PyTorch has by default.
    """
    theta = [t.astype(np.float64) for t in jobs[0].theta]
    means, squares = ([np.zeros_like(t) for t in theta] for _ in range(2))
    for step, job in enumerate(jobs, 1):
        gradient = reference(replace(job, theta=tuple(theta))).gradient
        means = [0.9 * m + 0.1 * g for m, g in zip(means, gradient, strict=True)]
        squares = [0.999 * s + 0.001 * g**2 for s, g in zip(squares, gradient, strict=True)]
        unbiased = ((m / (1 - 0.9**step), s / (1 - 0.999**step)) for m, s in zip(means, squares, strict=True))
        theta = [t - beta * m / (np.sqrt(s) + 1e-8) for t, (m, s) in zip(theta, unbiased, strict=True)]
    return tuple(theta)


def _of_task(job: Job, theta: Weights, support: tuple, query: tuple) -> tuple[Weights, float]:
    workload = job.workload
    objective = _objective(job)
    phi = theta
    for _ in range(workload.steps):
        slope = torch.autograd.grad(objective(phi, *support), phi, create_graph=workload.method == "maml")
        phi = [p - workload.alpha * g for p, g in zip(phi, slope, strict=True)]
        if workload.method != "maml":
            phi = [p.detach().requires_grad_() for p in phi]
    if workload.method == "reptile":
        # The query loss is for the record, and no gradient of it is anybody's.
        with torch.no_grad():
            return [t.detach() - p.detach() for t, p in zip(theta, phi, strict=True)], objective(phi, *query).item()
    loss = objective(phi, *query)
    return list(torch.autograd.grad(loss, theta if workload.method == "maml" else phi)), loss.item()


def _objective(job: Job) -> Callable[[Weights, Tensor, Tensor], Tensor]:
    if not job.workload.convolutional:
        return lambda phi, x, y: (_mlp(phi, x) - y).square().mean()
    pool = job.workload.network == "conv4-max"
    return lambda phi, x, y: functional.nll_loss(_conv4(phi, x, pool).log_softmax(1), y)


def _mlp(phi: Weights, x: Tensor) -> Tensor:
    for weight, bias in zip(phi[:-2:2], phi[1:-2:2], strict=True):
        x = (x @ weight.T + bias).relu()
    return x @ phi[-2].T + phi[-1]


def _conv4(phi: Weights, x: Tensor, pool: bool) -> Tensor:
    for block in range(4):
        weight, bias, gain, offset = phi[4 * block : 4 * block + 4]
        x = functional.conv2d(x, weight, bias, stride=1 if pool else 2, padding=1)
        x = x - x.mean((0, 2, 3), keepdim=True)
        x = x / (x.square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()
        x = (x * gain.view(-1, 1, 1) + offset.view(-1, 1, 1)).relu()
        if pool:
            side = x.shape[-1] // 2 * 2
            x = x[..., :side, :side].unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2)).amax((-1, -3))
    return x.flatten(1) @ phi[-2].T + phi[-1]
