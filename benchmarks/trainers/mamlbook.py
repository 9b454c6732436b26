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
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.distribution import TaskDistribution
from mamlbook.training import fit

ENDLESS = 1_000_000  # meta-steps, more than anybody asks for


def eager(job: Job) -> Fit:
    """``fit(learner, Sinusoids(...))``."""
    return Fit(job, compiled=False)


def compiled(job: Job) -> Fit:
    """``fit(learner, Sinusoids(...), compiled=True)``."""
    return Fit(job, compiled=True)


class Fit:
    """One call of ``fit`` in a thread of its own, which computes while this one waits, and waits in between.

    Each call of ``fit`` compiles anew, so that a call for each block would time its compiler.
    """

    def __init__(self, job: Job, *, compiled: bool):
        self.job, self.compiled = job, compiled
        self.learner = learner_of(job)
        self.waves = Paused(distribution(job.workload)[1])
        threading.Thread(target=self._train, daemon=True).start()
        self.waves.reached()

    def train(self, steps: int) -> list[Tensor]:
        self.waves.go_on(steps)
        self.waves.reached()
        return list(self.learner.parameters())

    def follow(self, jobs: list[Job]) -> list[Tensor]:
        learner = learner_of(self.job)
        self._fit(learner, Given([tasks_of(job) for job in jobs]), len(jobs))
        return list(learner.parameters())

    def _train(self) -> None:
        try:
            self._fit(self.learner, self.waves, ENDLESS)
        except Exception as error:  # whatever it is, who waits is to know
            self.waves.fail(error)

    def _fit(self, learner, tasks: TaskDistribution, steps: int) -> None:
        count = self.job.workload.tasks
        fit(learner, tasks, steps=steps, tasks=count, beta=BETA, progress=False, compiled=self.compiled)


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
