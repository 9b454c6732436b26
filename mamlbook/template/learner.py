"""The network, the loss, and how a task is learned. Put your own network in the place of ``network``."""

from torch import nn
from torch.nn.functional import mse_loss

from mamlbook import MetaLearner, Model, maml, mlp

INNER_STEPS = 5


def network(seed: int = 0) -> nn.Module:
    """Any ``nn.Module`` that treats examples alike: no batch norm that tracks, nothing drawn, nothing in place."""
    return mlp(1, 40, 40, 1, activation=nn.Tanh, seed=seed)


def learner(alpha: float, seed: int = 0) -> MetaLearner:
    """MAML; ``mamlbook.ALGORITHMS`` has the others."""
    return maml(Model(network(seed), mse_loss), alpha, INNER_STEPS)
