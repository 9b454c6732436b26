"""Which weights adapt, when, and how fast: MAML with a change to the inner gradients alone."""

from __future__ import annotations

from collections.abc import Sequence

from mamlbook.algorithms.base import Algorithm
from mamlbook.inner import (
    DropGrad,
    GradientDescent,
    LambdaPattern,
    LearnedRates,
    body,
    context,
    head,
    keep,
    reset_context,
)
from mamlbook.learner import MetaLearner
from mamlbook.metagradient import Exact
from mamlbook.model import Model
from mamlbook.networks import contextual


def anil(model: Model, alpha: float = 0.03, steps: int = 5) -> MetaLearner:
    """Almost no inner loop: only the head adapts, in training and in testing, and everything learns.

    phi_head <- phi_head - alpha g_head,  phi_body = theta_body.

    Trained on one step, the head becomes so curved that ten steps may diverge; the default is five.

    References: [Raghu et al., 2020](https://arxiv.org/abs/1909.09157).
    """
    return MetaLearner(model, GradientDescent(alpha, steps, keep(head)), Exact())


def boil(model: Model, alpha: float = 0.01, steps: int = 5) -> MetaLearner:
    """Body only update in the inner loop: everything but the head adapts, and everything learns.

    phi_body <- phi_body - alpha g_body,  phi_head = theta_head.

    References: [Oh et al., 2021](https://arxiv.org/abs/2008.08882).
    """
    return MetaLearner(model, GradientDescent(alpha, steps, keep(body)), Exact())


def lambda_pattern(
    model: Model, alpha: float = 0.01, steps: int = 5, rows: Sequence[str] = ("111", "001")
) -> MetaLearner:
    """MAML under a mask over steps and layers; a reconstruction from the abstract.

    phi_l^{k+1} = phi_l^k - alpha Lambda_{kl} g_l^k.

    The default, for networks of three layers, adapts everything once and then the head alone.
    ``mamlbook.analysis.pattern_search.search`` finds the cheapest pattern for a learner.

    References: [Khabarlak, 2022](https://arxiv.org/abs/2206.05930).
    """
    return MetaLearner(model, GradientDescent(alpha, steps, LambdaPattern(model, *rows)), Exact())


def meta_sgd(model: Model, alpha: float = 0.01, steps: int = 1) -> MetaLearner:
    """Meta-SGD: an inner rate for every weight, learned with the start; alpha is the rate that they start from.

    phi = theta - alpha s * g,  d L(phi) / d s = -alpha g * q  after one step, with the query gradient q.

    The paper draws the first rates at random; here all begin at alpha, and what is learned is relative to it.

    References: [Li et al., 2017](https://arxiv.org/abs/1707.09835).
    """
    return MetaLearner(model, GradientDescent(alpha, steps, LearnedRates(model, "weight")), Exact())


def lslr(model: Model, alpha: float = 0.01, steps: int = 5) -> MetaLearner:
    """Learned rates for each layer (here each tensor) and inner step, one part of MAML++.

    phi_l^{k+1} = phi_l^k - alpha s_{kl} g_l^k,  s learned, from 1; steps beyond the last take its rates.

    References: [Antoniou et al., 2019](https://arxiv.org/abs/1810.09502).
    """
    rates = LearnedRates(model, "tensor", max(steps, 1))
    return MetaLearner(model, GradientDescent(alpha, steps, rates), Exact())


def cavia(model: Model, alpha: float = 1.0, steps: int = 1) -> MetaLearner:
    """Context adaptation: a few inputs stand for the task, begin at zero, and are all that adapts.

    c_0 = 0,  c_{k+1} = c_k - alpha d L / d c,  phi = (c_S, theta);  the network is ``networks.contextual``.

    References: [Zintgraf et al., 2019](https://arxiv.org/abs/1810.03642).
    """
    return MetaLearner(model, GradientDescent(alpha, steps, keep(context), start=reset_context), Exact())


def dropgrad(model: Model, alpha: float = 0.01, steps: int = 1, p: float = 0.1, noise: str = "binary") -> MetaLearner:
    """MAML with noise of mean 1 and variance p / (1 - p) on the inner gradients, in training only.

    phi^{k+1} = phi^k - alpha n_k * g_k.

    References: [Tseng et al., 2020](https://arxiv.org/abs/2004.05859).
    """
    return MetaLearner(model, GradientDescent(alpha, steps, DropGrad(p, noise)), Exact())


ROWS: dict[str, Algorithm] = {
    "anil": Algorithm(
        anil,
        factor="inner",
        replaces="which weights adapt: the head alone",
        gradients=None,
        products=None,
        memory="grows with S",
        assumes="features that are right for every task, so that tasks differ in a linear layer",
        work="a forward pass and the head's part of the backward pass for each step, twice that for the outer gradient",
    ),
    "boil": Algorithm(
        boil,
        factor="inner",
        replaces="which weights adapt: all but the head",
        gradients=lambda steps: steps + 1,
        products=lambda steps: steps,
        memory="grows with S",
        assumes="features that should move with the task, read by one head",
    ),
    "lambda-pattern": Algorithm(
        lambda_pattern,
        factor="inner",
        replaces="which weights adapt at which step",
        gradients=None,
        products=None,
        memory="grows with S",
        assumes="layers that can be spared at some steps; found by trying",
        work="for each step a forward pass, and a backward pass down to the lowest layer that adapts",
    ),
    "meta-sgd": Algorithm(
        meta_sgd,
        factor="inner",
        replaces="the rate α, by one for each weight, learned",
        gradients=lambda steps: steps + 1,
        products=lambda steps: steps,
        memory="grows with S",
        assumes="tasks enough to learn twice as many numbers, and as many steps in testing as in training",
    ),
    "lslr": Algorithm(
        lslr,
        factor="inner",
        replaces="the rate α, by one for each tensor and step, learned",
        gradients=lambda steps: steps + 1,
        products=lambda steps: steps,
        memory="grows with S",
        assumes="as many steps in testing as in training",
    ),
    "cavia": Algorithm(
        cavia,
        factor="inner",
        replaces="which weights adapt: a few inputs that stand for the task, from zero",
        gradients=None,
        products=None,
        memory="grows with S",
        assumes="tasks that a few numbers tell apart; a network that reads them",
        work="a forward pass and a backward pass to the inputs for each step",
        network=contextual,
    ),
    "dropgrad": Algorithm(
        dropgrad,
        factor="inner",
        replaces="the inner gradients, by noisy ones of the same mean",
        gradients=lambda steps: steps + 1,
        products=lambda steps: steps,
        memory="grows with S",
        assumes="few tasks, to which the start would otherwise be fitted",
        noisy=True,
    ),
}
