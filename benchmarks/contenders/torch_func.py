"""torch.func alone: the gradient of a vmap of gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import functional_call, grad, grad_and_value, vmap

from benchmarks.contenders import Step
from benchmarks.contenders.common import loss_of, network, tasks_of
from benchmarks.job import Job

Weights = dict[str, Tensor]


def eager(job: Job) -> Step:
    """``grad_and_value`` of the mean over ``vmap`` of a task's loss after steps along ``grad``."""
    theta, tasks = start(job), tasks_of(job)
    return _step(meta_gradient(job), theta, (*tasks.support, *tasks.query))


def compiled(job: Job) -> Step:
    """The same function under ``torch.compile``, whole."""
    theta, tasks = start(job), tasks_of(job)
    run = torch.compile(meta_gradient(job), fullgraph=True, dynamic=False)
    return _step(run, theta, (*tasks.support, *tasks.query))


def meta_gradient(job: Job) -> Callable[..., tuple[Weights, Tensor]]:
    """The meta-gradient and the mean query loss as a function of theta and of the four tensors of the tasks."""
    net, loss = network(job), loss_of(job)
    alpha, method = job.workload.alpha, job.workload.method

    def objective(weights: Weights, x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(net, weights, (x,)), y)

    def adapted(theta: Weights, x: Tensor, y: Tensor) -> Weights:
        phi = theta
        for _ in range(job.workload.steps):
            slope = grad(objective)(phi, x, y)
            phi = {k: p - alpha * (slope[k] if method == "maml" else slope[k].detach()) for k, p in phi.items()}
        return phi

    def query(theta: Weights, xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> Tensor:
        return objective(adapted(theta, xs, ys), xq, yq)

    def mean_query(theta: Weights, *tasks: Tensor) -> Tensor:
        return vmap(query, in_dims=(None, 0, 0, 0, 0))(theta, *tasks).mean()

    def reptile(theta: Weights, xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> tuple[Weights, Tensor]:
        def one(x: Tensor, y: Tensor, x_query: Tensor, y_query: Tensor) -> tuple[Weights, Tensor]:
            phi = adapted(theta, x, y)
            return {k: theta[k] - phi[k] for k in theta}, objective(phi, x_query, y_query)

        with torch.no_grad():
            ways, losses = vmap(one)(xs, ys, xq, yq)
            return {k: way.mean(0) for k, way in ways.items()}, losses.mean()

    return reptile if method == "reptile" else grad_and_value(mean_query)


def start(job: Job) -> Weights:
    """The job's weights by name."""
    return {name: p.detach() for name, p in network(job).named_parameters()}


def _step(run: Callable, theta: Weights, tasks: tuple[Tensor, ...]) -> Step:
    def step():
        gradients, loss = run(theta, *tasks)
        return list(gradients.values()), loss

    return step
