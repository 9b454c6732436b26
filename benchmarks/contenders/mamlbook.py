"""This book's package: the learner as the pages run it, and its faster ways of running the same thing."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.contenders import Step
from benchmarks.contenders.common import loss_of, network, tasks_of
from benchmarks.job import Job
from mamlbook.algorithms import ALGORITHMS
from mamlbook.execution.compiled import Compiled
from mamlbook.learner import MetaLearner
from mamlbook.metagradient import Checkpointed, Exact, MetaGradient, TaskChunks
from mamlbook.model import Model


def eager(job: Job) -> Step:
    """``maml(model, alpha, steps)``, ``fomaml`` or ``reptile``, called on the tasks: all of them at once."""
    return _step(learner_of(job).gradients, job)


def chunks(job: Job) -> Step:
    """``TaskChunks(Exact(), 1)``: one task at a time, so that a convolution is an ordinary one."""
    return _step(learner_of(job, TaskChunks(Exact(), 1)).gradients, job)


def checkpointed(job: Job) -> Step:
    """``Checkpointed()``: inner steps are computed again on the way back instead of being kept."""
    return _step(learner_of(job, Checkpointed()).gradients, job)


def compiled(job: Job) -> Step:
    """``Compiled(learner)``: the whole meta-step traced once and compiled."""
    return _step(Compiled(learner_of(job)), job)


def compiled_chunks(job: Job) -> Step:
    """``Compiled`` of a learner with ``TaskChunks(Exact(), 1)``: the code of one task, run for each."""
    return _step(Compiled(learner_of(job, TaskChunks(Exact(), 1))), job)


def compiled_checkpointed(job: Job) -> Step:
    """``Compiled`` of a learner with ``Checkpointed()``."""
    return _step(Compiled(learner_of(job, Checkpointed())), job)


def learner_of(job: Job, metagradient: MetaGradient | None = None) -> MetaLearner:
    """The workload's own learner, or the same with another meta-gradient."""
    model = Model(network(job), loss_of(job))
    learner = ALGORITHMS[job.workload.method](model, alpha=job.workload.alpha, steps=job.workload.steps)
    return learner if metagradient is None else MetaLearner(model, learner.solver, metagradient, learner.weighting)


def _step(gradients: Callable, job: Job) -> Step:
    tasks = tasks_of(job)

    def step():
        found, losses = gradients(tasks)
        return found, losses.mean()

    return step
