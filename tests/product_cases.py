"""The meta-gradients and trainings that one process and several are compared on."""

import torch
from torch.nn.functional import cross_entropy

from battery import distribution_for, model_for, tasks_for
from mamlbook import ALGORITHMS, Model, conv4, maml
from mamlbook.tasks.glyph_pool import glyphs
from mamlbook.tasks.images import Episodes

# A memory by task cannot be shared: each process would remember its own tasks only.
REMEMBERING = ["moml", "moml-v2"]
GRADIENTS = [name for name, row in ALGORITHMS.items() if not row.noisy and name not in REMEMBERING] + ["conv4"]
TRAINED = ["maml", "meta-sgd", "softmax-weights", "robust", "learned-weights", "amfs-weights", "conflict-averse"]
FIT = {"steps": 10, "tasks": 5, "every": 4, "seed": 3}


def build(name):
    """A learner and five tasks for it, a number that two processes cannot halve; float64."""
    if name == "conv4":
        episodes = Episodes(glyphs(4)[:200], ways=3, shots=1, queries=1)
        model = Model(conv4(3, seed=0), cross_entropy).double()
        return maml(model, 0.4, 2), episodes.draw(5, torch.Generator().manual_seed(0)).to(torch.float64)
    return ALGORITHMS[name].offer(model_for(name), alpha=0.03, steps=3).double(), tasks_for(name)


def training(name):
    """A learner and where its tasks come from; float64."""
    return ALGORITHMS[name].offer(model_for(name), alpha=0.03, steps=3).double(), Five(distribution_for(name))


class Five:
    """A distribution whose draws have as many tasks as are asked for, also where it is a fixed collection."""

    def __init__(self, distribution):
        self.distribution = distribution

    def draw(self, tasks, generator):
        drawn = self.distribution.draw(tasks, generator)
        return drawn.pick(torch.randperm(len(drawn.index), generator=generator)[:tasks])

    def __repr__(self):
        return repr(self.distribution)
