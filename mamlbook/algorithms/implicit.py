"""Meta-gradients that do not unroll everything: iMAML, truncation, forward mode and finite differences."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from mamlbook.algorithms.base import Algorithm
from mamlbook.inner import GradientDescent
from mamlbook.learner import MetaLearner
from mamlbook.metagradient import FiniteDifference, ForwardMode, Implicit, Truncated
from mamlbook.model import Model
from mamlbook.networks import mlp

LAM, DAMPING, ITERATIONS, LAST = 5.0, 1.0, 5, 1


def imaml(
    model: Model,
    alpha: float = 0.01,
    steps: int = 16,
    lam: float = LAM,
    iterations: int = ITERATIONS,
    damping: float = DAMPING,
    rule: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
) -> MetaLearner:
    """Implicit MAML: descend to the minimum of the pulled objective, and differentiate the minimum.

    grad = mean_b ((1 + damping) I + H_b / lam)^-1 grad L_b(phi_b),
    phi_b = argmin L_b^support(phi) + lam / 2 ||phi - theta||^2,

    by ``iterations`` conjugate gradients at the phi_b that S steps of ``rule`` have reached. The paper's formula has no
    damping; the one here is that of its code, and without it phi_b has to be much nearer to the minimum. The rule is
    Adam because an implicit gradient does not hear that plain steps are about to diverge: with them the curvature grows
    until they do.

    References: [Rajeswaran et al., 2019](https://arxiv.org/abs/1909.04630).
    """
    return MetaLearner(model, GradientDescent(alpha, steps, rule=rule, lam=lam), Implicit(iterations, damping=damping))


def imaml_neumann(
    model: Model,
    alpha: float = 0.01,
    steps: int = 16,
    lam: float = LAM,
    iterations: int = ITERATIONS,
    rate: float | None = 0.003,
    rule: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
) -> MetaLearner:
    """Implicit MAML with a Neumann series in the place of conjugate gradients.

    grad = mean_b rate lam sum_{j=0}^{iterations} (I - rate (H_b + lam I))^j grad L_b(phi_b).

    The rate has to stay below 2 over the largest curvature, which grows in training.

    References: [Lorraine et al., 2020](https://arxiv.org/abs/1911.02590).
    """
    solver = GradientDescent(alpha, steps, rule=rule, lam=lam)
    return MetaLearner(model, solver, Implicit(iterations, "neumann", rate))


def truncated(model: Model, alpha: float = 0.01, steps: int = 5, last: int = LAST) -> MetaLearner:
    """Truncated back-propagation: the Jacobians of all but the last steps are read as the identity.

    grad = mean_b (J_{S-1} ... J_{S-last})^T grad L_b(phi_b).

    Differs from the paper, which reads d phi_{S-last} / d theta as 0: without a pull nothing would be left. That
    reading is ``Truncated(last, early="zero")``.

    References: [Shaban et al., 2019](https://arxiv.org/abs/1810.10667).
    """
    return MetaLearner(model, GradientDescent(alpha, steps), Truncated(last))


def forward_mode(model: Model, alpha: float = 0.01, steps: int = 1) -> MetaLearner:
    """MAML's gradient by forward mode: the Jacobian is computed beside the steps, and no step is kept.

    Z <- (I - alpha H_s) Z,  grad = mean_b Z_S^T grad L_b(phi_b).

    References: [Franceschi et al., 2017](https://arxiv.org/abs/1703.01785).
    """
    return MetaLearner(model, GradientDescent(alpha, steps), ForwardMode())


def finite_difference(model: Model, alpha: float = 0.01, steps: int = 1, epsilon: float = 0.01) -> MetaLearner:
    """Hessian-free MAML: MAML's backward pass, each Hessian-vector product a difference of two gradients.

    v <- v - alpha (grad F(phi^s + e v) - grad F(phi^s - e v)) / 2e,  e = epsilon / ||v||.

    References: [Liu et al., 2019](https://arxiv.org/abs/1806.09055), section 2.3; for MAML,
    [Fallah et al., 2020](https://arxiv.org/abs/1908.10400).
    """
    return MetaLearner(model, GradientDescent(alpha, steps), FiniteDifference(epsilon))


def few_weights(*sizes: int, **options) -> nn.Module:
    """A multilayer perceptron whose hidden layers have at most eight units: forward mode pays for every weight."""
    return mlp(sizes[0], *(min(size, 8) for size in sizes[1:-1]), sizes[-1], **options)


ROWS: dict[str, Algorithm] = {
    "imaml": Algorithm(
        imaml,
        factor="meta-gradient",
        replaces="the Jacobian of the way, by that of the pulled minimum: (I + H/λ)⁻¹, damped, by conjugate gradients",
        gradients=lambda steps: steps + 2,
        products=lambda steps: ITERATIONS,
        memory="flat",
        assumes="a pull λ that makes the inner objective convex, and steps that come near its minimum",
    ),
    "imaml-neumann": Algorithm(
        imaml_neumann,
        factor="meta-gradient",
        replaces="the Jacobian of the way, by that of the pulled minimum: (I + H/λ)⁻¹, by a Neumann series",
        gradients=lambda steps: steps + 2,
        products=lambda steps: ITERATIONS,
        memory="flat",
        assumes="a pull λ that makes the inner objective convex, and a series rate below 2 over the largest curvature",
    ),
    "truncated": Algorithm(
        truncated,
        factor="meta-gradient",
        replaces="the Jacobians of all steps but the last, by the identity",
        gradients=lambda steps: steps + 1,
        products=lambda steps: min(steps, LAST),
        memory="flat",
        assumes="early steps whose Jacobians hardly matter",
    ),
    "forward-mode": Algorithm(
        forward_mode,
        factor="meta-gradient",
        replaces="nothing: MAML's Jacobian, computed beside the steps",
        gradients=None,
        products=None,
        work="a Hessian-vector product for every weight and step, and P² numbers a task",
        memory="flat",
        assumes="few weights",
        network=few_weights,
    ),
    "finite-difference": Algorithm(
        finite_difference,
        factor="meta-gradient",
        replaces="Hessian-vector products, by differences of two gradients",
        gradients=lambda steps: 3 * steps + 1,
        products=lambda steps: 0,
        memory="grows with S",
        assumes="gradients that change smoothly over a distance ε",
    ),
}
