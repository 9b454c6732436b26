"""One meta-training: the state that a checkpoint and a history have to hold, and how it moves."""

from __future__ import annotations

import time
from typing import Protocol

import torch
from torch import Tensor

from mamlbook.arguments import drawn
from mamlbook.execution.distributed import require_same
from mamlbook.execution.process_group import Group
from mamlbook.execution.ways import Execution
from mamlbook.learner import MetaLearner
from mamlbook.numerics import Params
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.distribution import TaskDistribution, stateful_parts
from mamlbook.training.checkpoint import (
    Checkpoint,
    described,
    first_difference,
    require_same_rates,
    require_same_run,
    weights_of,
    without_addresses,
)
from mamlbook.training.finite import non_finite, require_finite_losses, require_finite_state, tensors_of
from mamlbook.training.generators import Draws, task_generator
from mamlbook.training.history import Continuation, History
from mamlbook.training.outer_rule import OuterRule

FROM_TASKS = ", unless some of the tasks hold such numbers themselves, which check_tasks(distribution) finds"


class Computing(Protocol):
    """What computes a run's meta-gradients: how long it has compiled so far, and in which way it computes."""

    @property
    def compiling(self) -> float: ...

    @property
    def execution(self) -> Execution | None: ...


class Run:
    """The state of one meta-training."""

    executor: Computing
    """Given when the meta-steps begin."""

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
        execution: Execution | None,
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
        self.execution = execution
        self.unread: list[Tensor] = []
        self.started, self.compiled_before = 0.0, 0.0
        self.changing = list(stateful_parts(distribution))
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

    def proceed_by(self, execution: Execution | None) -> None:
        """Compute as the run before has, if nothing else is asked for, and let the outer rule suit it."""
        self.execution = self.execution or execution
        if self.execution is not None and self.execution.compiled:
            self.rule.fuse()

    def start_block(self) -> None:
        """Meta-steps begin whose losses are read together."""
        self.started = time.perf_counter()

    def draw(self) -> Tasks | list[Tasks]:
        """The tasks of the next meta-step."""
        weight = next(self.learner.model.parameters())
        return drawn(self.distribution, self.tasks, self.generator, weight)

    def follow(self, gradients: Params, losses: Tensor) -> None:
        """Take the outer step along the gradients of the tasks that were drawn."""
        self.rule.step(self.rates[self.done + len(self.unread)], gradients)
        self.learner.advance()
        self.unread.append(losses.mean())
        self.draws = self.draws_now()

    def stop(self) -> None:
        """Back to the end of the last whole meta-step, from the middle of the next one."""
        self.draws.go_back(self.generator, self.changing)
        if self.unread:
            self.record()
        self.history.interrupted = True

    def record(self) -> None:
        """Read the losses since the last time, check that all is finite, and write the checkpoint."""
        # Reading once per block spares a GPU the wait at every step.
        values = torch.stack(self.unread).tolist()
        self.unread = []
        require_finite_losses(values, self.done, self.learner.solver.remedy + FROM_TASKS + self.advice())
        self.history.losses += values
        self.history.seconds += time.perf_counter() - self.started
        self.history.compiling = self.compiled_before + self.executor.compiling
        self.history.execution = self.executor.execution
        require_same(self.group, self.learner, self.generator, self.done)
        kept = {name: tensor for name, tensor in tensors_of(self.learner).items() if name not in self.meant}
        require_finite_state(kept | self.rule.tensors(), self.done, self.advice())
        self.save()

    def advice(self) -> str:
        if self.checkpoint is None or not self.checkpoint.path.is_file():
            return ""
        return f", or go back to the checkpoint {self.checkpoint.path}"

    def draws_now(self) -> Draws:
        return Draws.at(self.generator, self.changing)

    def continuation(self) -> Continuation:
        state = (self.rule.name, self.rule.state(), self.rates[: self.done], weights_of(self.learner))
        return Continuation(self.learner.meta_steps, self.seed, self.generator.get_state(), *state)

    def take_over(self, after: History | None, resume: bool) -> None:
        """Begin where a history or the checkpoint ends, if one is to be gone on from."""
        self.proceed_by(None)
        if after is not None and resume:
            raise ValueError("after: expected None with resume=True, where steps counts all of them; leave one out")
        if after is not None:
            self.go_on(after)
        if resume:
            self.restore()
        self.compiled_before = self.history.compiling

    def go_on(self, after: History) -> None:
        """Take over where the learner's last run ended."""
        then = after.continuation
        if then is None or then.meta_steps != self.learner.meta_steps:
            ended = "of no run" if then is None else f"that ended after {then.meta_steps} outer steps of its learner"
            raise ValueError(
                f"after: expected the history of this learner's last fit, which has done {self.learner.meta_steps} "
                f"outer steps, got one {ended}; leave after out to begin a new optimizer"
            )
        if then.weights != weights_of(self.learner):
            before, now = first_difference(then.weights, weights_of(self.learner))
            raise ValueError(
                f"after: expected the weights of that run, {before}, whose memory the optimizer has, got {now}; leave "
                "after out to begin a new one"
            )
        if then.optimizer != self.rule.name:
            raise ValueError(
                f"after: expected the optimizer of that run, {then.optimizer}, whose memory goes on, got "
                f"{self.rule.name}; leave after out to begin a new one"
            )
        self.proceed_by(after.execution)
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
            "execution": None if self.executor.execution is None else tuple(self.executor.execution),
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
        self.proceed_by(None if state["execution"] is None else Execution(*state["execution"]))
        self.rule.remember(state["optimizer"])
        # With more processes than before, the noise of the new ones begins anew.
        noise = [*state["random"][self.group.rank :], self.draws.noise][0]
        Draws(state["generator"], noise, state["distribution"]).go_back(self.generator, self.changing)
        self.history.losses = state["losses"]
        self.history.seconds, self.history.compiling = state["seconds"]
        self.draws = self.draws_now()
