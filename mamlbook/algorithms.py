"""The field as one table: each algorithm is one composition of the four factors."""

from __future__ import annotations

from collections.abc import Callable

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


ALGORITHMS: dict[str, Callable[..., MetaLearner]] = {
    "joint": joint,
    "maml": maml,
    "fomaml": fomaml,
    "reptile": reptile,
}
"""Every algorithm by name; tests and comparison tables run over it, so a new row appears in both by itself."""
