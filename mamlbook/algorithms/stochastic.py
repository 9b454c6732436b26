"""Random solutions: noisy inner loops, and meta-gradients that compare candidates."""

from __future__ import annotations

from mamlbook.algorithms.base import Algorithm
from mamlbook.inner import GradientDescent, LangevinNoise
from mamlbook.learner import MetaLearner
from mamlbook.metagradient import EvoGrad, EvolutionStrategies, PathwiseGradient, ScoreFunction
from mamlbook.model import Model

# Defaults that the costs below are counted with.
LAST, PATHS, CANDIDATES, PAIRS = 2, 16, 64, 32
LOSS = 1 / 3
"""What a loss costs without its gradient, in gradients."""


def sgld(
    model: Model, alpha: float = 0.01, steps: int = 5, lam: float = 1.0, temperature: float = 1e-5, last: int = LAST
) -> MetaLearner:
    """Stochastic bilevel optimisation, differentiated along the noisy path; a reconstruction from the definition.

    min_theta E L_b(phi_b),  phi^{s+1} = phi^s - alpha grad F_b(phi^s) + sqrt(2 alpha T) xi,
    F_b(phi) = L_support(phi) + lam / 2 ||phi - theta||^2.

    References: [Kim and Hospedales, 2025](https://arxiv.org/abs/2410.10417).
    """
    solver = GradientDescent(alpha, steps, LangevinNoise(temperature), lam=lam)
    return MetaLearner(model, solver, PathwiseGradient(last))


def sgld_score(
    model: Model,
    alpha: float = 0.01,
    steps: int = 5,
    lam: float = 50.0,
    temperature: float = 0.01,
    paths: int = PATHS,
) -> MetaLearner:
    """The same problem with nothing differentiated at the solution; a reconstruction from the definition.

    grad = mean_b lam / T Cov(L_b(phi_b), phi_b).

    References: [Kim and Hospedales, 2025](https://arxiv.org/abs/2410.10417).
    """
    solver = GradientDescent(alpha, steps, LangevinNoise(temperature), lam=lam)
    return MetaLearner(model, solver, ScoreFunction(paths))


def evograd(
    model: Model,
    alpha: float = 0.01,
    steps: int = 1,
    lam: float = 1.0,
    candidates: int = CANDIDATES,
    sigma: float = 0.01,
    temperature: float = 1.0,
) -> MetaLearner:
    """EvoGrad, used to learn a start: theta is felt through the weights of random candidates.

    grad = mean_b d/d theta L_b(sum_k softmax_k(-F_b(phi_b^k) / tau) phi_b^k),  phi^k = phi + sigma sign(eps_k).

    References: [Bohdal et al., 2021](https://arxiv.org/abs/2106.10575).
    """
    solver = GradientDescent(alpha, steps, lam=lam)
    return MetaLearner(model, solver, EvoGrad(candidates, sigma, temperature))


def es_maml(
    model: Model, alpha: float = 0.01, steps: int = 1, pairs: int = PAIRS, sigma: float = 0.01, orthogonal: bool = False
) -> MetaLearner:
    """ES-MAML with an inner loop of gradient steps: the loss after it, at points around theta, is not differentiated.

    grad = mean_b 1 / (2 n sigma) sum_k (L_b(phi(theta + sigma e_k)) - L_b(phi(theta - sigma e_k))) e_k.

    References: [Song et al., 2020](https://arxiv.org/abs/1910.01215).
    """
    return MetaLearner(model, GradientDescent(alpha, steps), EvolutionStrategies(pairs, sigma, orthogonal=orthogonal))


ROWS: dict[str, Algorithm] = {
    "sgld": Algorithm(
        sgld,
        factor="inner",
        replaces="the solution, by a random one near it (a reconstruction)",
        gradients=lambda steps: steps + min(LAST, steps),
        products=lambda steps: steps,
        memory="grows with S",
        assumes="a smooth mean over solutions; noise that does not drown the loss",
        noisy=True,
    ),
    "sgld-score": Algorithm(
        sgld_score,
        factor="meta-gradient",
        replaces="the solution, by a random one near it, and the Jacobian, by a covariance (a reconstruction)",
        gradients=lambda steps: PATHS * (steps + LOSS),
        products=lambda steps: 0,
        memory="flat",
        assumes="paths that have forgotten their start, α λ S well above 1; many of them",
        noisy=True,
    ),
    "evograd": Algorithm(
        evograd,
        factor="meta-gradient",
        replaces="the Jacobian, by how candidates near φ compare",
        gradients=lambda steps: steps + 1 + CANDIDATES * LOSS,
        products=lambda steps: 0,
        memory="flat",
        assumes="an inner objective that θ enters; many candidates, or few directions that matter",
        noisy=True,
    ),
    "es-maml": Algorithm(
        es_maml,
        factor="meta-gradient",
        replaces="the Jacobian and the query gradient, by differences of the loss after adaptation",
        gradients=lambda steps: (2 * PAIRS + 1) * (steps + LOSS),
        products=lambda steps: 0,
        memory="flat",
        assumes="an objective that is smooth at the width σ, and few directions that matter",
        noisy=True,
    ),
}
