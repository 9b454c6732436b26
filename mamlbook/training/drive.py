"""The meta-steps of one run, or of several that keep step."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor
from tqdm import tqdm

from mamlbook.execution.choice import Executor
from mamlbook.execution.distributed import DistributedMetaGradient
from mamlbook.execution.ways import EAGER
from mamlbook.numerics import Params
from mamlbook.progress import progress_bar
from mamlbook.tasks.base import Tasks
from mamlbook.training.finite import NonFinite
from mamlbook.training.interrupts import Interrupts, announce
from mamlbook.training.run import Run

Compute = Callable[[Sequence[Tasks | list[Tasks]]], Sequence[tuple[Params, Tensor]]]
"""The tasks of each run to the gradients of all that its learner learns, and its query losses."""


def computing_alone(run: Run, minutes: float, bar: tqdm) -> Compute:
    """The way in which one run, or one process of several, comes to its gradients."""
    say = None if bar.disable else partial(bar.write, file=sys.stderr)
    # What is fastest for one process may not be for another, and a group waits for its slowest.
    execution = run.execution or (EAGER if run.group.joined else None)
    executor = Executor(run.learner, execution, len(run.rates) - run.done, 60 * minutes, bar.set_description_str, say)
    run.executor = executor
    if not run.group.joined:
        return lambda batches: [executor(batch) for batch in batches]
    shared = DistributedMetaGradient(run.learner, run.group, None if execution == EAGER else executor)

    def compute(batches: Sequence[Tasks | list[Tasks]]) -> list[tuple[Params, Tensor]]:
        (batch,) = batches
        if not isinstance(batch, Tasks):
            raise ValueError(
                "distribution: expected draw to return Tasks of one size for several processes, got a list of Tasks; "
                "leave group out"
            )
        return [shared(batch)]

    return compute


class Drive:
    """Takes runs that have as many meta-steps to go to their end, or as far as the user or the minutes let them.

    A run that becomes nan or infinite raises its ``NonFinite``. With ``leaving`` it is left behind instead, with the
    error in its history, and the others go on.
    """

    def __init__(self, runs: Sequence[Run], every: int, minutes: float = math.inf, *, leaving: bool = False):
        self.runs, self.going, self.every, self.minutes, self.leaving = runs, list(runs), every, minutes, leaving
        self.first, self.interrupts = runs[0], Interrupts()
        self.group, self.total = self.first.group, len(self.first.rates)

    def begin(self, progress: bool | None, computing: Callable[[tqdm], Compute]) -> None:
        """Go; ``computing`` is asked once, for the way in which the gradients are computed."""
        done = self.first.done
        if done > self.total:
            raise ValueError(
                f"steps: the checkpoint has already done {done} meta-steps, more than the {self.total} asked for"
            )
        shown = progress if self.group.first else False
        with self.interrupts, progress_bar(self.total, shown, unit="step") as bar:
            try:
                self._advance(bar, computing(bar))
            except KeyboardInterrupt:
                if self.group.joined:
                    raise  # the other processes wait for this one
                with self.interrupts.whole():
                    for run in self.going:
                        run.stop()
        for run in self.going:
            run.history.continuation = run.continuation()
        self._report()

    def _advance(self, bar: tqdm, compute: Compute) -> None:
        """Go on in blocks that end at multiples of ``every``."""
        begun, ends = self.first.done, time.monotonic() + 60 * self.minutes
        done = begun
        bar.update(begun)
        while done < self.total and self.going:
            block = min(self.every - done % self.every, self.total - done)
            if self.group.joined and done == begun:
                block = 1  # what several processes cannot do shows in the first step
            for run in self.going:
                run.start_block()
            for _ in range(block):
                self._step(compute)
            self._record()
            done += block
            bar.set_description_str("")
            bar.update(block)
            losses = [loss for run in self.going for loss in run.history.losses[-block:]]
            bar.set_postfix(loss=f"{sum(losses) / max(1, len(losses)):.3f}")
            # Clocks differ, and all processes have to end after the same meta-step.
            if ends < math.inf and self.group.collect(time.monotonic() >= ends)[0]:
                break

    def _step(self, compute: Compute) -> None:
        computed = compute([run.draw() for run in self.runs])
        with self.interrupts.whole():
            for run, (gradients, losses) in zip(self.runs, computed, strict=True):
                if run in self.going:
                    run.follow(gradients, losses)

    def _record(self) -> None:
        with self.interrupts.whole():
            for run in list(self.going):
                try:
                    run.record()
                except NonFinite as error:
                    if not self.leaving:
                        raise
                    run.history.error = error
                    self.going.remove(run)

    def _report(self) -> None:
        history, done = self.first.history, max((run.done for run in self.going), default=self.total)
        if self.group.first and (history.interrupted or done < self.total):
            announce("interrupted" if history.interrupted else "out of time", done, self.total, self.group.checkpoint)
