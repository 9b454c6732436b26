"""Hierarchical Bayes on linear tasks: what prior a start with its steps is, posteriors, and expected errors.

A task has the weights c_b ~ N(mean, C) and the targets y = X c_b + noise, with independent noise of the standard
deviation ``noise``. The support loss is ``half_squared_error``, so that its Hessian is H = X^T X, and S steps of
gradient descent leave M^S of a distance, M = I - alpha H. Everything here is exact, and in the precision that it is
given.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mamlbook.checks import non_negative, positive, whole_number
from mamlbook.tasks.base import Data


class Belief(NamedTuple):
    """A Gaussian for the weights of each task: N(mean_b, covariance_b).

    Shapes: ``mean`` is (B, d), ``covariance`` (B, d, d); with several modes they are (B, modes, d) and
    (B, modes, d, d).
    """

    mean: Tensor
    covariance: Tensor

    def predict(self, x: Tensor, noise: float = 0.0) -> tuple[Tensor, Tensor]:
        """Mean and variance of a target at each input: x^T mean and x^T covariance x + noise^2.

        Shapes: ``x`` is (B, K, d), both results are (B, K).
        """
        spread = torch.einsum("bki,bij,bkj->bk", x, self.covariance, x)
        return (x @ self.mean[..., None])[..., 0], spread + noise**2


def implied_prior(x: Tensor, alpha: float, steps: int, noise: float) -> Tensor:
    """The covariance of the Gaussian prior under which S gradient steps from its mean give the posterior mean.

    Q = noise^2 alpha sum_{s=1}^{S} M^{-s},  M = I - alpha X^T X.

    In a direction of curvature h that is noise^2 ((1 - alpha h)^{-S} - 1) / h, and alpha S noise^2 where h = 0. The
    prior depends on the inputs of the task, and on the noise.

    Shapes: ``x`` is (B, K, d), the result (B, d, d).

    Raises:
        ValueError: there is no such prior. It exists while alpha h < 1 in every direction, and up to alpha h < 2 for
            an even number of steps, alpha h = 1 apart.

    References: [Santos, 1996](https://doi.org/10.1016/0024-3795%2894%2900114-6), [Grant et al.,
    2018](https://arxiv.org/abs/1801.08930).

    >>> x = torch.tensor([[[1.0], [1.0]]])  # one task, two points, curvature 2
    >>> implied_prior(x, alpha=0.25, steps=1, noise=1.0)
    tensor([[[0.5000]]])
    """
    left, directions = _left(x, alpha, steps)
    powers = (left**-s for s in range(1, steps + 1))
    spread = positive("noise", "standard deviation", noise) ** 2 * alpha * sum(powers, torch.zeros_like(left))
    return directions @ (spread[..., None] * directions.mT)


def posterior_of_steps(support: Data, theta: Tensor, alpha: float, steps: int, noise: float) -> Belief:
    """The posterior under the prior that the steps amount to, without an inverse: where they end, and how sure.

    theta + G (y - X theta)  and  noise^2 alpha sum_{s<S} M^s, with ``gain_of_steps``. It is ``posterior`` under
    ``implied_prior``, and stays precise where that prior is too wide for the numbers of a computer.

    Shapes: ``support.x`` is (B, K, d) and ``support.y`` (B, K, 1); ``theta`` is (d,) or (B, d).

    Raises:
        ValueError: there is no such prior.
    """
    left, directions = _left(support.x, alpha, steps)
    powers = (left**s for s in range(steps))
    spread = positive("noise", "standard deviation", noise) ** 2 * alpha * sum(powers, torch.zeros_like(left))
    moved = gain_of_steps(support.x, alpha, steps) @ _residual(support, theta)
    return Belief(theta + moved[..., 0], directions @ (spread[..., None] * directions.mT))


def gain_of_steps(x: Tensor, alpha: float, steps: int) -> Tensor:
    """What S gradient steps make of the residuals: phi = theta + G (y - X theta),  G = alpha sum_{s<S} M^s X^T.

    Shapes: ``x`` is (B, K, d), the result (B, d, K).
    """
    one_step = _identity(x) - alpha * (x.mT @ x)
    total, power = torch.zeros_like(one_step), _identity(x).expand_as(one_step)
    for _ in range(_steps(steps)):
        total, power = total + power, power @ one_step
    return alpha * total @ x.mT


def gain_of_prior(x: Tensor, covariance: Tensor, noise: float) -> Tensor:
    """The same for the posterior mean under a prior N(theta, C): G = C X^T (X C X^T + noise^2 I)^{-1}.

    A prior without width is allowed, and one that differs from task to task.

    Shapes: ``x`` is (B, K, d), ``covariance`` (d, d) or (B, d, d), the result (B, d, K).
    """
    return torch.linalg.solve(_marginal(x, covariance, noise), x @ covariance).mT


def posterior(support: Data, mean: Tensor, covariance: Tensor, noise: float) -> Belief:
    """What Bayes' rule makes of a prior N(mean, C): mean + G (y - X mean) and C - G X C, with ``gain_of_prior``.

    Shapes: ``support.x`` is (B, K, d) and ``support.y`` (B, K, 1); ``mean`` is (d,) or (B, d), ``covariance`` (d, d) or
    (B, d, d).

    >>> one_point = Data(torch.ones(1, 1, 1), torch.full((1, 1, 1), 2.0))
    >>> posterior(one_point, torch.zeros(1), torch.eye(1), noise=1.0)
    Belief(mean=tensor([[1.]]), covariance=tensor([[[0.5000]]]))
    """
    x, residual = support.x, _residual(support, mean)
    gain = gain_of_prior(x, covariance, noise)
    return Belief(mean + (gain @ residual)[..., 0], covariance - gain @ x @ covariance)


def log_marginal(data: Data, mean: Tensor, covariance: Tensor, noise: float) -> Tensor:
    """log p(y | X) of each task under the prior N(mean, C): that of N(X mean, X C X^T + noise^2 I), (B,).

    As a function of ``mean`` its sum over tasks is what empirical Bayes maximises (``marginal_mean``).
    """
    residual = _residual(data, mean)
    factor = torch.linalg.cholesky(_marginal(data.x, covariance, noise))
    white = torch.linalg.solve_triangular(factor, residual, upper=False)
    return torch.distributions.Normal(0, 1).log_prob(white).sum((1, 2)) - factor.diagonal(0, 1, 2).log().sum(1)


def marginal_mean(data: Data, covariance: Tensor, noise: float) -> Belief:
    """The prior mean that makes the data of all tasks most likely, and the covariance of its error, for a known C.

    (sum_b X_b^T V_b^{-1} X_b)^{-1} sum_b X_b^T V_b^{-1} y_b,  V_b = X_b C X_b^T + noise^2 I.

    The first factor is the covariance. No unbiased linear estimate has a smaller one (Gauss and Markov).

    Shapes: ``data.x`` is (B, K, d), the results (1, d) and (1, d, d).
    """
    weighted = torch.linalg.solve(_marginal(data.x, covariance, noise), data.x).mT
    error = torch.linalg.inv((weighted @ data.x).sum(0))
    return Belief((error @ (weighted @ data.y).sum(0)).mT, error[None])


def start_covariance(
    x: Tensor, xq: Tensor | None, alpha: float, steps: int, covariance: Tensor, noise: float
) -> Tensor:
    """The covariance of the error of MAML's fixed point on these training tasks, for given inputs: (d, d).

    The fixed point is linear in the targets, sum_b W_b y_b, so that the covariance is sum_b W_b V_b W_b^T with
    V_b = X_b C X_b^T + noise^2 I over all points of a task. With ``xq=None`` each task is judged on its support set
    again, which is training without a split.

    Shapes: ``x`` is (B, K, d), ``xq`` (B, L, d) or None.
    """
    gain = gain_of_steps(x, alpha, steps)
    left = _identity(x) - gain @ x
    judged = x if xq is None else xq
    pulled = (judged @ left).mT
    curvature = (pulled @ judged @ left).sum(0)
    own = -judged @ gain  # what the residuals of the query set hold of the support targets
    eye = torch.eye(judged.shape[1], dtype=x.dtype).expand(len(x), -1, -1)
    weights = torch.linalg.solve(curvature, pulled @ (own + eye if xq is None else torch.cat([own, eye], 2)))
    every = x if xq is None else torch.cat([x, xq], 1)
    return (weights @ _marginal(every, covariance, noise) @ weights.mT).sum(0)


def error_covariance(x: Tensor, gain: Tensor, covariance: Tensor, noise: float) -> Tensor:
    """E (phi - c)(phi - c)^T for phi = theta + G (y - X theta), over tasks with these inputs: (B, d, d).

    (I - G X) C (I - G X)^T + noise^2 G G^T, where C = E (theta - c)(theta - c)^T: the covariance of the tasks if theta
    is their mean, and that plus the error of theta if it is not. Its trace is the expected squared distance.

    Shapes: ``x`` is (B, K, d), ``gain`` (B, d, K), ``covariance`` (d, d) or (B, d, d).
    """
    left = _identity(x) - gain @ x
    return left @ covariance @ left.mT + noise**2 * gain @ gain.mT


def mixture_posterior(
    support: Data, means: Tensor, covariance: Tensor, noise: float, weights: Tensor | None = None
) -> tuple[Tensor, Belief]:
    """What Bayes' rule makes of a prior with several modes, sum_i weights_i N(means_i, C).

    Each mode is updated by itself, and its new weight is in proportion to weights_i p(y | X, mode i). ``weights=None``
    stands for equal ones.

    Shapes: ``means`` is (modes, d), ``weights`` (modes,); the results are the weights (B, modes) and the modes, with
    the task axis first.
    """
    each = [posterior(support, mean, covariance, noise) for mean in means]
    scores = torch.stack([log_marginal(support, mean, covariance, noise) for mean in means], 1)
    scores = scores if weights is None else scores + weights.log()
    return scores.softmax(1), Belief(*(torch.stack(parts, 1) for parts in zip(*each, strict=True)))


def _steps(steps: int) -> int:
    return whole_number("steps", steps, 0, "a whole number of inner steps")


def _identity(x: Tensor) -> Tensor:
    return torch.eye(x.shape[-1], dtype=x.dtype)


def _left(x: Tensor, alpha: float, steps: int) -> tuple[Tensor, Tensor]:
    """What a step leaves along each direction, (B, d), and the directions as columns, (B, d, d), if there is a prior.

    Raises:
        ValueError: S steps leave nothing of a distance, more than there was, or turn it round.
    """
    curvature, directions = torch.linalg.eigh(x.mT @ x)
    # What rounding has made of no curvature is none.
    left = 1 - positive("alpha", "inner rate", alpha) * curvature.clamp(min=0)
    allowed = (left > 0) | ((left < 0) & (left > -1)) if _steps(steps) % 2 == 0 else left > 0
    if steps and not allowed.all():
        raise ValueError(
            f"alpha: expected alpha times the largest curvature below 1, got {alpha * curvature.max().item():.3g} with "
            f"{steps} steps, which no Gaussian prior explains; take a smaller alpha"
        )
    return left, directions


def _marginal(x: Tensor, covariance: Tensor, noise: float) -> Tensor:
    """V = X C X^T + noise^2 I: (B, K, K)."""
    variance = non_negative("noise", "standard deviation", noise) ** 2
    return x @ covariance @ x.mT + variance * torch.eye(x.shape[1], dtype=x.dtype)


def _residual(data: Data, mean: Tensor) -> Tensor:
    """y - X mean: (B, K, 1)."""
    return data.y - data.x @ mean.expand(len(data.x), -1)[..., None]
