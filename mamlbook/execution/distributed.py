"""One learner in several processes, each of which computes its share of every meta-batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mamlbook.execution.process_group import Group
from mamlbook.execution.ways import Gradients
from mamlbook.learner import MetaLearner
from mamlbook.meta_batch import MetaBatch, task_gradients
from mamlbook.numerics import Params
from mamlbook.tasks.base import Tasks, require_tasks
from mamlbook.weighting import UniformWeights
from mamlbook.weighting.base import task_weights


class DistributedMetaGradient:
    """The meta-gradient of all tasks, each process computing its share, and every process given the whole.

    sum_b w_b g_b = sum_r sum_{b in share r} w_b g_b,  g_b = (d phi_b / d theta)^T grad L_b(phi_b).

    Calling it on a whole meta-batch, which every process has drawn alike, gives what ``learner.gradients`` would: the
    gradients of all that is ``learned``, and the query losses of all tasks, (B,). The weighting sees all losses, and
    all gradients if it asks for them. ``compute`` is another way to the gradients of a share, such as ``Compiled``.

    Raises:
        ValueError: the learner is on another device than its process, there are fewer tasks than processes, or
            ``compute`` goes with a weighting that is not ``UniformWeights``: its weights need the losses of all tasks.
    """

    def __init__(
        self,
        learner: MetaLearner,
        group: Group,
        compute: Gradients | None = None,
    ):
        if compute is not None and not isinstance(learner.weighting, UniformWeights):
            raise ValueError(
                f"weighting: expected UniformWeights() in several processes, got {learner.weighting}; its weights "
                "need the losses of all tasks, which one process alone does not see: leave execution out"
            )
        place = learner.model.theta[0].device
        if place != group.device:
            raise ValueError(f"device: expected the learner on {group.device} as its process is, got {place}")
        self.learner, self.group, self.compute = learner, group, compute

    def __call__(self, tasks: Tasks) -> tuple[Params, Tensor]:
        require_tasks(tasks)
        own = tasks.pick(self.group.share(tasks.size))
        if self.compute is None:
            gradients, losses = self._differentiated(tasks, own)
        else:
            gradients, losses = self._computed(self.compute, tasks, own)
        return self._average(gradients), losses

    def _differentiated(self, tasks: Tasks, own: Tasks) -> tuple[Params, Tensor]:
        learner = self.learner
        part = MetaBatch.of(learner.model, learner.solver, own)
        surrogates = _Gathered.apply(learner.metagradient(part), tasks.size, self.group)
        weights = task_weights(learner.weighting, surrogates, _Everyone(self.group, tasks, part.theta))
        total = (weights * surrogates).sum()
        return torch.autograd.grad(total, learner.learned, materialize_grads=True), surrogates.detach()

    def _computed(self, compute: Gradients, tasks: Tasks, own: Tasks) -> tuple[Params, Tensor]:
        gradients, losses = compute(own)
        part = self.group.size * own.size / tasks.size
        return tuple(part * gradient for gradient in gradients), self.group.gather(losses, tasks.size)

    def _average(self, gradients: Params) -> Params:
        """One message for all gradients: on a fast network it is their number that costs."""
        flat = self.group.total(torch.cat([g.flatten() for g in gradients])).div_(self.group.size)
        means = flat.split([g.numel() for g in gradients])
        return tuple(mean.view_as(g) for g, mean in zip(gradients, means, strict=True))


class _Gathered(torch.autograd.Function):
    """Each process's (B_r,) surrogates as the (B,) of all, differentiable in its own."""

    @staticmethod
    def forward(ctx, own: Tensor, tasks: int, group: Group) -> Tensor:
        ctx.share, ctx.size = group.share(tasks), group.size
        return group.gather(own, tasks)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        # Every process differentiates the same scalar, and the mean over processes is taken at the end: that leaves
        # alone what all of them compute, such as the gradient of learned weights, and turns N shares into their sum.
        return ctx.size * gradient[ctx.share], None, None


@dataclass(frozen=True)
class _Everyone:
    """All tasks, of which this process has solved its share: what a weighting asks."""

    group: Group
    tasks: Tasks
    theta: Params
    """A copy for each task of the share, (B_r, \\*shape)."""

    @property
    def index(self) -> Tensor:
        return self.tasks.numbers

    def gradients(self, surrogates: Tensor) -> Params:
        rows = task_gradients(surrogates, self.theta)
        return tuple(self.group.gather(row / self.group.size, len(surrogates)) for row in rows)


def require_same(group: Group, learner: MetaLearner, generator: torch.Generator, steps: int) -> None:
    """Refuse to go on when processes do not hold the same after so many meta-steps.

    Whatever the cause is: a memory of the tasks of one process, another seed, a checkpoint that only some have found.

    Raises:
        RuntimeError: names what differs.
    """
    own = {"meta-steps": torch.tensor(steps), "generator of tasks": generator.get_state(), **learner.state_dict()}
    differing = group.differing({name: value for name, value in own.items() if isinstance(value, Tensor)})
    if differing:
        raise RuntimeError(
            f"group: expected every process to hold the same, got different {', '.join(differing)} after meta-step "
            f"{steps}; all need one seed and one checkpoint, and what remembers tasks has to see all of them: train it "
            "in one process"
        )
