"""Where draws come from: tasks from a generator of their own, noise in layers from the global ones."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from mamlbook.devices import random_states, set_random_states
from mamlbook.tasks.distribution import Stateful


def task_generator(seed: int, meta_steps: int) -> torch.Generator:
    """The generator of tasks for a learner that has done so many outer steps.

    A new learner's is ``seed`` itself. One that has been trained is not shown its first tasks again.
    """
    # numpy's SeedSequence mixes both well; torch takes 63 bits.
    mixed = np.random.SeedSequence((seed, meta_steps)).generate_state(1, np.uint64).item() >> 1
    return torch.Generator().manual_seed(mixed if meta_steps else seed)


class Draws(NamedTuple):
    """Where all draws of a training are: the generator of tasks, the global ones, what drawing changes in the tasks."""

    tasks: Tensor
    noise: list[Tensor]
    distribution: list[dict[str, Any]]

    @classmethod
    def at(cls, generator: torch.Generator, changing: Sequence[Stateful]) -> Self:
        """Where they are now; ``changing`` are the distribution's ``stateful_parts``."""
        # Copies, which the next draw leaves alone.
        return cls(generator.get_state(), random_states(), [copy.deepcopy(part.state_dict()) for part in changing])

    def go_back(self, generator: torch.Generator, changing: Sequence[Stateful]) -> None:
        """Draw what was drawn from here once more."""
        generator.set_state(self.tasks)
        set_random_states(self.noise)
        for part, state in zip(changing, self.distribution, strict=True):
            part.load_state_dict(state)
