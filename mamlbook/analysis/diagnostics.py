"""What a start looks like from the inside: the curvature of its tasks, and how far their gradients agree."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mamlbook.checks import kind_of, whole_number
from mamlbook.devices import noise_kept
from mamlbook.learner import MetaLearner
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.local import inner_gradient
from mamlbook.model import Model
from mamlbook.numerics import Params, as_leaves, dot, expand_over_tasks, random_like
from mamlbook.tasks.base import Data, Tasks
from mamlbook.tasks.preparation import prepared, prepared_data


def task_gradients(model: Model, data: Data) -> Params:
    """The gradient of each task's loss at theta, grad L_b(theta): a tuple of (B, \\*shape)."""
    gradients, _ = _gradients(model, data, differentiable=False)
    return gradients


def meta_gradients(learner: MetaLearner, tasks: Tasks, *, seed: int = 0) -> Tensor:
    """Each task's own meta-gradient, as it enters the learner's weighting: a row for each task, (B, P).

    What is random in it is drawn from ``seed``, and the global generators are left as they were.

    Raises:
        TypeError, ValueError: ``tasks`` is no batch of tasks whose tensors agree.
    """
    if not isinstance(tasks, Tasks):
        raise TypeError(f"tasks: expected one batch of Tasks, got {kind_of(tasks)}")
    batch = MetaBatch.of(learner.model, learner.solver, prepared(tasks, learner.model.theta[0]))
    with noise_kept():
        torch.manual_seed(seed)
        gradients = batch.gradients(learner.metagradient(batch))
    return torch.cat([g.reshape(len(g), -1) for g in gradients], 1)


def alignment(gradients: Sequence[Tensor] | Tensor) -> Tensor:
    """How far the tasks pull the same way, from 0 (they cancel) to 1 (they are all alike): a scalar.

    rho = ||mean_b g_b||^2 / mean_b ||g_b||^2.

    Among B unrelated directions rho is 1/B and not 0; it is nan where all gradients vanish.

    Shapes: ``gradients`` is a tuple of (B, \\*shape), or one row for each task, (B, P).

    >>> alignment(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))  # two tasks, at right angles
    tensor(0.5000)
    """
    gradients = _parts(gradients)
    mean = [g.mean(0, keepdim=True) for g in gradients]
    return dot(mean, mean)[0] / dot(gradients, gradients).mean()


def agreement(one: Sequence[Tensor] | Tensor, other: Sequence[Tensor] | Tensor) -> Tensor:
    """How far two gradients of the same task pull the same way, over all tasks, from -1 to 1: a scalar.

    a = mean_b <u_b, v_b> / mean_b (||u_b||^2 + ||v_b||^2) / 2.

    With the gradients of two independent samples of each task, the numerator estimates mean_b ||grad L_b||^2, and
    1 - a is the share of a gradient's squared length that is noise of sampling.

    Shapes: both are tuples of (B, \\*shape), or one row for each task, (B, P).
    """
    one, other = _parts(one), _parts(other)
    return 2 * dot(one, other).mean() / (dot(one, one) + dot(other, other)).mean()


def unsolved(learner: MetaLearner, tasks: Tasks) -> Tensor:
    """What the inner loop leaves of the gradient that it began with, for each task: (B,).

    ||grad F_b(phi_S)|| / ||grad F_b(phi_0)||,  F_b(phi) = L_b^support(phi) + lam / 2 ||phi - theta||^2.

    An implicit gradient takes it for 0.

    Raises:
        ValueError: a network or a loss that draws random numbers.
    """
    batch = MetaBatch.of(learner.model, learner.solver, prepared(tasks, learner.model.theta[0]))
    adapted = batch.solve(unroll=0)
    ends = (inner_gradient(batch, adapted, as_leaves(phi), graph=False) for phi in (adapted.phi, adapted.start))
    left, began = (dot(gradient, gradient).sqrt() for gradient in ends)
    return left / began


def largest_curvature(model: Model, data: Data, *, iterations: int = 100, seed: int = 0) -> Tensor:
    """The largest eigenvalue, by size, of the Hessian of each task's loss at theta, with its sign: (B,).

    lambda = v^T H v  after ``iterations`` of  v <- H v / ||H v||. Steps of size alpha along v diverge where
    alpha lambda > 2.

    Raises:
        ValueError: ``iterations`` is no whole number of at least 1.
    """
    whole_number("iterations", iterations)
    gradients, phi = _gradients(model, data, differentiable=True)
    generator = torch.Generator().manual_seed(seed)
    v = random_like(phi, generator)
    for _ in range(iterations):
        v = _unit(v)
        turned = _turned(gradients, phi, v)
        eigenvalue, v = dot(v, turned), turned
    return eigenvalue


def hessian_product(model: Model, data: Data, v: Params) -> Params:
    """H_b v_b, the Hessian of each task's loss at theta times that task's own vector.

    H v = grad <g(phi), v>  with v held constant, so no matrix is formed.

    Shapes: ``v`` and the result are tuples of (B, \\*shape).

    Raises:
        ValueError: ``v`` is no vector for each task.
    """
    _require_vector(model, data, v)
    gradients, phi = _gradients(model, data, differentiable=True)
    return _turned(gradients, phi, v)


def gauss_newton_product(model: Model, data: Data, v: Params) -> Params:
    """G_b v_b, the part of H_b v_b that is left when the network is taken for linear in its weights.

    H = J^T l'' J + sum_o l'_o grad^2 f_o,  and  G = J^T l'' J  with J = d f / d theta and l the loss of the outputs f.
    The rest, H - G, is the curvature of the network itself.

    Shapes: ``v`` and the result are tuples of (B, \\*shape).

    Raises:
        ValueError: ``v`` is no vector for each task.
        TypeError: the network puts out more than one tensor.
    """
    _require_vector(model, data, v)
    phi, data = _at_theta(model, data)
    outputs = model(phi, data.x)
    if not isinstance(outputs, Tensor):
        raise TypeError(f"model: expected a network that puts out one tensor, got {kind_of(outputs)}")
    # J^T u is linear in u, so its own gradient along v is J v: two backward passes instead of a forward one.
    u = torch.zeros_like(outputs, requires_grad=True)
    along = torch.autograd.grad(outputs, phi, u, create_graph=True, materialize_grads=True)
    (forward,) = _turned(along, (u,), v)
    free = outputs.detach().requires_grad_()
    (slope,) = torch.autograd.grad(model.losses(free, data.y).sum(), free, create_graph=True)
    (weighted,) = _turned((slope,), (free,), (forward,))
    return torch.autograd.grad(outputs, phi, weighted, materialize_grads=True)


def _gradients(model: Model, data: Data, *, differentiable: bool) -> tuple[Params, Params]:
    phi, data = _at_theta(model, data)
    # The sum over tasks gives each task its own gradient: L_b depends on phi_b alone.
    loss = model.losses(model(phi, data.x), data.y).sum()
    return torch.autograd.grad(loss, phi, create_graph=differentiable, materialize_grads=True), phi


def _at_theta(model: Model, data: Data) -> tuple[Params, Data]:
    """Each task's own theta, and its data on the same device."""
    return as_leaves(expand_over_tasks(model.theta, data.tasks)), prepared_data(data, model.theta[0], "data")


def _turned(gradients: Params, phi: Params, v: Params) -> Params:
    """The gradient of <g(phi), v>; a part of g that depends on nothing, as an unused weight's, adds nothing."""
    moving = [(g, part) for g, part in zip(gradients, v, strict=True) if g.requires_grad]
    if not moving:
        return tuple(map(torch.zeros_like, phi))
    gradients, v = zip(*moving, strict=True)
    return torch.autograd.grad(gradients, phi, v, retain_graph=True, materialize_grads=True)


def _parts(gradients: Sequence[Tensor] | Tensor) -> Sequence[Tensor]:
    return (gradients,) if isinstance(gradients, Tensor) else gradients


def _require_vector(model: Model, data: Data, v: Params) -> None:
    expected, came = [(data.tasks, *t.shape) for t in model.theta], [tuple(part.shape) for part in v]
    if came != expected:
        raise ValueError(f"v: expected a vector for each task, tensors of shapes {expected}, got {came}")


def _unit(v: Params) -> Params:
    length = dot(v, v).sqrt()
    # A task without curvature keeps the zero vector instead of turning into nan.
    length = torch.where(length > 0, length, torch.ones_like(length))
    return tuple(part / length.view(-1, *[1] * (part.ndim - 1)) for part in v)
