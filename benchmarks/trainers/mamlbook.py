"""This book's ``fit``, paused between blocks."""

from __future__ import annotations

import threading
from queue import SimpleQueue

import torch
from torch import Tensor

from benchmarks.contenders.common import tasks_of
from benchmarks.contenders.mamlbook import learner_of
from benchmarks.job import Job
from benchmarks.trainers import BETA
from benchmarks.workloads import distribution
from mamlbook.learner import MetaLearner
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.distribution import TaskDistribution
from mamlbook.training import fit, fit_replicas

ENDLESS = 1_000_000  # meta-steps, more than anybody asks for


def eager(job: Job) -> Fit:
    """``fit(learner, Sinusoids(...), execution="eager")``, or ``fit_replicas`` of several learners."""
    return Fit(job, "eager")


def compiled(job: Job) -> Fit:
    """The same with ``execution="compiled"``."""
    return Fit(job, "compiled")


class Fit:
    """One call of ``fit`` in a thread of its own, which computes while this one waits, and waits in between.

    Each call of ``fit`` compiles anew, so that a call for each block would time its compiler.
    """

    def __init__(self, job: Job, execution: str):
        self.job, self.execution = job, execution
        self.learners = [learner_of(each) for each in job.alone()]
        self.waves = Paused(distribution(job.workload)[1])
        threading.Thread(target=self._train, daemon=True).start()
        self.waves.reached()

    def train(self, steps: int) -> list[Tensor]:
        self.waves.go_on(steps * len(self.learners))
        self.waves.reached()
        return self._weights(self.learners)

    def follow(self, jobs: list[Job]) -> list[Tensor]:
        learners = [learner_of(each) for each in self.job.alone()]
        self._fit(learners, Given([tasks_of(each) for job in jobs for each in job.alone()]), len(jobs))
        return self._weights(learners)

    def _weights(self, learners: list[MetaLearner]) -> list[Tensor]:
        of_each = [list(learner.parameters()) for learner in learners]
        return (
            of_each[0] if self.job.workload.replicas == 1 else [torch.stack(row) for row in zip(*of_each, strict=True)]
        )

    def _train(self) -> None:
        try:
            self._fit(self.learners, self.waves, ENDLESS)
        except Exception as error:  # whatever it is, who waits is to know
            self.waves.fail(error)

    def _fit(self, learners: list[MetaLearner], tasks: TaskDistribution, steps: int) -> None:
        options = {"steps": steps, "tasks": self.job.workload.tasks, "beta": BETA, "execution": self.execution}
        if len(learners) == 1:
            fit(learners[0], tasks, progress=False, **options)
        else:
            fit_replicas(learners, tasks, progress=False, **options)


class Paused:
    """Another distribution that can be drawn from so many times; then it makes wait until it is told to go on."""

    def __init__(self, inner: TaskDistribution):
        self.inner, self.left = inner, 0
        self._granted: SimpleQueue[int] = SimpleQueue()
        self._news: SimpleQueue[Exception | None] = SimpleQueue()

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        if not self.left:
            self._news.put(None)
            self.left = self._granted.get()
        self.left -= 1
        return self.inner.draw(tasks, generator)

    def go_on(self, draws: int) -> None:
        self._granted.put(draws)

    def reached(self) -> None:
        """Wait until all has been drawn and the next one is asked for.

        Raises:
            Exception: what the one that draws has failed with.
        """
        error = self._news.get()
        if error is not None:
            raise error

    def fail(self, error: Exception) -> None:
        self._news.put(error)


class Given:
    """The same batches in the same order, one at each draw."""

    def __init__(self, batches: list[Tasks]):
        self.batches = iter(batches)

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        return next(self.batches)
