"""Inner loops that are solved, or take few exact steps: kernels, tangents, line searches and computed heads."""

from __future__ import annotations

from mamlbook.algorithms.base import Algorithm
from mamlbook.inner import (
    FeatureKernel,
    GradientDescent,
    KernelFlow,
    KernelRidge,
    LineSearch,
    MinimumNormHead,
    PrototypeHead,
    ResidualLoss,
    SquaredParameter,
    TangentKernel,
    head,
    keep,
)
from mamlbook.learner import MetaLearner
from mamlbook.metagradient import Exact, GradientEnergy
from mamlbook.model import Model


def kernel_ridge(model: Model, lam: float = 0.01) -> MetaLearner:
    """Ridge regression on the features of the last layer, solved exactly; a reconstruction from the abstract.

    f(x) = f_theta(x) + k(x, X) (k(X, X) + lam K I)^-1 (Y - f_theta(X)),  k(x, x') = <z(x), z(x')> + 1,

    with the features z of theta and K support points.

    References: the closed-form inner loop of [Park and Kang, 2024](https://arxiv.org/abs/2411.00404), whose abstract
    names neither kernel nor regulariser; the documented relative is R2-D2,
    [Bertinetto et al., 2019](https://arxiv.org/abs/1805.08136).
    """
    return MetaLearner(model, KernelRidge(FeatureKernel(), lam), Exact())


def ntk_ridge(model: Model, lam: float = 0.01) -> MetaLearner:
    """Ridge regression with the neural tangent kernel: Meta-RKHS-II at infinite time, with a ridge for the inverse.

    f(x) = f_theta(x) + Theta(x, X) (Theta(X, X) + lam K I)^-1 (Y - f_theta(X)),  Theta the tangent kernel at theta.

    References: [Zhou et al., 2021](https://arxiv.org/abs/2102.03909).
    """
    return MetaLearner(model, KernelRidge(TangentKernel(), lam), Exact())


def meta_rkhs_2(model: Model, time: float = 10.0) -> MetaLearner:
    """Meta-RKHS-II: gradient flow for a time under the tangent kernel that theta has.

    f(x) = f_theta(x) + Theta(x, X) Theta(X, X)^-1 (I - exp(-t Theta(X, X) / K)) (Y - f_theta(X)).

    References: [Zhou et al., 2021](https://arxiv.org/abs/2102.03909).
    """
    return MetaLearner(model, KernelFlow(TangentKernel(), time), Exact())


def meta_rkhs_1(model: Model, alpha: float = 0.01, reward: float = 1e-5) -> MetaLearner:
    """Meta-RKHS-I: no adaptation in training; the steps of rate ``alpha`` come in testing only.

    grad = mean_b grad (L_b - reward ||grad L_b||^2) at theta.

    The reward stands for the rate times the number of steps to come. Its default is as large as was found to leave a
    squared loss bounded, which is so little that hardly more than joint training remains.

    References: [Zhou et al., 2021](https://arxiv.org/abs/2102.03909).
    """
    return MetaLearner(model, GradientDescent(alpha, 0), GradientEnergy(reward))


def line_search(model: Model, steps: int = 1, damping: float = 0.0) -> MetaLearner:
    """MAML whose inner rate is computed at each step and task, by an exact line search.

    phi <- phi - a g,  a = <g, g> / (g^T G g + damping <g, g>).

    References: the step is that of [Tripathi et al., 2021](https://arxiv.org/abs/2010.00511).
    """
    return MetaLearner(model, GradientDescent(1.0, steps, LineSearch(damping)), Exact())


def fiml(model: Model, steps: int = 5, damping: float = 0.05, pull: float = 0.1) -> MetaLearner:
    """Few-iteration meta-learning: steepest descent of the head on a learned support loss.

    w <- w - a g,  g = grad (||r(w)||^2 / 2 + pull^2 / 2 ||w - w_theta||^2); the loss's targets, weights and slopes,
    the pull and the scores of the computed start are learned.

    Differs from the released code: the entropy of the unlabelled query set is left out, the pull goes to theta's head
    and not to 0, the head has a bias, the outer loss is that of the last iterate and not the sum over all.

    References: [Tripathi et al., 2021](https://arxiv.org/abs/2010.00511) and its code.
    """
    inner = GradientDescent(
        1.0,
        steps,
        keep(head),
        LineSearch(damping),
        lam=SquaredParameter(pull),
        start=MinimumNormHead(),
        loss=ResidualLoss(),
    )
    return MetaLearner(model, inner, Exact())


def protomaml(model: Model, alpha: float = 0.01, steps: int = 5) -> MetaLearner:
    """ProtoMAML: MAML from a head that compares with the means of the classes.

    phi^0 = (body of theta, w_c = 2 m_c, b_c = -||m_c||^2), then S steps on everything.

    References: [Triantafillou et al., 2020](https://arxiv.org/abs/1903.03096).
    """
    return MetaLearner(model, GradientDescent(alpha, steps, start=PrototypeHead()), Exact())


ROWS: dict[str, Algorithm] = {
    "kernel-ridge": Algorithm(
        kernel_ridge,
        factor="inner",
        replaces="the steps, by a ridge regression on the last layer's features",
        gradients=None,
        products=None,
        work="one Cholesky factor of the support set's n × n kernel, differentiated",
        memory="no steps",
        assumes="features in which every task is linear, and support sets that are small",
    ),
    "ntk-ridge": Algorithm(
        ntk_ridge,
        factor="inner",
        replaces="the steps, by a ridge regression with the tangent kernel",
        gradients=None,
        products=None,
        work="one gradient for each support example and output, and one Cholesky factor, differentiated",
        memory="no steps",
        assumes="a network that changes little between θ and the solution, and support sets that are small",
    ),
    "meta-rkhs-2": Algorithm(
        meta_rkhs_2,
        factor="inner",
        replaces="the steps, by a gradient flow under a frozen tangent kernel",
        gradients=None,
        products=None,
        work="one gradient for each support example and output, and one matrix exponential, differentiated",
        memory="no steps",
        assumes="a network that changes little between θ and the solution, and support sets that are small",
    ),
    "meta-rkhs-1": Algorithm(
        meta_rkhs_1,
        factor="meta-gradient",
        replaces="the adapted query loss, by L − α‖∇L‖² at θ",
        gradients=lambda steps: 1,
        products=lambda steps: 1,
        memory="no steps",
        assumes="a loss with bounded gradients, or a small α: for a squared loss it has no lower bound",
    ),
    "line-search": Algorithm(
        line_search,
        factor="inner",
        replaces="the rate α, by an exact line search",
        gradients=None,
        products=None,
        work="a gradient and one product with the Gauss-Newton matrix for each step, differentiated",
        memory="grows with S",
        assumes="a support loss that is close to a quadratic along its gradient",
    ),
    "fiml": Algorithm(
        fiml,
        factor="inner",
        replaces="the support loss, by a learned one; only the head moves, by exact line searches",
        gradients=None,
        products=None,
        work="the features once for each step, then work in the head alone",
        memory="grows with S",
        assumes="features in which every task is linear",
    ),
    "protomaml": Algorithm(
        protomaml,
        factor="inner",
        replaces="the start of the head, by the means of the classes",
        gradients=lambda steps: steps + 2,
        products=lambda steps: steps,
        memory="grows with S",
        assumes="classes that lie around their means in feature space",
        needs="classes",
    ),
}
