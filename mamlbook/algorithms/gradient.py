"""The four that a step of gradient descent is enough for: joint training, MAML, FOMAML and Reptile."""

from __future__ import annotations

from mamlbook.algorithms.base import Algorithm
from mamlbook.inner import GradientDescent, Transform
from mamlbook.learner import MetaLearner
from mamlbook.metagradient import Exact, FirstOrder, Reptile
from mamlbook.model import Model


def joint(model: Model, alpha: float = 0.01) -> MetaLearner:
    """Joint training, the baseline: no inner step, so the mean loss at theta itself; alpha is for evaluation.

    grad = mean_b grad L_b(theta).
    """
    return MetaLearner(model, GradientDescent(alpha, 0), Exact())


def maml(model: Model, alpha: float = 0.01, steps: int = 1, *transforms: Transform) -> MetaLearner:
    """Model-agnostic meta-learning.

    grad = mean_b (d phi_b / d theta)^T grad L_b(phi_b),  d phi / d theta = prod_s (I - alpha H_s).

    The defaults are the paper's for sinusoids.

    References: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), algorithm 1.
    """
    return MetaLearner(model, GradientDescent(alpha, steps, *transforms), Exact())


def fomaml(model: Model, alpha: float = 0.01, steps: int = 1, *transforms: Transform) -> MetaLearner:
    """First-order MAML: d phi / d theta is read as the identity.

    grad = mean_b grad L_b(phi_b).

    References: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), section 5.2.
    """
    return MetaLearner(model, GradientDescent(alpha, steps, *transforms), FirstOrder())


def reptile(model: Model, alpha: float = 0.01, steps: int = 10, *transforms: Transform) -> MetaLearner:
    """Reptile: move theta towards each task's solution.

    grad = mean_b (theta - phi_b).

    References: [Nichol et al., 2018](https://arxiv.org/abs/1803.02999), algorithm 2.
    """
    return MetaLearner(model, GradientDescent(alpha, steps, *transforms), Reptile())


ROWS: dict[str, Algorithm] = {
    "joint": Algorithm(
        joint,
        factor="inner",
        replaces="the inner loop: none, φ = θ",
        gradients=lambda steps: 1,
        products=lambda steps: 0,
        memory="flat",
        assumes="one model that is right for all tasks, or a long adaptation",
    ),
    "maml": Algorithm(
        maml,
        factor="none",
        replaces="nothing",
        gradients=lambda steps: steps + 1,
        products=lambda steps: steps,
        memory="grows with S",
        assumes="one start from which S steps reach every task; α below 2 over the largest curvature",
    ),
    "fomaml": Algorithm(
        fomaml,
        factor="meta-gradient",
        replaces="the Jacobian dφ/dθ, by the identity",
        gradients=lambda steps: steps + 1,
        products=lambda steps: 0,
        memory="flat",
        assumes="one start for all tasks, curvatures that differ little between them, and steps that hardly overshoot",
    ),
    "reptile": Algorithm(
        reptile,
        factor="meta-gradient",
        replaces="the Jacobian and the query gradient, by θ − φ",
        gradients=lambda steps: steps,
        products=lambda steps: 0,
        memory="flat",
        assumes="one start for all tasks, and more than one inner step; no query set",
    ),
}
