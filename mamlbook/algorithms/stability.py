"""What steadies meta-training: a loss at every step, first order at first, learned rates, and the three in MAML++."""

from __future__ import annotations

from mamlbook.algorithms.base import Algorithm
from mamlbook.algorithms.gradient import maml
from mamlbook.inner import DerivativeAnnealing, GradientDescent, LearnedRates, Transform
from mamlbook.learner import MetaLearner
from mamlbook.metagradient import MultiStepLoss
from mamlbook.model import Model


def multi_step_loss(
    model: Model, alpha: float = 0.01, steps: int = 5, *transforms: Transform, anneal: float = 1000, floor: float = 0.03
) -> MetaLearner:
    """MAML judged after every inner step, not only after the last.

    grad = mean_b sum_k v_k (d phi_b^k / d theta)^T grad L_b(phi_b^k),  v from 1/S each to nearly all on the last.

    After ``anneal`` meta-steps the last alone is judged, as in the authors' code.

    References: [Antoniou et al., 2019](https://arxiv.org/abs/1810.09502), section 4.
    """
    return MetaLearner(model, GradientDescent(alpha, steps, *transforms), MultiStepLoss(anneal, floor, until=anneal))


def annealed(
    model: Model, alpha: float = 0.01, steps: int = 1, *transforms: Transform, after: int = 500
) -> MetaLearner:
    """FOMAML for the first ``after`` meta-steps, MAML from then on.

    References: [Antoniou et al., 2019](https://arxiv.org/abs/1810.09502), section 4.
    """
    return maml(model, alpha, steps, DerivativeAnnealing(after), *transforms)


def maml_plus_plus(
    model: Model,
    alpha: float = 0.01,
    steps: int = 5,
    *transforms: Transform,
    anneal: float = 1000,
    floor: float = 0.03,
    after: int = 500,
) -> MetaLearner:
    """MAML++ without its batch norm: a loss at every step, a learned rate per tensor and step, first order at first.

    phi^{k+1} = phi^k - alpha s_{k,l} g_l  for tensor l;  the outer loss is that of ``multi_step_loss``, and the
    gradients are constants for the first ``after`` meta-steps. The cosine of the outer rate is ``fit``'s: pass it as
    ``beta``.

    References: [Antoniou et al., 2019](https://arxiv.org/abs/1810.09502).
    """
    rates = LearnedRates(model, "tensor", steps)
    return multi_step_loss(
        model, alpha, steps, DerivativeAnnealing(after), *transforms, rates, anneal=anneal, floor=floor
    )


ROWS: dict[str, Algorithm] = {
    "multi-step-loss": Algorithm(
        multi_step_loss,
        factor="meta-gradient",
        replaces="the query loss after the last step, by a mean over the steps that moves to the last",
        gradients=lambda steps: 2 * steps,
        products=lambda steps: steps,
        memory="grows with S",
        assumes="one start for all tasks, and steps on the way that should be good too",
    ),
    "annealed": Algorithm(
        annealed,
        factor="meta-gradient",
        replaces="the Jacobian dφ/dθ, by the identity for the first meta-steps; costs are those from then on",
        gradients=lambda steps: steps + 1,
        products=lambda steps: steps,
        memory="grows with S",
        assumes="one start for all tasks, and a first-order training that leads where MAML goes on",
    ),
    "maml++": Algorithm(
        maml_plus_plus,
        factor="meta-gradient",
        replaces="the query loss, by a mean over steps; the Jacobian, at first by the identity; α, by learned rates",
        gradients=lambda steps: 2 * steps,
        products=lambda steps: steps,
        memory="grows with S",
        assumes="as many test steps as were trained: a step beyond them has no rate of its own",
    ),
}
