"""Where the tasks come from. Put your own data in the place of ``Sensors``."""

import torch

from mamlbook import Data, Tasks
from mamlbook.tasks.base import never_again

SHOTS, QUERIES = 10, 20


class Sensors:
    """Sensors that are to be calibrated: each answers a quantity x by a curve of its own, and reads it with noise.

    y = gain * tanh(slope * (x - centre)) + offset + noise. A task is one sensor. Whatever draws tasks has one method,
    ``draw(tasks, generator)``, and takes all its random numbers from the generator, so that runs can be repeated.
    """

    def __init__(self, offsets: tuple[float, float] = (-1.0, 1.0)):
        self.offsets = offsets  # what sets of tasks may differ in, so that new ones are not those of the training

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        def between(low: float, high: float) -> torch.Tensor:
            return low + (high - low) * torch.rand(tasks, 1, 1, generator=generator)

        gain, slope, centre = between(0.5, 2.0), between(0.5, 1.5), between(-2.0, 2.0)
        offset = between(*self.offsets)
        x = 10 * torch.rand(tasks, SHOTS + QUERIES, 1, generator=generator) - 5  # (tasks, examples, numbers)
        noise = 0.02 * torch.randn(x.shape, generator=generator)
        y = gain * (slope * (x - centre)).tanh() + offset + noise
        support, query = (Data(x[:, part], y[:, part]) for part in (slice(SHOTS), slice(SHOTS, None)))
        return Tasks(support, query, never_again(tasks))


# Three sets of tasks: to learn from, to choose the rates on, and one that is looked at once, at the end.
TRAINING, VALIDATION, TEST = Sensors((-1.0, 1.0)), Sensors((1.0, 1.5)), Sensors((1.5, 2.0))
