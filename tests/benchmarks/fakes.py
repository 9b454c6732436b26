"""Contenders that go wrong, each in its own way; they need nothing that takes long to import."""

import os
import time

import numpy as np


def _zeros(job):
    return [np.zeros_like(t) for t in job.theta]


def wrong(job):
    return lambda: (_zeros(job), 0.0)


def misshapen(job):
    return lambda: (_zeros(job)[:-1], 0.0)


def raises(job):
    raise ArithmeticError("no such number\nand more of it")


def dies(job):
    os._exit(3)


def hangs(job):
    time.sleep(600)


def cores(job):
    """Give as the loss the number of cores that it may use."""
    return lambda: (_zeros(job), float(len(os.sched_getaffinity(0))))


def greedy(job):
    """Take 100 MiB for a while at every step."""

    def step():
        np.ones(100 * 2**17).sum()
        return _zeros(job), 0.0

    return step


class _DiesLater:
    calls = 0


def dies_later(job):
    """Answer twice, as if all were well, and be gone."""

    def step():
        _DiesLater.calls += 1
        return (_zeros(job), 0.0) if _DiesLater.calls < 3 else os._exit(5)

    return step


class Still:
    """A trainer that stays where it is."""

    def __init__(self, job):
        self.job = job

    def train(self, steps):
        return self.job.theta

    def follow(self, jobs):
        return self.job.theta


class Short(Still):
    """A trainer that loses a weight on its way."""

    def follow(self, jobs):
        return self.job.theta[:-1]
