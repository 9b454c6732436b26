"""This book's package: the learner as the pages run it, and its faster ways of running the same thing."""

from __future__ import annotations

import torch

from benchmarks.contenders import Step
from benchmarks.contenders.common import loss_of, network, tasks_of
from benchmarks.job import Job
from mamlbook.algorithms import ALGORITHMS
from mamlbook.compiled import Compiled
from mamlbook.learner import MetaLearner
from mamlbook.metagradient import Checkpointed, Chunks, Exact
from mamlbook.model import Model


def learner_of(job: Job) -> MetaLearner:
    model = Model(network(job), loss_of(job))
    return ALGORITHMS[job.workload.method](model, alpha=job.workload.alpha, steps=job.workload.steps)


def eager(job: Job) -> Step:
    """``maml(model, alpha, steps)``, ``fomaml`` or ``reptile``, called on the tasks: all of them at once."""
    return _called(learner_of(job), job)


def chunks(job: Job) -> Step:
    """``Chunks(Exact(), 1)``: one task at a time, so that a convolution is an ordinary one."""
    learner = learner_of(job)
    learner.metagradient = Chunks(Exact(), 1)
    return _called(learner, job)


def checkpointed(job: Job) -> Step:
    """``Checkpointed()``: inner steps are computed again on the way back instead of being kept."""
    learner = learner_of(job)
    learner.metagradient = Checkpointed()
    return _called(learner, job)


def compiled(job: Job) -> Step:
    """``Compiled(learner)``: the whole meta-step traced once and compiled."""
    return _run(learner_of(job), job)


def compiled_chunks(job: Job) -> Step:
    """``Compiled`` of a learner with ``Chunks(Exact(), 1)``: the code of one task, run for each."""
    learner = learner_of(job)
    learner.metagradient = Chunks(Exact(), 1)
    return _run(learner, job)


def compiled_checkpointed(job: Job) -> Step:
    """``Compiled`` of a learner with ``Checkpointed()``."""
    learner = learner_of(job)
    learner.metagradient = Checkpointed()
    return _run(learner, job)


def _run(learner: MetaLearner, job: Job) -> Step:
    run, tasks = Compiled(learner), tasks_of(job)

    def step():
        gradients, losses = run(tasks)
        return gradients, losses.mean()

    return step


def _called(learner: MetaLearner, job: Job) -> Step:
    tasks = tasks_of(job)

    def step():
        surrogate, losses = learner(tasks)
        return torch.autograd.grad(surrogate, learner.model.theta, materialize_grads=True), losses.mean()

    return step
