"""The objective of a learner without the learner: its network, PyTorch's own optimiser, one task after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mamlbook.inner import GradientDescent, Place
from mamlbook.learner import MetaLearner
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient import FirstOrder
from mamlbook.network_checks import call_arguments
from mamlbook.numerics import Params, detached
from mamlbook.tasks.base import Data, Tasks
from mamlbook.torch_internals import tree_map


class NotFollowed(Exception):
    """A solver that does something which only the package itself can do."""


@contextmanager
def weights_set(net: nn.Module, weights: Sequence[Tensor], values: Sequence[Tensor]) -> Iterator[None]:
    """Give the network other weights for a while; whatever happens, it gets its own back, and all else that it holds.

    The weights are moved through ``data``: a graph that somebody holds stays good. The network itself is used and not a
    copy, for a function or a hook that refers to it would still refer to the original.
    """
    own = [(weight, weight.data) for weight in weights]
    attributes = [(vars(module), dict(vars(module))) for module in net.modules()]
    buffers = [(m, name, b, b.clone()) for m in net.modules() for name, b in m.named_buffers(recurse=False)]
    try:
        for weight, value in zip(weights, values, strict=True):
            weight.data = value.detach()
        yield
    finally:
        for weight, data in own:
            weight.data = data
        for now, before in attributes:
            now.clear()
            now.update(before)
        for module, name, buffer, value in buffers:
            setattr(module, name, buffer)
            if not torch.equal(buffer, value):
                buffer.data.copy_(value)


class OwnObjective:
    """L_b(phi_b) as the learner itself computes it, at weights of one's choice."""

    name = "the learner's own objective"

    def __init__(self, learner: MetaLearner, batches: Sequence[Tasks]):
        self.model, self.solver, self.batches = learner.model, learner.solver, batches

    def losses(self, theta: Params) -> Tensor:
        """The query losses after adaptation from theta, (B,)."""
        with weights_set(self.model.net, self.model.theta, theta):
            batches = [MetaBatch.of(self.model, self.solver, tasks) for tasks in self.batches]
            return torch.cat([batch.query(batch.solve(unroll=0)).detach() for batch in batches])

    def first_order(self, theta: Params, w: Tensor) -> Params:
        """FOMAML's gradient, sum_b w_b grad L_b(phi_b)."""
        with weights_set(self.model.net, self.model.theta, theta):
            batches = [MetaBatch.of(self.model, self.solver, tasks) for tasks in self.batches]
            losses = torch.cat([FirstOrder()(batch) for batch in batches])
            return torch.autograd.grad((w * losses).sum(), self.model.theta, materialize_grads=True)


class PlainLoop:
    """L_b(phi_b) of a learner that takes gradient steps, with weights set in place and nothing batched over tasks.

    phi^{s+1} = rule(phi^s, T(grad F_b(phi^s))): ``rule`` is the optimiser of ``torch.optim`` itself, and the gradients
    are those of the network as anybody calls it. Of the learner it uses the network, the loss and the transforms.

    Raises:
        NotFollowed: the solver takes no gradient steps, or computes its start.
    """

    name = "the network itself"

    def __init__(self, learner: MetaLearner, batches: Sequence[Tasks]):
        solver = learner.solver
        if type(solver) is not GradientDescent or solver.start is not None:
            raise NotFollowed
        self.net, self.loss, self.solver = learner.model.net, learner.model.loss, solver
        self.tasks = [(_one(tasks.support, b), _one(tasks.query, b)) for tasks in batches for b in range(tasks.size)]
        self.model, self.weights, self.names = learner.model, learner.model.theta, learner.model.names

    @property
    def has_twin(self) -> bool:
        """Whether the learner's steps are those of a differentiable twin of the optimiser, which may differ from it."""
        return type(self.solver.rule(self.weights, lr=self.solver.alpha)) is not torch.optim.SGD

    def losses(self, theta: Params) -> Tensor:
        """The query losses after adaptation from theta, (B,)."""
        theta = detached(theta)  # these numbers, whatever becomes of the network's weights
        return torch.stack([self._solved(theta, *task, lambda loss: loss.detach()) for task in self.tasks])

    def first_order(self, theta: Params, w: Tensor) -> Params:
        """FOMAML's gradient, sum_b w_b grad L_b(phi_b)."""

        def gradient(loss: Tensor) -> Params:
            return torch.autograd.grad(loss, self.weights, materialize_grads=True)

        theta = detached(theta)
        gradients = [self._solved(theta, *task, gradient) for task in self.tasks]
        return tuple(sum(share * g for share, g in zip(w, each, strict=True)) for each in zip(*gradients, strict=True))

    def _solved(self, theta: Params, support: Data, query: Data, of_loss: Callable[[Tensor], Any]) -> Any:
        """What ``of_loss`` makes of the query loss of a task, at the weights that solve it."""
        phi = [nn.Parameter(t.clone()) for t in theta]
        with weights_set(self.net, self.weights, phi), torch.enable_grad():
            optimizer = self.solver.rule(phi, lr=self.solver.alpha)
            for step in range(self.solver.steps):
                for own, gradient in zip(phi, self._gradients(theta, support, step), strict=True):
                    own.grad = gradient
                optimizer.step()
                for weight, own in zip(self.weights, phi, strict=True):
                    weight.data = own.detach()
            return of_loss(self.loss(self._predict(query.x), query.y))

    def _gradients(self, theta: Params, support: Data, step: int) -> list[Tensor | None]:
        """The transformed gradients of the inner objective, None where a weight stays as it is."""
        adapts = self.solver.adapts(self.model, step)
        moving = [weight for weight, yes in zip(self.weights, adapts, strict=True) if yes]
        if not moving:
            return [None] * len(adapts)
        found = iter(torch.autograd.grad(self._objective(theta, support), moving, allow_unused=True))
        gradients = [next(found) if yes else None for yes in adapts]
        place = Place(self.names, step, self.solver.alpha, _no_curvature)
        with torch.no_grad():
            batched: Sequence[Tensor | None] = [None if g is None else g[None] for g in gradients]
            for change in self.solver.transforms:
                batched = change(batched, place)
        return [None if g is None else g[0].detach() for g in batched]

    def _objective(self, theta: Params, support: Data) -> Tensor:
        y_hat = self._predict(support.x)
        if self.solver.loss is None:
            loss = self.loss(y_hat, support.y)
        else:
            (loss,) = self.solver.loss(*tree_map(lambda t: t[None], (y_hat, support.y)))
        if not self.solver.lam:
            return loss
        away = sum((weight - t).square().sum() for weight, t in zip(self.weights, theta, strict=True))
        return loss + self.solver.proximal / 2 * away

    def _predict(self, x: Any) -> Any:
        return self.net(*call_arguments(self.net, x))


def _one(data: Data, task: int) -> Data:
    """The examples of one task, without the task axis."""
    return tree_map(lambda t: t[task], data)


def _no_curvature(v: object) -> Tensor:
    raise NotFollowed
