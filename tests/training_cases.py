"""A small learner, and distributions that break off or spoil their tasks, for the tests of ``fit``."""

import torch
from torch import nn
from torch.nn.functional import mse_loss

from mamlbook import Model, Sinusoids, maml, mlp

WAVES = Sinusoids(shots=5, queries=5)


def learner(alpha=0.01, seed=0):
    return maml(Model(mlp(1, 8, 1, seed=seed), mse_loss), alpha, 2)


def with_dropout():
    """A learner whose meta-gradient draws noise from torch's global generator."""
    net = nn.Sequential(mlp(1, 8, 8), nn.Dropout(0.3), nn.Linear(8, 1))
    nn.init.constant_(net[2].weight, 0.1)
    nn.init.zeros_(net[2].bias)
    return maml(Model(net, mse_loss), 0.01, 1)


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


class PowerCut(Exception):
    """What no program expects."""


class BreaksAfter:
    """Waves, and an error after so many draws."""

    def __init__(self, draws, error=PowerCut):
        self.left, self.error = draws, error

    def draw(self, tasks, generator):
        drawn = WAVES.draw(tasks, generator)
        if self.left == 0:
            raise self.error
        self.left -= 1
        return drawn

    def __repr__(self):
        return repr(WAVES)


class Seen:
    """Waves, and the first point of each draw."""

    def __init__(self):
        self.points = []

    def draw(self, tasks, generator):
        drawn = WAVES.draw(tasks, generator)
        self.points.append(drawn.support.x[0, 0, 0].item())
        return drawn
