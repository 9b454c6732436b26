"""TorchOpt's differentiable optimisers: its loop over tasks, and its functional ones under vmap."""

from __future__ import annotations

import torch
import torchopt
from torch import Tensor
from torch.func import functional_call, grad, vmap

from benchmarks.contenders import Step
from benchmarks.contenders.common import loss_of, network, one_by_one, tasks_of, zeroed
from benchmarks.job import Job


def loop(job: Job) -> Step:
    """``MetaSGD`` steps the network itself, which then gets its state back, as in TorchOpt's own MAML example."""
    net, loss, tasks = network(job, native=True), loss_of(job), one_by_one(job)
    inner = torchopt.MetaSGD(net, lr=job.workload.alpha)
    share = 1 / len(tasks)

    def step():
        theta, total = zeroed(net), 0.0
        start, begun = (torchopt.extract_state_dict(part, by="reference") for part in (net, inner))
        for xs, ys, xq, yq in tasks:
            for _ in range(job.workload.steps):
                inner.step(loss(net(xs), ys))
            query = loss(net(xq), yq) * share
            query.backward()
            torchopt.recover_state_dict(net, start)
            torchopt.recover_state_dict(inner, begun)
            total += query.detach()
        return [p.grad for p in theta], total

    return step


def functional(job: Job) -> Step:
    """``torchopt.sgd`` on the gradients of torch.func, under ``vmap``, and an ordinary gradient around it."""
    net, loss, tasks = network(job), loss_of(job), tasks_of(job)
    theta = dict(net.named_parameters())
    rule = torchopt.sgd(lr=job.workload.alpha)

    def objective(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(net, weights, (x,)), y)

    def query(weights: dict[str, Tensor], xs: Tensor, ys: Tensor, xq: Tensor, yq: Tensor) -> Tensor:
        phi, state = weights, rule.init(weights)
        for _ in range(job.workload.steps):
            updates, state = rule.update(grad(objective)(phi, xs, ys), state, params=phi, inplace=False)
            phi = torchopt.apply_updates(phi, updates, inplace=False)
        return objective(phi, xq, yq)

    def step():
        mean = vmap(query, in_dims=(None, 0, 0, 0, 0))(theta, *tasks.support, *tasks.query).mean()
        return torch.autograd.grad(mean, list(theta.values())), mean.detach()

    return step
