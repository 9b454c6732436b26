"""Inner loops without steps: the solution of a kernel machine, or the end of a gradient flow, in closed form."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from mamlbook.checks import non_negative, positive
from mamlbook.inner.base import Adapted, Solver, step_count
from mamlbook.inner.head_weights import head_features, numeric_targets, with_head
from mamlbook.model import Model
from mamlbook.network_checks import one_tensor
from mamlbook.network_errors import refusing_draws
from mamlbook.numerics import Params, add_scaled, detached, dot, expand_over_tasks
from mamlbook.parts import Part
from mamlbook.tasks.base import Data
from mamlbook.trees import Tree

Weights = Callable[[Tensor], Params]
"""From a coefficient for each support example and output, (B, K C), to the weights phi - theta that they stand for."""


class Kernel(Protocol):
    """k(x, x') = <d f / d phi (x), d f / d phi (x')>: predictions that are linear in the weights phi - theta."""

    def gram(self, model: Model, theta: Params, x: Tree) -> tuple[Tensor, Weights]:
        """The kernel between the examples of each task and what coefficients mean as weights.

        The kernel is (B, K, K) if all C outputs share one, and (B, K C, K C) otherwise.
        """
        ...

    def predict(self, model: Model, theta: Params, phi: Params, x: Tree) -> Tensor:
        """f_theta(x) + k(x, X) a, in terms of the weights that a stands for: (B, K, C)."""
        ...


class FeatureKernel(Part):
    """The linear kernel on what the last layer sees: k(x, x') = <z_theta(x), z_theta(x')> + 1.

    All outputs share it. Without a bias in the head there is no 1. What it adds to f_theta is a new head, so that the
    network itself predicts. The scale of the features is learned by the outer loop and with it that of lam.

    References: ridge regression on learned features is R2-D2, [Bertinetto et al., 2019](https://arxiv.org/abs/1805.08136).
    """

    def gram(self, model: Model, theta: Params, x: Tree) -> tuple[Tensor, Weights]:
        h = head_features(model, theta, x)
        return h @ h.mT, partial(self._weights, model, theta, h)

    def predict(self, model: Model, theta: Params, phi: Params, x: Tree) -> Tensor:
        return model(phi, x)

    def require(self, model: Model, solver: Solver) -> None:
        model.require_head()

    @staticmethod
    def _weights(model: Model, theta: Params, h: Tensor, coefficients: Tensor) -> Params:
        head = coefficients.view(*h.shape[:2], -1).mT @ h  # (B, C, d) or (B, C, d + 1)
        return with_head(model, tuple(map(torch.zeros_like, theta)), head)

    def __repr__(self) -> str:
        return "FeatureKernel()"


class TangentKernel(Part):
    """The neural tangent kernel of theta: k(x, x')_{cc'} = <grad f_c(x), grad f_c'(x')> over all weights.

    It is a kernel between pairs of example and output. Predictions are those of the network linearised at theta,
    f_theta(x) + (d f / d theta) (phi - theta). Layers that mix the examples of a batch are part of the function.

    Raises:
        ValueError: when called, a network that draws random numbers, as dropout does in training.

    References: [Jacot et al., 2018](https://arxiv.org/abs/1806.07572).
    """

    def gram(self, model: Model, theta: Params, x: Tree) -> tuple[Tensor, Weights]:
        with refusing_draws(
            "the network is read together with its derivatives, and other draws make it another function",
            "take FeatureKernel",
        ):
            rows = jacobian(model, theta, x)
        flat = torch.cat([r.reshape(*r.shape[:2], -1) for r in rows], 2)
        return flat @ flat.mT, partial(self._weights, rows)

    def predict(self, model: Model, theta: Params, phi: Params, x: Tree) -> Tensor:
        y_hat, way = model.jvp(theta, x, add_scaled(phi, -1, theta))
        return y_hat + way

    @staticmethod
    def _weights(rows: Params, coefficients: Tensor) -> Params:
        return tuple(
            (coefficients[:, None].to(r.dtype) @ r.reshape(*r.shape[:2], -1)).view(r.shape[0], *r.shape[2:])
            for r in rows
        )

    def __repr__(self) -> str:
        return "TangentKernel()"


def jacobian(model: Model, phi: Params, x: Tree) -> Params:
    """The derivative of every output of every example by every weight: a tuple of (B, K C, \\*shape)."""
    with torch.enable_grad():
        phi = tuple(p if p.requires_grad else p.detach().requires_grad_() for p in phi)
        y_hat = one_tensor(model(phi, x))
        outputs = y_hat[0].numel()
        # One output of all tasks at a time: they do not share weights.
        units = torch.eye(outputs, dtype=y_hat.dtype, device=y_hat.device).view(outputs, 1, *y_hat.shape[1:])
        units = units.expand(outputs, *y_hat.shape)
        found = torch.autograd.grad(y_hat, phi, units, is_grads_batched=True, create_graph=True, allow_unused=True)
    # A weight that is not used gets zeros; PyTorch's own would lack the axis of outputs.
    rows = (p.new_zeros(outputs, *p.shape) if r is None else r for r, p in zip(found, phi, strict=True))
    return tuple(r.transpose(0, 1) for r in rows)


class _InClosedForm(Solver):
    """A solver that has no steps: theta, then the solution."""

    @abstractmethod
    def _coefficients(self, gram: Tensor, residual: Tensor, examples: int) -> Tensor:
        """What the kernel's rows are weighted with, one for each output of each of the ``examples``."""

    def __init__(self, kernel: Kernel):
        super().__init__()
        self.kernel = kernel

    def require(self, model: Model, solver: Solver) -> None:
        if isinstance(self.kernel, Part):
            self.kernel.require(model, self)

    def path(
        self, model: Model, support: Data, *, unroll: float, steps: int | None = None, theta: Params | None = None
    ) -> Iterator[Adapted]:
        """The unadapted start, then the solution, once or, if more ``steps`` are asked for, that often."""
        steps = 1 if steps is None else step_count(steps)
        theta = expand_over_tasks(model.theta, support.tasks) if theta is None else theta
        predict = partial(self.kernel.predict, model, theta)
        at = Adapted(theta, theta, predict, partial(self._objective, support, predict))
        yield at if unroll else at._replace(phi=detached(theta))
        if steps:
            phi = add_scaled(theta, 1, self._way(model, support, theta if unroll else detached(theta)))
            at = at._replace(phi=phi if unroll else detached(phi))
        yield from [at] * steps

    def _way(self, model: Model, support: Data, theta: Params) -> Params:
        y_hat = model(theta, support.x)
        gram, weights = self.kernel.gram(model, theta, support.x)
        residual = (numeric_targets(y_hat, support.y) - y_hat).view(len(gram), gram.shape[-1], -1)
        return weights(self._coefficients(gram, residual, support.examples).flatten(1))

    def _objective(self, support: Data, predict: Callable, theta: Params, phi: Params) -> Tensor:
        y_hat = predict(phi, support.x)
        return (numeric_targets(y_hat, support.y) - y_hat).square().flatten(1).sum(1) / support.examples


class KernelRidge(_InClosedForm):
    """Kernel ridge regression around f_theta, solved once.

    f(x) = f_theta(x) + k(x, X) (k(X, X) + lam K I)^-1 (Y - f_theta(X)), the minimiser over functions of
    1/K sum_j ||f(x_j) - y_j||^2 + lam ||f - f_theta||_k^2.

    With lam to 0 it passes through the support set, with lam to infinity it is f_theta. Classes become targets of 1
    and 0; the query set is judged by the model's own loss. The cost is cubic in the size of the support set. Where
    k(X, X) + lam K I is not positive definite, the solution is nan.

    Shapes: phi - theta are the weights that the kernel's coefficients stand for, (B, \\*shape).

    Raises:
        ValueError: ``lam`` is negative or not finite.

    References: a reconstruction from the abstract of [Park and Kang, 2024](https://arxiv.org/abs/2411.00404), which
    names neither kernel nor regulariser.
    """

    @property
    def remedy(self) -> str:
        return (
            "k(X, X) + lam K I is probably not positive definite any more: try a larger lam, or a smaller outer rate "
            "beta"
        )

    def __init__(self, kernel: Kernel, lam: float):
        super().__init__(kernel)
        self.lam = positive("lam", "ridge", lam)

    def _coefficients(self, gram: Tensor, residual: Tensor, examples: int) -> Tensor:
        ridge = self.lam * examples * torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
        # The nan that comes of a failure is found with the losses; an exception would make a GPU wait at every step.
        factor, failed = torch.linalg.cholesky_ex(gram + ridge)
        return torch.cholesky_solve(residual, factor.where((failed == 0)[:, None, None], math.nan))

    def _objective(self, support: Data, predict: Callable, theta: Params, phi: Params) -> Tensor:
        away = add_scaled(phi, -1, theta)
        return super()._objective(support, predict, theta, phi) + self.lam * dot(away, away)

    def extra_repr(self) -> str:
        return f"{self.kernel!r}, lam={self.lam:g}"


class KernelFlow(_InClosedForm):
    """Gradient flow on 1/(2K) sum_j ||f(x_j) - y_j||^2 for a time, while the kernel keeps its value at theta.

    f(x) = f_theta(x) + k(x, X) k(X, X)^-1 (I - exp(-t k(X, X) / K)) (Y - f_theta(X)).

    Nothing is inverted: what k(x, X) is multiplied by is the corner of exp([[-t k(X, X) / K, t residual / K], [0, 0]]),
    with the residual Y - f_theta(X).

    Shapes: phi - theta are the weights that the kernel's coefficients stand for, (B, \\*shape).

    Raises:
        ValueError: ``time`` is negative or not finite.

    References: Meta-RKHS-II of [Zhou et al., 2021](https://arxiv.org/abs/2102.03909).
    """

    def __init__(self, kernel: Kernel, time: float):
        super().__init__(kernel)
        self.time = non_negative("time", "time", time)

    def _coefficients(self, gram: Tensor, residual: Tensor, examples: int) -> Tensor:
        n, outputs = residual.shape[1:]
        rate = self.time / examples
        block = torch.cat([-rate * gram, rate * residual], 2)
        block = torch.cat([block, block.new_zeros(len(block), outputs, n + outputs)], 1)
        return torch.linalg.matrix_exp(block)[:, :n, n:]

    def _objective(self, support: Data, predict: Callable, theta: Params, phi: Params) -> Tensor:
        return super()._objective(support, predict, theta, phi) / 2

    def extra_repr(self) -> str:
        return f"{self.kernel!r}, time={self.time:g}"
