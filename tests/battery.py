"""What the battery over all algorithms is run on: a small network and tasks of the kind that each of them needs."""

import importlib
import math
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, mse_loss

from mamlbook import ALGORITHMS, Data, Model, Sinusoids, Tasks, mlp
from mamlbook.tasks.base import never_again
from mamlbook.tasks.distribution import FixedTasks


def sine_model(seed=0, activation=torch.nn.Tanh):
    return Model(mlp(1, 8, 8, 1, activation=activation, seed=seed), mse_loss).double()


def sine_tasks(tasks=5, seed=0, **options):
    return Sinusoids(**options).draw(tasks, torch.Generator().manual_seed(seed)).to(torch.float64)


class Blobs:
    """Three classes of points around centres of their own, in the plane."""

    def __init__(self, shots=4, queries=4):  # as many, so that a step costs what the outer gradient does
        self.shots, self.queries = shots, queries

    def draw(self, tasks, generator):
        centres = 2 * torch.randn(tasks, 1, 3, 2, generator=generator)
        x = centres + torch.randn(tasks, self.shots + self.queries, 3, 2, generator=generator)
        y = torch.arange(3).expand(tasks, self.shots + self.queries, 3)
        support, query = (
            Data(x[:, part].flatten(1, 2), y[:, part].flatten(1, 2))
            for part in (slice(self.shots), slice(self.shots, None))
        )
        return Tasks(support, query, never_again(tasks))


def model_for(name, seed=0, width=8, activation=torch.nn.Tanh):
    """A network of the kind that the row adapts, float64."""
    row = ALGORITHMS[name]
    classes = row.needs == "classes"
    sizes = (2 if classes else 1, width, width, 3 if classes else 1)
    return Model(row.network(*sizes, activation=activation, seed=seed), cross_entropy if classes else mse_loss).double()


def distribution_for(name):
    """Where the row's tasks come from."""
    needs = ALGORITHMS[name].needs
    if needs == "classes":
        return Blobs()
    waves = Sinusoids(shots=10)
    if needs == "collection":
        tasks = waves.draw(25, torch.Generator().manual_seed(5))
        return FixedTasks(tasks._replace(index=torch.arange(25)))
    return waves


def tasks_for(name, tasks=5, seed=0):
    """A batch of the kind that the row needs, float64."""
    needs = ALGORITHMS[name].needs
    if needs == "classes":
        return Blobs().draw(tasks, torch.Generator().manual_seed(seed)).to(torch.float64)
    drawn = sine_tasks(tasks, seed)
    return drawn._replace(index=torch.arange(tasks)) if needs == "collection" else drawn


def seeded(learner, tasks, seed=7):
    """The meta-gradient under one draw of whatever is random in it."""
    torch.manual_seed(seed)
    return learner.meta_gradient(tasks)


def limits():
    """The modules that say, row by row, in which limit an algorithm is one that is known."""
    folder = Path(__file__).parent / "limits"
    return [importlib.import_module(f"limits.{path.stem}") for path in sorted(folder.glob("*.py"))]


def relative(one, other):
    """The distance between two meta-gradients over the length of the second."""
    squares = sum(((a - b) ** 2).sum().item() for a, b in zip(one, other, strict=True))
    return math.sqrt(squares / sum((b**2).sum().item() for b in other))
