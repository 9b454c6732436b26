"""The outer loop changed: which tasks count, and what is remembered of them."""

from __future__ import annotations

from typing import Any

from mamlbook.algorithms.base import Algorithm
from mamlbook.inner import GradientDescent
from mamlbook.learner import MetaLearner
from mamlbook.metagradient import MOML, Exact, LocalMOML
from mamlbook.model import Model
from mamlbook.weighting import AgreementWeights, ConflictAverseWeights, LearnedWeights, RobustWeights, SoftmaxWeights


def softmax_weights(model: Model, alpha: float = 0.01, steps: int = 1, temperature: float = 5.0) -> MetaLearner:
    """MAML of the smoothed worst case.

    grad = sum_b w_b (d phi_b / d theta)^T grad L_b(phi_b),  w = softmax_b(L_b(phi_b) / T).
    """
    return MetaLearner(model, GradientDescent(alpha, steps), Exact(), SoftmaxWeights(temperature))


def robust(model: Model, alpha: float = 0.01, steps: int = 1, tasks: int = 25, rate: float = 0.001) -> MetaLearner:
    """Task-robust MAML (TR-MAML): the worst case over a finite collection, as a game.

    min_theta max_p sum_i p_i L_i(phi_i(theta)),  p in the simplex.

    References: [Collins et al., 2020](https://arxiv.org/abs/2002.04766).
    """
    return MetaLearner(model, GradientDescent(alpha, steps), Exact(), RobustWeights(tasks, rate))


def learned_weights(model: Model, alpha: float = 0.01, steps: int = 1, tasks: int = 25) -> MetaLearner:
    """MAML with a learned noise level for every task of a finite collection.

    min_{theta, s} mean_i exp(-s_i) L_i(phi_i(theta)) + s_i.

    References: [Kendall et al., 2018](https://arxiv.org/abs/1705.07115) for the weights.
    """
    return MetaLearner(model, GradientDescent(alpha, steps), Exact(), LearnedWeights(tasks))


def amfs_weights(model: Model, alpha: float = 0.01, steps: int = 1, temperature: float = 1.0) -> MetaLearner:
    """MAML with tasks weighted by how well their meta-gradients agree, a rule of this book's own.

    grad = sum_b w_b g_b,  w = softmax_b(cos(g_b, mean_c g_c) / T),  g_b = (d phi_b / d theta)^T grad L_b(phi_b).

    The abstract of the paper says that the tasks' losses get weights in the outer loop, and not which;
    ``AgreementWeights`` says where this rule is from.

    References: [Park and Kang, 2024](https://arxiv.org/abs/2411.00404).
    """
    return MetaLearner(model, GradientDescent(alpha, steps), Exact(), AgreementWeights(temperature))


def conflict_averse(model: Model, alpha: float = 0.01, steps: int = 1, c: float = 0.5) -> MetaLearner:
    """MAML with conflict-averse gradient descent (CAGrad): a step near the mean, for the task that it helps least.

    grad = argmax_d min_b <g_b, d>  subject to  ||d - mean_b g_b|| <= c ||mean_b g_b||.

    References: [Liu et al., 2021](https://arxiv.org/abs/2110.14048).
    """
    return MetaLearner(model, GradientDescent(alpha, steps), Exact(), ConflictAverseWeights(c))


def moml(model: Model, alpha: float = 0.01, steps: int = 1, tasks: int = 25, rate: float = 0.8) -> MetaLearner:
    """Memory-based MAML: the query gradient is taken at an average of a task's solutions.

    u_i <- (1 - r) u_i + r phi_i,  grad = mean_b (d phi_b / d theta)^T grad L_b(u_b).

    References: [Wang et al., 2023](https://arxiv.org/abs/2106.04911).
    """
    return MetaLearner(model, GradientDescent(alpha, steps), MOML(model, tasks, rate))


def moml_v2(model: Model, alpha: float = 0.01, steps: int = 1, tasks: int = 25, rate: float = 0.1) -> MetaLearner:
    """The second version of MOML: the memories of tasks that were not drawn follow theta.

    u_i <- (1 - r) u_i + r theta, and for the tasks drawn r T / B (phi_i - theta) on top.

    References: [Wang et al., 2023](https://arxiv.org/abs/2106.04911).
    """
    return MetaLearner(model, GradientDescent(alpha, steps), MOML(model, tasks, rate, everyone=True))


def local_moml(
    model: Model,
    alpha: float = 0.01,
    steps: int = 1,
    local_steps: int = 2,
    beta: float = 0.01,
    rate: float = 0.5,
) -> MetaLearner:
    """Federated MOML: each task takes outer steps by itself, and the copies are averaged.

    grad = mean_b (theta - theta_b^J) / beta,  theta_b^{j+1} = theta_b^j - beta (d phi_b / d theta_b^j)^T grad L_b(u_b),

    from theta_b^0 = theta, in J local steps.

    References: [Wang et al., 2023](https://arxiv.org/abs/2106.04911).
    """
    return MetaLearner(model, GradientDescent(alpha, steps), LocalMOML(local_steps, beta, rate))


_OF_MAML: dict[str, Any] = {
    "gradients": lambda steps: steps + 1,
    "products": lambda steps: steps,
    "memory": "grows with S",
}

ROWS: dict[str, Algorithm] = {
    "softmax-weights": Algorithm(
        softmax_weights,
        factor="weighting",
        replaces="the mean over tasks, by a softmax of the losses",
        **_OF_MAML,
        assumes="losses of one scale, and no task that cannot be solved at all",
    ),
    "robust": Algorithm(
        robust,
        factor="weighting",
        replaces="the mean over tasks, by the worst case",
        **_OF_MAML,
        assumes="the worst task is what counts, and it is not noise",
        needs="collection",
    ),
    "learned-weights": Algorithm(
        learned_weights,
        factor="weighting",
        replaces="the mean over tasks, by 1 over a learned noise level",
        **_OF_MAML,
        assumes="tasks with a large loss are noisy, not hard",
        needs="collection",
    ),
    "amfs-weights": Algorithm(
        amfs_weights,
        factor="weighting",
        replaces="the mean over tasks, by a softmax of how well the meta-gradients agree (a reconstruction)",
        gradients=lambda steps: steps + 1 + 2 / 3,
        products=lambda steps: 2 * steps,
        memory="grows with S",
        assumes="what most tasks agree on is right",
    ),
    "conflict-averse": Algorithm(
        conflict_averse,
        factor="weighting",
        replaces="the mean over tasks, by the nearby step that is best for the task it helps least",
        gradients=None,
        products=None,
        work="MAML's, the outer backward pass twice, B inner products of gradients for each task, and a problem in "
        "B unknowns",
        memory="grows with S",
        assumes="a compromise exists near the mean",
    ),
    "moml": Algorithm(
        moml,
        factor="memory",
        replaces="where the query gradient is taken: at a remembered mean of the task's solutions",
        gradients=lambda steps: steps + 1 + 1 / 3,
        products=lambda steps: steps,
        memory="grows with S",
        assumes="tasks that come back before θ has moved far",
        needs="collection",
    ),
    "moml-v2": Algorithm(
        moml_v2,
        factor="memory",
        replaces="where the query gradient is taken: at memories, and those of tasks that were not drawn follow θ",
        gradients=lambda steps: steps + 1 + 1 / 3,
        products=lambda steps: steps,
        memory="grows with S",
        assumes="tasks that come back before θ has moved far",
        needs="collection",
    ),
    "local-moml": Algorithm(
        local_moml,
        factor="memory",
        replaces="the outer step, by the mean of local ones",
        gradients=lambda steps: 2 * steps + 1 + 1 / 3,
        products=lambda steps: steps,
        memory="flat",
        assumes="tasks whose own outer steps lead to one place; data that must not travel",
    ),
}
