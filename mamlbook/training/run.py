"""One meta-training: the state that a checkpoint and a history have to hold, and how it moves."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor
from tqdm import tqdm

from mamlbook.arguments import drawn
from mamlbook.execution.compiled import Compiled
from mamlbook.execution.distributed import DistributedMetaGradient, Gradients, require_same
from mamlbook.execution.process_group import Group
from mamlbook.learner import MetaLearner
from mamlbook.progress import progress_bar
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.distribution import TaskDistribution
from mamlbook.training.checkpoint import (
    Checkpoint,
    described,
    require_same_rates,
    require_same_run,
    weights_of,
    without_addresses,
)
from mamlbook.training.finite import non_finite, require_finite_losses, require_finite_state, tensors_of
from mamlbook.training.generators import Draws, task_generator
from mamlbook.training.history import Continuation, History
from mamlbook.training.interrupts import Interrupts, announce
from mamlbook.training.outer_rule import OuterRule


class Run:
    """The state of one meta-training."""

    def __init__(
        self,
        learner: MetaLearner,
        distribution: TaskDistribution,
        tasks: int,
        seed: int,
        rule: OuterRule,
        rates: list[float],
        checkpoint: Checkpoint | None,
        group: Group | None,
    ):
        self.learner, self.distribution, self.tasks, self.seed = learner, distribution, tasks, seed
        self.rule, self.rates, self.checkpoint = rule, rates, checkpoint
        self.generator = task_generator(seed, learner.meta_steps)
        text = f"{learner}\n{tasks} tasks, seed {seed}, {distribution!r}"
        self.history = History(without_addresses(text))
        self.group = Group() if group is None else group
        self.group.checkpoint = None if checkpoint is None else checkpoint.path
        self.group.follow((*learner.parameters(), *learner.buffers()))
        self.group.separate_noise()
        # A buffer such as the mask of an attention may hold infinities from the start, and keep them.
        self.meant = set(non_finite(tensors_of(learner)))
        require_finite_state({n: p for n, p in learner.named_parameters() if p.requires_grad}, 0, "")
        self.compiler: Compiled | None = None
        self.interrupts = Interrupts()
        self.unread: list[Tensor] = []
        self.started, self.compiled_before, self.ends = 0.0, 0.0, math.inf
        self.draws = self.draws_now()

    @property
    def done(self) -> int:
        """The meta-steps whose losses have been read."""
        return len(self.history.losses)

    def settings(self) -> dict[str, str]:
        """What decides the run, by name."""
        found = {
            "learner": self.learner,
            "weights": weights_of(self.learner),
            "distribution": self.distribution,
            "tasks": self.tasks,
            "seed": self.seed,
            **self.rule.settings(),
        }
        return {name: described(value) for name, value in found.items()}

    def begin(self, every: int, progress: bool | None, compiled: bool, minutes: float = math.inf) -> None:
        """Go through all the meta-steps that are left, or as many as the user or the minutes let it."""
        total, self.ends = len(self.rates), time.monotonic() + 60 * minutes
        if self.done > total:
            raise ValueError(
                f"steps: the checkpoint has already done {self.done} meta-steps, more than the {total} asked for"
            )
        shown = progress if self.group.first else False
        with self.interrupts, progress_bar(total, shown, unit="step") as bar:
            try:
                self.advance(total, every, bar, self.gradients(compiled, bar))
            except KeyboardInterrupt:
                if self.group.joined:
                    raise  # the other processes wait for this one
                self.stop()
        self.history.continuation = self.continuation()
        if self.group.first and (self.history.interrupted or self.done < total):
            why = "interrupted" if self.history.interrupted else "out of time"
            announce(why, self.done, total, self.group.checkpoint)

    def gradients(self, compiled: bool, bar: tqdm) -> Gradients:
        """The way in which this run comes to its meta-gradients."""
        fast = Compiled(self.learner, announce=bar.set_description_str) if compiled else None
        self.compiler = fast
        return (
            DistributedMetaGradient(self.learner, self.group, fast)
            if self.group.joined
            else fast or self.learner.gradients
        )

    def advance(self, total: int, every: int, bar: tqdm, gradients: Gradients) -> None:
        """Go on to ``total`` meta-steps, in blocks that end at multiples of ``every``."""
        begun, self.compiled_before = self.done, self.history.compiling
        bar.update(begun)
        while self.done < total:
            block = min(every - self.done % every, total - self.done)
            if self.group.joined and self.done == begun:
                block = 1  # what several processes cannot do shows in the first step
            self.started = time.perf_counter()
            for number in range(self.done, self.done + block):
                self.step(gradients, self.rates[number])
            self.record()
            bar.set_description_str("")
            bar.update(block)
            bar.set_postfix(loss=f"{sum(self.history.losses[-block:]) / block:.3f}")
            # Clocks differ, and all processes have to end after the same meta-step.
            if self.ends < math.inf and self.group.collect(time.monotonic() >= self.ends)[0]:
                break

    def step(self, gradients: Gradients, rate: float) -> None:
        weight = next(self.learner.model.parameters())
        batch = drawn(self.distribution, self.tasks, self.generator, weight)
        if isinstance(batch, Tasks):
            found, losses = gradients(batch)
        elif self.compiler or self.group.joined:
            raise ValueError(
                "distribution: expected draw to return Tasks of one size for a compiled step or several processes, got "
                "a list of Tasks; leave compiled and group out"
            )
        else:
            found, losses = self.learner.gradients(batch)
        with self.interrupts.whole():
            self.rule.step(rate, found)
            self.learner.advance()
            self.unread.append(losses.mean())
            self.draws = self.draws_now()

    def stop(self) -> None:
        """Back to the end of the last whole meta-step, from the middle of the next one."""
        self.draws.go_back(self.generator, self.distribution)
        if self.unread:
            self.record()
        self.history.interrupted = True

    def record(self) -> None:
        """Read the losses since the last time, check that all is finite, and write the checkpoint."""
        with self.interrupts.whole():
            # Reading once per block spares a GPU the wait at every step.
            values = torch.stack(self.unread).tolist()
            self.unread = []
            require_finite_losses(values, self.done, self.advice())
            self.history.losses += values
            self.history.seconds += time.perf_counter() - self.started
            self.history.compiling = self.compiled_before + (self.compiler.seconds if self.compiler else 0.0)
            require_same(self.group, self.learner, self.generator, self.done)
            kept = {name: tensor for name, tensor in tensors_of(self.learner).items() if name not in self.meant}
            require_finite_state(kept | self.rule.tensors(), self.done, self.advice())
            self.save()

    def advice(self) -> str:
        if self.checkpoint is None or not self.checkpoint.path.is_file():
            return ""
        return f", or go back to the checkpoint {self.checkpoint.path}"

    def draws_now(self) -> Draws:
        return Draws.at(self.generator, self.distribution)

    def continuation(self) -> Continuation:
        state = (self.rule.name, self.rule.state(), self.rates[: self.done], weights_of(self.learner))
        return Continuation(self.learner.meta_steps, self.seed, self.generator.get_state(), *state)

    def take_over(self, after: History | None, resume: bool) -> None:
        """Begin where a history or the checkpoint ends, if one is to be gone on from."""
        if after is not None and resume:
            raise ValueError("after: expected None with resume=True, where steps counts all of them; leave one out")
        if after is not None:
            self.go_on(after)
        if resume:
            self.restore()

    def go_on(self, after: History) -> None:
        """Take over where the learner's last run ended."""
        then = after.continuation
        if then is None or then.weights != weights_of(self.learner) or then.meta_steps != self.learner.meta_steps:
            ended = "of no run" if then is None else f"that ended after {then.meta_steps} outer steps of its learner"
            raise ValueError(
                f"after: expected the history of this learner's last fit, which has done {self.learner.meta_steps} "
                f"outer steps, got one {ended}; leave after out to begin a new optimizer"
            )
        if then.optimizer != self.rule.name:
            raise ValueError(
                f"after: expected the optimizer of that run, {then.optimizer}, whose memory goes on, got "
                f"{self.rule.name}; leave after out to begin a new one"
            )
        self.rule.remember(then.optimizer_state)
        if self.seed == then.seed:
            self.generator.set_state(then.generator)
        self.rates[: len(then.rates)] = then.rates
        self.history.losses = list(after.losses)
        self.history.seconds, self.history.compiling = after.seconds, after.compiling
        self.draws = self.draws_now()

    def save(self) -> None:
        if self.checkpoint is None:
            return
        state = {
            "settings": self.settings(),
            "losses": self.history.losses,
            "seconds": (self.history.seconds, self.history.compiling),
            "meta_steps": self.learner.meta_steps,
            "rates": self.rates[: self.done],
            "learner": self.learner.state_dict(),
            "optimizer": self.rule.state(),
            "generator": self.draws.tasks,
            "random": self.group.collect(self.draws.noise),
            "distribution": self.draws.distribution,
        }
        if self.group.first:
            self.checkpoint.write(state)

    def restore(self) -> None:
        """Take over what the checkpoint holds."""
        if self.checkpoint is None:
            raise ValueError("resume: expected checkpoint= to name the file to go on from, got None")
        state, path = self.checkpoint.read(), self.checkpoint.path
        require_same_run(path, state["settings"], self.settings())
        require_same_rates(path, state["rates"], self.rates)
        self.learner.load_state_dict(state["learner"])
        self.learner.meta_steps = state["meta_steps"]
        self.rule.remember(state["optimizer"])
        # With more processes than before, the noise of the new ones begins anew.
        noise = [*state["random"][self.group.rank :], self.draws.noise][0]
        Draws(state["generator"], noise, state["distribution"]).go_back(self.generator, self.distribution)
        self.history.losses = state["losses"]
        self.history.seconds, self.history.compiling = state["seconds"]
        self.draws = self.draws_now()
