"""First derivatives at the points of an inner loop, each point taken as a constant."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mamlbook.inner.base import Adapted, Solver
from mamlbook.inner.descent import GradientDescent
from mamlbook.meta_batch import MetaBatch
from mamlbook.network_errors import refusing_draws
from mamlbook.numerics import Params, as_leaves, detached


def require_plain_steps(solver: Solver) -> None:
    """Refuse a solver that takes other steps than phi <- phi - alpha (grad L_b(phi) + lam (phi - theta)).

    Raises:
        ValueError: says what the solver does.
    """
    ordinary = isinstance(solver, GradientDescent) and solver.rule is torch.optim.SGD
    if not ordinary or solver.transforms or solver.start is not None:
        raise ValueError(
            "solver: expected plain gradient steps from theta, GradientDescent(alpha, steps) with no other rule, "
            f"transform or start, got {solver}; MAML's Exact() differentiates any"
        )


def plain_path(batch: MetaBatch) -> Iterator[Adapted]:
    """The solutions after 0, 1, ..., S plain steps, as constants.

    Raises:
        ValueError: the solver takes other steps than these.
    """
    require_plain_steps(batch.solver)
    return (adapted._replace(phi=as_leaves(adapted.phi)) for adapted in batch.path(unroll=0))


def inner_gradient(batch: MetaBatch, adapted: Adapted, phi: Params, *, graph: bool) -> Params:
    """grad F_b(phi) of the inner objective, the pull included: a tuple of (B, \\*shape).

    Raises:
        ValueError: the network or the loss draws random numbers: they would be others than those of the inner step.
    """
    with torch.enable_grad(), refusing_draws("its gradient is taken again, and other draws make it another function"):
        inner = adapted.inner(detached(batch.theta), phi).sum()
        return torch.autograd.grad(inner, phi, create_graph=graph, materialize_grads=True)


def query_gradient(batch: MetaBatch, adapted: Adapted) -> tuple[Tensor, Params]:
    """The query losses, (B,), and their gradients at phi, a tuple of (B, \\*shape)."""
    with torch.enable_grad():
        phi = as_leaves(adapted.phi)
        losses = batch.query(adapted._replace(phi=phi))
        return losses, torch.autograd.grad(losses.sum(), phi, materialize_grads=True)


def require_proximal(solver: Solver, why: str) -> None:
    """Refuse a solver whose objective does not contain theta.

    Raises:
        ValueError: says why it has to.
    """
    learned = isinstance(solver, GradientDescent) and callable(solver.lam)  # its value is the device's to know
    if not learned and not solver.proximal:
        raise ValueError(
            f"solver: expected one with a proximal term, as GradientDescent(..., lam=1.0) has, got {solver}; {why}"
        )
