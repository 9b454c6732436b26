"""S steps of a gradient rule on every task's support loss, run by higher's differentiable optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mamlbook.checks import kind_of, non_negative, one_number
from mamlbook.inner.base import Adapted, Solver, step_count
from mamlbook.inner.rules import DifferentiableOptimizer, Rule, differentiable, require_rule
from mamlbook.inner.transforms import EVERYTHING, Gradients, Place, Transform, as_transform, require_gradients
from mamlbook.model import Model
from mamlbook.network_errors import refusing_draws
from mamlbook.numerics import Params, add_scaled, as_leaves, dot, expand_over_tasks, per_task
from mamlbook.parts import Part
from mamlbook.tasks.base import Data
from mamlbook.torch_internals import tree_leaves, tree_map
from mamlbook.trees import Tree, first_leaf


class InnerState(NamedTuple):
    """A point of an inner loop from which it can go on: the weights, (B, \\*shape), and the rule's own memory."""

    phi: Params
    memory: Any = None


Start = Callable[[Model, Data, Params], Params]
"""Where the steps begin: (model, support, theta) -> phi_0, each task's own, (B, \\*shape)."""


class GradientDescent(Solver):
    """S steps of gradient descent from theta, on all tasks at once.

    phi_b^0 = theta,  phi_b^{s+1} = phi_b^s - alpha T(grad F_b(phi_b^s)),  s = 0..S-1,
    F_b(phi) = L_b^support(phi) + lam / 2 ||phi - theta||^2.

    ``alpha`` is a number, or a parameter that the outer loop learns. ``lam``, the strength of the proximal term, is a
    number, or a function without arguments that gives one, such as an ``nn.Module`` that the outer loop learns.
    ``rule`` is the optimiser of PyTorch whose differentiable twin takes the step: ``torch.optim.SGD``, ``Adam``, or
    ``functools.partial(torch.optim.SGD, momentum=0.9)``. ``transforms`` act on the gradients, left to right. ``start``
    replaces phi^0, and ``loss(y_hat, y)``, (B, K, ...) each to (B,), the support loss.

    Raises:
        ValueError: ``alpha`` or ``lam`` negative or not finite, ``steps`` negative, or a rule that higher cannot
            follow.
        TypeError: a transform is none.

    References: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), eq. (1); the differentiable optimisers are those
    of [Grefenstette et al., 2019](https://arxiv.org/abs/1910.01727); the proximal term is that of
    [Rajeswaran et al., 2019](https://arxiv.org/abs/1909.04630).

    >>> from mamlbook import Model, Sinusoids, mlp
    >>> model = Model(mlp(1, 40, 40, 1), nn.functional.mse_loss)
    >>> tasks = Sinusoids(shots=10).draw(4, torch.Generator().manual_seed(0))
    >>> adapted = GradientDescent(alpha=0.01, steps=5)(model, tasks.support, unroll=0)
    >>> [tuple(p.shape) for p in adapted.phi[:2]]
    [(4, 40, 1), (4, 40)]
    """

    def __init__(
        self,
        alpha: float | Tensor,
        steps: int,
        *transforms: Transform | Callable[[Gradients, Place], Gradients],
        rule: Rule = torch.optim.SGD,
        lam: float | Callable[[], Tensor] = 0.0,
        start: Start | None = None,
        loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    ):
        super().__init__()
        if isinstance(alpha, Tensor) and alpha.is_floating_point():
            self.alpha: float | Tensor = one_number("alpha", alpha)
            if not alpha.requires_grad:  # one that is learned may become anything
                non_negative("alpha", "inner rate", alpha.item())
        else:
            self.alpha = non_negative("alpha", "inner rate", alpha)
        self.lam = lam if callable(lam) else non_negative("lam", "strength of the proximal term", lam)
        self.steps = step_count(steps)
        self.transforms = tuple(map(as_transform, transforms))
        self.rule, self.start, self.loss = rule, start, loss
        require_rule(rule, self.alpha)
        modules = [change for change in self.transforms if isinstance(change, nn.Module)]
        if modules:
            self.learned = nn.ModuleList(modules)  # so that the outer loop finds their weights

    def with_transforms(self, *more: Transform) -> GradientDescent:
        """The same steps with more transforms behind the others; what is learned is shared."""
        return GradientDescent(
            self.alpha,
            self.steps,
            *self.transforms,
            *more,
            rule=self.rule,
            lam=self.lam,
            start=self.start,
            loss=self.loss,
        )

    @property
    def proximal(self) -> float | Tensor:
        if not callable(self.lam):
            return self.lam
        lam = self.lam()
        return one_number("lam", lam) if isinstance(lam, Tensor) else non_negative("lam", "number from lam()", lam)

    @property
    def remedy(self) -> str:
        return (
            "the inner rate alpha or the outer rate beta is probably too large for the curvature the network has "
            "reached: try a smaller one"
        )

    def adapts(self, model: Model, step: int) -> list[bool]:
        """Which tensors of theta this step moves: those that every transform lets adapt."""
        return [all(votes) for votes in zip(*(change.adapts(model, step) for change in self._all()), strict=True)]

    def _all(self) -> tuple[Transform, ...]:
        return self.transforms or (EVERYTHING,)

    def require(self, model: Model, solver: Solver) -> None:
        for part in (*self.transforms, self.start, self.loss):
            if isinstance(part, Part):
                part.require(model, self)

    def path(
        self, model: Model, support: Data, *, unroll: float, steps: int | None = None, theta: Params | None = None
    ) -> Iterator[Adapted]:
        """The solutions after 0, 1, ..., S steps; those of the last ``unroll`` steps are functions of theta."""
        theta = expand_over_tasks(model.theta, support.tasks) if theta is None else theta
        begin = self.begin(model, support, theta)
        at = Adapted(begin, begin, model, self._objective(model, support))
        steps = self.steps if steps is None else step_count(steps)
        graph = min(steps, unroll)  # how many steps have one
        if not unroll or graph < steps:
            at = at._replace(phi=as_leaves(begin))
        yield at
        stepper = self._stepper(at.phi, unroll=graph == steps)
        for step in range(steps):
            if 0 < step == steps - graph:
                at, before = at.straight_through(), stepper
                stepper = self._stepper(at.phi, unroll=True)
                stepper.state = before.state
            at = at._replace(phi=self._step(stepper, model, support, theta, at, step))
            yield at

    def segment(
        self, model: Model, support: Data, theta: Params, at: InnerState, steps: range, *, unroll: bool
    ) -> InnerState:
        """The steps of these numbers, from where they begin to where they end."""
        stepper = self._stepper(at.phi, unroll=unroll)
        if at.memory is not None:
            stepper.state = tree_map(lambda value: value, at.memory)  # a copy: higher changes it in place
        now = Adapted(at.phi, at.phi, model, self._objective(model, support))
        for step in steps:
            now = now._replace(phi=self._step(stepper, model, support, theta, now, step))
        remembers = any(isinstance(value, Tensor) for value in tree_leaves(stepper.state))
        return InnerState(now.phi, stepper.state if remembers else None)

    def begin(self, model: Model, support: Data, theta: Params) -> Params:
        """phi^0 of each task, (B, \\*shape)."""
        if self.start is None:
            return theta
        # Views, so that a step's gradient by one weight stops there: a head that was computed from the body would pass
        # it on to the body, which is the same tensor as theta's.
        begin = self.start(model, support, theta)
        if not isinstance(begin, tuple | list):
            raise TypeError(f"start: expected a function that gives a tuple of weights, got {kind_of(begin)} from it")
        return tuple(p.view_as(p) for p in begin)

    def _objective(self, model: Model, support: Data) -> Callable[[Params, Params], Tensor]:
        loss = self._losses(model)

        def inner(theta: Params, phi: Params) -> Tensor:
            losses = loss(model(phi, support.x), support.y)
            if not self.lam:
                return losses
            away = add_scaled(phi, -1, theta)
            return losses + self.proximal / 2 * dot(away, away)

        return inner

    def _losses(self, model: Model) -> Callable[[Tree, Tree], Tensor]:
        """The support loss of each task, (B,)."""
        if self.loss is None:
            return model.losses
        own = self.loss

        def losses(y_hat: Tree, y: Tree) -> Tensor:
            found, count = own(y_hat, y), len(first_leaf(y_hat))
            if not isinstance(found, Tensor) or found.shape != (count,):
                got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
                raise ValueError(
                    f"loss: expected one number per task, shape ({count},), got {got}; the loss of a solver sees all "
                    "tasks at once and averages over each one's examples, as .flatten(1).mean(1) does"
                )
            return found

        return losses

    def _step(self, stepper, model: Model, support: Data, theta: Params, at: Adapted, step: int) -> Params:
        # No gradient context may stay open across a yield of the path, it would leak into the caller.
        with torch.enable_grad():
            # The sum over tasks gives each task its own gradient: F_b depends on phi_b alone.
            objective = at.inner(theta, at.phi).sum()
            # A view that the loss has not seen has no gradient: what does not adapt costs no backward pass.
            adapts = self.adapts(model, step)
            phi = tuple(p if yes else p.view_as(p) for yes, p in zip(adapts, at.phi, strict=True))
            place = Place(model.names, step, self.alpha, lambda v: self._curvature(model, support, at.phi, v))
            return tuple(stepper.step(objective, params=phi, grad_callback=lambda g: self._transformed(g, place)))

    def _stepper(self, phi: Params, unroll: bool) -> DifferentiableOptimizer:
        return differentiable(self.rule, self.alpha, phi, unroll=unroll)

    def _transformed(self, gradients: Gradients, place: Place) -> Gradients:
        shapes = [None if g is None else g.shape for g in gradients]
        for change in self.transforms:
            gradients = change(gradients, place)
            require_gradients(change, gradients, shapes)
        return gradients

    def _curvature(self, model: Model, support: Data, phi: Params, v: Gradients) -> Tensor:
        with refusing_draws(
            "its curvature is taken after its gradient, and other draws make it another function",
            "take a rate that is not computed",
        ):
            y_hat, slope = model.jvp(phi, support.x, v)
            # The second derivative, at t = 0, of the objective of the predictions y_hat + t slope.
            t = torch.zeros(len(y_hat), dtype=y_hat.dtype, device=y_hat.device, requires_grad=True)
            line = self._losses(model)(y_hat + per_task(t, y_hat) * slope, support.y).sum()
        (first,) = torch.autograd.grad(line, t, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), t, create_graph=True)
        moved = [way for way in v if way is not None]
        return second + self.proximal * dot(moved, moved)

    def extra_repr(self) -> str:
        rule = self.rule
        name = repr(rule) if hasattr(rule, "func") else rule.__name__
        alpha = "learned" if isinstance(self.alpha, Tensor) else f"{self.alpha:g}"
        parts = [f"alpha={alpha}", f"steps={self.steps}", f"rule={name}"]
        parts += [f"lam={self.lam:g}"] if self.lam and not callable(self.lam) else []
        for key in ("start", "loss"):
            value = getattr(self, key)
            if value is not None and not isinstance(value, nn.Module):
                parts.append(f"{key}={getattr(value, '__name__', value)}")
        return ", ".join(parts + [repr(t) for t in self.transforms if not isinstance(t, nn.Module)])
