"""higher's own loop over tasks."""

from __future__ import annotations

import higher
import torch

from benchmarks.contenders import Step
from benchmarks.contenders.common import away, loss_of, network, one_by_one, zeroed
from benchmarks.job import Job


def prepare(job: Job) -> Step:
    """``innerloop_ctx`` for one task after the other, with ``backward()`` in it, as higher's own MAML example has it.

    The methods of first order ask it for no graph, ``track_higher_grads=False``, and read the adapted weights.
    """
    net, loss, tasks = network(job, native=True), loss_of(job), one_by_one(job)
    optimizer = torch.optim.SGD(net.parameters(), lr=job.workload.alpha)
    method, share = job.workload.method, 1 / len(tasks)

    def step():
        theta, total = zeroed(net), 0.0
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

    return step
