"""higher's own loop over tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import higher
import torch
from torch import Tensor, nn

from benchmarks.contenders import Step
from benchmarks.contenders.common import away, loss_of, network, one_by_one, zeroed
from benchmarks.job import Job


def prepare(job: Job) -> Step:
    """``innerloop_ctx`` for one task after the other, with ``backward()`` in it, as higher's own MAML example has it.

    The methods of first order ask it for no graph, ``track_higher_grads=False``, and read the adapted weights.
    """
    run, tasks = meta_gradient(job, network(job, native=True)), one_by_one(job)
    return lambda: run(tasks)


def meta_gradient(job: Job, net: nn.Module) -> Callable[[Sequence[tuple[Tensor, ...]]], tuple[list[Tensor], Tensor]]:
    """The meta-gradient of the network's weights and the mean query loss as a function of a list of tasks."""
    loss, method = loss_of(job), job.workload.method
    optimizer = torch.optim.SGD(net.parameters(), lr=job.workload.alpha)

    def run(tasks):
        theta, total, share = zeroed(net), 0.0, 1 / len(tasks)
        for xs, ys, xq, yq in tasks:
            with higher.innerloop_ctx(
                net, optimizer, copy_initial_weights=False, track_higher_grads=method == "maml"
            ) as (adapted, inner):
                for _ in range(job.workload.steps):
                    inner.step(loss(adapted(xs), ys))
                with torch.set_grad_enabled(method != "reptile"):
                    query = loss(adapted(xq), yq) * share
                if method == "maml":
                    query.backward()
                elif method == "fomaml":
                    for start, slope in zip(theta, torch.autograd.grad(query, adapted.fast_params), strict=True):
                        start.grad = slope if start.grad is None else start.grad.add_(slope)
                else:
                    away(theta, adapted.fast_params, share)
            total += query.detach()
        return [p.grad for p in theta], total

    return run
