"""Meta-train, and remember what happened."""

from __future__ import annotations

import math
import os
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from mamlbook.execution.compiled import Compiled
from mamlbook.execution.distributed import DistributedMetaGradient, require_same
from mamlbook.execution.process_group import Group
from mamlbook.learner import MetaLearner
from mamlbook.numerics import Params
from mamlbook.tasks.base import TaskDistribution, Tasks

Rate = float | Callable[[int], float]

Gradients = Callable[[Tasks], tuple[Params, Tensor]]
"""Tasks to the gradients of all that is learned, and the query losses: ``learner.gradients`` or the like."""


@dataclass
class History:
    """What meta-training saw: the mean query loss after adaptation of every meta-step, and how it was run."""

    configuration: str
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0
    compiling: float = 0.0
    """The part of the seconds that went into tracing and compiling."""

    def smoothed(self, window: int = 50) -> Tensor:
        """The running mean over the last ``window`` meta-steps, (steps,); shorter at the start."""
        total = torch.tensor([0.0, *self.losses], dtype=torch.float64).cumsum(0)
        last = torch.arange(1, len(total))
        first = (last - window).clamp(min=0)
        return (total[last] - total[first]) / (last - first)


class NonFiniteLoss(ArithmeticError):
    """The query loss became nan or infinite, so that every later step would be lost."""


def pick_device(device: str | torch.device) -> torch.device:
    """The device by name: 'auto' is the GPU if there is one, otherwise the CPU.

    Raises:
        ValueError: the name is unknown, or that device is not on this machine.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device: expected 'auto', 'cpu', 'cuda' or another device of this machine, got {str(device)!r} ({error})"
        ) from None
    return picked


def fit(
    learner: MetaLearner,
    distribution: TaskDistribution,
    *,
    steps: int,
    tasks: int = 25,
    beta: Rate = 1e-3,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    seed: int = 0,
    device: str | torch.device | None = None,
    every: int = 100,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    progress: bool | None = None,
    compiled: bool = False,
    group: Group | None = None,
) -> History:
    """Meta-train theta for ``steps`` outer steps of ``tasks`` fresh tasks each.

    theta <- theta - beta (outer rule) grad sum_b w_b s_b(theta). ``beta`` may be a function of the step's number.
    Every ``every`` steps the losses are read back, checked, and with ``checkpoint`` everything needed to go on is
    written; ``resume=True`` continues from there, bit for bit. ``device=None`` leaves the learner where it is, 'auto'
    takes the GPU if there is one. ``progress=None`` shows a bar in a terminal only.

    ``compiled=True`` runs the meta-step as ``Compiled`` code, after a wait of seconds to minutes at the first step. A
    ``group`` from ``mamlbook.execution.processes`` shares every meta-batch among its processes, which all call this
    alike; the first writes the checkpoint, where all can read it. Both give the same meta-gradients up to rounding.

    Raises:
        ValueError: a number out of range, an unknown device, or a checkpoint of another configuration.
        NonFiniteLoss: the query loss became nan or infinite; the last checkpoint is left as it was.
        RuntimeError: the processes of the group have come to hold different things; ``ProcessLost``: one has ended.
    """
    if min(steps, tasks, every) < 1:
        raise ValueError(f"steps, tasks, every: expected at least 1 each, got {steps}, {tasks}, {every}")
    if device is not None:
        learner.to(pick_device(device))
    run = _Run(learner, optimizer, seed, f"{tasks} tasks, seed {seed}, {distribution!r}", checkpoint, group)
    if resume:
        run.restore()
    with run.bar(steps, progress) as bar:
        gradients = run.gradients(compiled, bar)
        run.advance(steps, every, bar, lambda rate: run.step(gradients, distribution, tasks, rate), beta)
    return run.history


class _Run:
    """The state of one meta-training: what a checkpoint has to hold."""

    def __init__(self, learner: MetaLearner, optimizer: Callable, seed: int, drawn: str, checkpoint, group):
        self.learner = learner
        self.optimizer = optimizer(learner.parameters(), lr=0.0)
        self.generator = torch.Generator().manual_seed(seed)
        self.history = History(f"{learner}\n{drawn}")
        self.checkpoint = None if checkpoint is None else Path(checkpoint)
        self.group = Group() if group is None else group
        self.group.checkpoint = self.checkpoint
        self.group.follow((*learner.parameters(), *learner.buffers()))
        self.group.separate_noise()
        self.compiler: Compiled | None = None

    def bar(self, steps: int, progress: bool | None) -> tqdm:
        hidden = not self.group.first or (None if progress is None else not progress)
        return tqdm(total=steps, disable=hidden, unit="step")

    def gradients(self, compiled: bool, bar: tqdm) -> Gradients:
        """The way in which this run comes to its meta-gradients."""
        fast = Compiled(self.learner, announce=bar.set_description_str) if compiled else None
        self.compiler = fast
        return (
            DistributedMetaGradient(self.learner, self.group, fast)
            if self.group.joined
            else fast or self.learner.gradients
        )

    def advance(self, steps: int, every: int, bar: tqdm, step: Callable[[float], Tensor], beta: Rate) -> None:
        """Go on to ``steps`` meta-steps in all, in blocks that end at multiples of ``every``."""
        done = len(self.history.losses)
        if done > steps:
            raise ValueError(
                f"steps: the checkpoint has already done {done} meta-steps, more than the {steps} asked for"
            )
        begun, before = done, self.history.compiling
        bar.update(done)
        while done < steps:
            block = min(every - done % every, steps - done)
            if self.group.joined and done == begun:
                block = 1  # what several processes cannot do shows in the first step
            started = time.perf_counter()
            losses = [step(beta(number) if callable(beta) else beta) for number in range(done, done + block)]
            self.history.compiling = before + (self.compiler.seconds if self.compiler else 0.0)
            self.record(losses, time.perf_counter() - started)
            done += block
            bar.set_description_str("")
            bar.update(block)
            bar.set_postfix(loss=f"{sum(self.history.losses[-block:]) / block:.3f}")

    def step(self, gradients: Gradients, distribution: TaskDistribution, tasks: int, beta: float) -> Tensor:
        batch = distribution.draw(tasks, self.generator).like(self.learner.model.theta[0])
        for group in self.optimizer.param_groups:
            group["lr"] = beta
        found, losses = gradients(batch)
        for weight, gradient in zip(self.learner.learned, found, strict=True):
            weight.grad = gradient
        self.optimizer.step()
        self.learner.advance()
        return losses.mean()

    def record(self, losses: list[Tensor], seconds: float) -> None:
        # Reading once per block spares a GPU the wait at every step.
        values = torch.stack(losses).tolist()
        for step, value in enumerate(values, len(self.history.losses) + 1):
            if not math.isfinite(value):
                raise NonFiniteLoss(
                    f"the query loss became {value} at meta-step {step}; the inner rate alpha or the outer rate beta "
                    "is probably too large for the curvature the network has reached: try a smaller one"
                    + (f", or go back to the checkpoint {self.checkpoint}" if self.checkpoint else "")
                )
        self.history.losses += values
        self.history.seconds += seconds
        require_same(self.group, self.learner, self.generator, len(self.history.losses))
        if self.checkpoint is not None:
            self.save()

    def save(self) -> None:
        state = {
            "configuration": self.history.configuration,
            "losses": self.history.losses,
            "seconds": (self.history.seconds, self.history.compiling),
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "random": self.group.collect(_random_states()),
        }
        if not self.group.first:
            return
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint.with_name(self.checkpoint.name + ".partial")
        try:
            torch.save(state, partial)
            os.replace(partial, self.checkpoint)
        finally:
            partial.unlink(missing_ok=True)

    def restore(self) -> None:
        if self.checkpoint is None or not self.checkpoint.is_file():
            raise ValueError(f"resume: there is no checkpoint at {self.checkpoint}; start without resume=True")
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise ValueError(f"resume: the checkpoint {self.checkpoint} cannot be read ({error}); start anew") from None
        if state["configuration"] != self.history.configuration:
            raise ValueError(
                f"resume: the checkpoint {self.checkpoint} belongs to another run:\n{state['configuration']}\n"
                f"and not to\n{self.history.configuration}"
            )
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        # With more processes than before, the noise of the new ones begins anew.
        for states in state["random"][self.group.rank : self.group.rank + 1]:
            _set_random_states(states)
        self.history.losses = state["losses"]
        self.history.seconds, self.history.compiling = state["seconds"]


def _random_states() -> list[Tensor]:
    """The global generators, which layers such as dropout draw from: the CPU's, then each GPU's."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else ())]


def _set_random_states(states: list[Tensor]) -> None:
    torch.set_rng_state(states[0])
    for device, state in enumerate(states[1 : 1 + torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, device)
