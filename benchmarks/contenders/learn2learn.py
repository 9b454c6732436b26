"""learn2learn's MAML wrapper."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from functools import cache
from types import ModuleType

import torch

from benchmarks.contenders import Step
from benchmarks.contenders.common import away, loss_of, network, one_by_one, zeroed
from benchmarks.job import Job


@cache
def _maml() -> type:
    """learn2learn's ``MAML``, without the rest of its package.

    Importing the whole asks for torchvision, gym and compiled data loaders, none of which MAML needs: the two packages
    that it lies in are entered as empty ones.
    """
    found = importlib.util.find_spec("learn2learn")
    if found is None:
        raise ModuleNotFoundError("No module named 'learn2learn'")
    for name, inner in (("learn2learn", ""), ("learn2learn.algorithms", "/algorithms")):
        package = ModuleType(name)
        package.__path__ = [folder + inner for folder in found.submodule_search_locations]
        sys.modules.setdefault(name, package)
    return importlib.import_module("learn2learn.algorithms.maml").MAML


def prepare(job: Job) -> Step:
    """``clone()``, ``adapt()`` and ``backward()`` for each task; ``first_order=True`` for all methods but MAML."""
    net, loss, tasks = network(job, native=True), loss_of(job), one_by_one(job)
    method, share = job.workload.method, 1 / len(tasks)
    maml = _maml()(net, lr=job.workload.alpha, first_order=method != "maml")

    def step():
        theta, total = zeroed(net), 0.0
        for xs, ys, xq, yq in tasks:
            learner = maml.clone()
            for _ in range(job.workload.steps):
                learner.adapt(loss(learner(xs), ys))
            with torch.set_grad_enabled(method != "reptile"):
                query = loss(learner(xq), yq) * share
            if method == "reptile":
                away(theta, learner.parameters(), share)
            else:
                query.backward()
            total += query.detach()
        return [p.grad for p in theta], total

    return step
