"""The loss of a learner whose examples are trajectories."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mamlbook.checks import kind_of
from mamlbook.model import Model
from mamlbook.numerics import gradient_of
from mamlbook.reinforcement.policies import Policy
from mamlbook.reinforcement.surrogates import Surrogate


def to_go(reward: Tensor) -> Tensor:
    """The return from each time on, sum_{u >= t} r_u: (..., T) to (..., T)."""
    return reward.flip(-1).cumsum(-1).flip(-1)


class TrajectoryLoss:
    """Minus the mean return of a task's trajectories, with the derivatives of a surrogate.

    L = -sum_k w_k G_k,  differentiated as  -sum_k w_k surrogate(log pi(a_t | s_t), A_t),  where w_k is a constant and
    A_t the return from t on. With ``baseline`` its mean over the task's other trajectories is subtracted.

    The weights of trajectories that were drawn are 1 / K. For all trajectories that are possible, where y has a
    ``chance``, they are the probabilities under the policy at hand, and L is an exact expectation. A ``weight`` in y is
    taken as it is.

    Shapes: one task's y_hat (K, T, outputs); in y ``reward`` (K, T), ``action`` (K, T, ...), ``chance`` or ``weight``
    (K,); the result is a scalar.

    Raises:
        TypeError: ``policy`` or ``surrogate`` is none.
        ValueError: a baseline for one trajectory, or for given weights.

    >>> from mamlbook import Model
    >>> from mamlbook.reinforcement import SoftmaxPolicy, TrajectoryLoss, dice, tabular
    >>> Model(tabular(3, 2), TrajectoryLoss(SoftmaxPolicy(), dice))
    Model(
      loss=TrajectoryLoss(SoftmaxPolicy(), dice)
      (net): Linear(in_features=3, out_features=2, bias=False)
    )
    """

    def __init__(self, policy: Policy, surrogate: Surrogate, baseline: bool = False):
        if isinstance(policy, type) or not callable(getattr(policy, "log_probability", None)):
            raise TypeError(f"policy: expected one such as SoftmaxPolicy(), got {kind_of(policy)}")
        if not callable(surrogate):
            raise TypeError(f"surrogate: expected a function such as dice, got {surrogate!r}")
        self.policy, self.surrogate, self.baseline = policy, surrogate, baseline

    def __call__(self, y_hat: Tensor, y: dict[str, Tensor]) -> Tensor:
        log_probability = self.policy.log_probability(y_hat, y["action"])
        weight, gain = self._weight(log_probability, y), to_go(y["reward"])
        value = (weight * gain[:, 0]).sum()
        advantage = gain - self._others(weight, gain, y) if self.baseline else gain
        return -gradient_of(value, (weight * self.surrogate(log_probability, advantage)).sum())

    def _weight(self, log_probability: Tensor, y: dict[str, Tensor]) -> Tensor:
        if "chance" in y:
            return y["chance"] * log_probability.detach().sum(-1).exp()
        if "weight" in y:
            return y["weight"]
        return torch.full_like(y["reward"][:, 0], 1 / len(y["reward"]))

    def _others(self, weight: Tensor, gain: Tensor, y: dict[str, Tensor]) -> Tensor:
        count = len(gain)
        if "weight" in y or count < 2:
            got = "given weights" if "weight" in y else "one"
            raise ValueError(f"baseline: expected at least two trajectories that were drawn, got {got}; leave it out")
        if "chance" in y:
            return (weight[:, None] * gain).sum(0)
        return (gain.sum(0) - gain) / (count - 1)

    def __repr__(self) -> str:
        name = getattr(self.surrogate, "__name__", repr(self.surrogate))
        return f"TrajectoryLoss({self.policy!r}, {name}{', baseline=True' if self.baseline else ''})"

    @property
    def __name__(self) -> str:
        return repr(self)


def trajectory_loss(model: Model) -> TrajectoryLoss:
    """The model's loss, if it is one of trajectories.

    Raises:
        TypeError: it is another, which says nothing about how to act.
    """
    loss: Any = model.loss
    if not isinstance(loss, TrajectoryLoss):
        raise TypeError(
            f"model: expected a loss of trajectories, as Model(net, TrajectoryLoss(SoftmaxPolicy(), dice)) has one, "
            f"got {getattr(loss, '__name__', loss)!r}"
        )
    return loss
