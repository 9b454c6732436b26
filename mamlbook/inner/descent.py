"""S steps of a gradient rule on every task's support loss, run by higher's differentiable optimisers."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

import higher
import torch
from torch import Tensor, nn

from mamlbook.inner.base import Adapted
from mamlbook.inner.transforms import Gradients, Transform
from mamlbook.model import Model
from mamlbook.numerics import Params, fan_out
from mamlbook.tasks.base import Data


class GradientDescent(nn.Module):
    """S steps of gradient descent from theta, on all tasks at once.

    phi_b^0 = theta,  phi_b^{s+1} = phi_b^s - alpha T(grad L_b^support(phi_b^s)),  s = 0..S-1.

    ``rule`` is the optimiser of PyTorch whose differentiable twin takes the step: ``torch.optim.SGD``, ``Adam``, or
    ``functools.partial(torch.optim.SGD, momentum=0.9)``. ``transforms`` act on the gradients, left to right.

    Raises:
        ValueError: ``alpha`` negative or not finite, ``steps`` negative, or a rule that higher cannot follow.

    References: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), eq. (1); the differentiable optimisers are those
    of [Grefenstette et al., 2019](https://arxiv.org/abs/1910.01727).
    """

    def __init__(
        self,
        alpha: float,
        steps: int,
        *transforms: Transform,
        rule: Callable[..., torch.optim.Optimizer] = torch.optim.SGD,
    ):
        super().__init__()
        if not (math.isfinite(alpha) and alpha >= 0):
            raise ValueError(f"alpha: expected a finite inner rate of at least 0, got {alpha}")
        self.alpha = alpha
        self.steps = _count(steps)
        self.transforms = transforms
        self.rule = rule

    def forward(self, model: Model, support: Data, *, unroll: bool, steps: int | None = None) -> Adapted:
        (last,) = deque(self.path(model, support, unroll=unroll, steps=steps), maxlen=1)
        return last

    def path(self, model: Model, support: Data, *, unroll: bool, steps: int | None = None) -> Iterator[Adapted]:
        """The solutions after 0, 1, ..., S steps; with ``unroll`` each is a differentiable function of theta."""

        def inner(theta: Params, phi: Params) -> Tensor:
            return model.losses(model(phi, support.x), support.y)

        phi = fan_out(model.theta, len(support.x))
        if not unroll:
            phi = tuple(p.detach().requires_grad_() for p in phi)
        yield Adapted(phi, model, inner)
        stepper = self._stepper(model.theta, unroll)
        for step in range(self.steps if steps is None else _count(steps)):
            # No gradient context may stay open across a yield, it would leak into the caller.
            with torch.enable_grad():
                # The sum over tasks gives each task its own gradient: L_b depends on phi_b alone.
                loss = inner(model.theta, phi).sum()
                # A view that the loss has not seen has no gradient: what does not adapt costs no backward pass.
                phi = tuple(p if self._adapts(n, step) else p.view_as(p) for n, p in zip(model.names, phi, strict=True))
                phi = tuple(stepper.step(loss, params=phi, grad_callback=self._callback(model, step)))
            yield Adapted(phi, model, inner)

    def _stepper(self, theta: Params, unroll: bool) -> higher.optim.DifferentiableOptimizer:
        optimizer = self.rule(list(theta), lr=self.alpha)
        if optimizer.defaults.get("maximize"):
            raise ValueError("rule: expected an optimiser that minimises; higher ignores maximize=True")
        return higher.get_diff_optim(optimizer, list(theta), track_higher_grads=unroll)

    def _adapts(self, name: str, step: int) -> bool:
        return all(change.adapts(name, step) for change in self.transforms if hasattr(change, "adapts"))

    def _callback(self, model: Model, step: int) -> Callable[[Gradients], Gradients]:
        def transform(gradients: Gradients) -> Gradients:
            for change in self.transforms:
                gradients = change(gradients, names=model.names, step=step)
            return gradients

        return transform

    def extra_repr(self) -> str:
        rule = self.rule
        name = repr(rule) if hasattr(rule, "func") else rule.__name__
        parts = [f"alpha={self.alpha:g}", f"steps={self.steps}", f"rule={name}", *map(repr, self.transforms)]
        return ", ".join(parts)


def _count(steps: int) -> int:
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise ValueError(f"steps: expected a whole number of inner steps of at least 0, got {steps!r}")
    return steps
