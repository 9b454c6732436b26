"""A finite collection of sine waves, which come back with a number by which they can be remembered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import torch

from mamlbook.checks import number_where, several
from mamlbook.devices import on_cpu
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.distribution import require_draw
from mamlbook.tasks.sinusoid import require_intervals, split, uniform


class WaveCollection:
    """y = A_i sin(x - p_i), i = 1..T: every pair of an amplitude and a phase, at fresh points in every draw.

    A draw has no task twice, so that what is remembered of a task is written once. The defaults are the 25 waves of
    the code of MOML.

    Shapes: x and y are (B, shots, 1) in the support and (B, queries, 1) in the query set, ``index`` is (B,).

    Raises:
        ValueError: no wave, shots or queries below 1, or a draw of more tasks than there are.

    References: [Wang et al., 2023](https://arxiv.org/abs/2106.04911).
    """

    @on_cpu()
    def __init__(
        self,
        amplitudes: Sequence[float] = (1, 2, 3, 4, 5),
        phases: Sequence[float] = tuple(j * math.pi / 5 for j in range(5)),
        *,
        shots: int = 10,
        queries: int = 10,
        domain: tuple[float, float] = (-5.0, 5.0),
    ):
        self.amplitudes, self.phases = (
            tuple(number_where(name, "finite numbers", math.isfinite, each) for each in several(name, "numbers", given))
            for name, given in (("amplitudes", amplitudes), ("phases", phases))
        )
        self.shots, self.queries, self.domain = shots, queries, domain
        require_intervals(self, "domain")
        self.waves = torch.tensor(list(product(self.amplitudes, self.phases)), dtype=torch.float32)
        if not len(self):
            raise ValueError(f"amplitudes, phases: expected at least one each, got {self.amplitudes} and {self.phases}")

    def __len__(self) -> int:
        return len(self.waves)

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        """Tasks without repetition, in any order; as many as there are gives each once."""
        require_draw(tasks, generator)
        if tasks > len(self):
            raise ValueError(f"tasks: expected between 1 and the {len(self)} waves of the collection, got {tasks}")
        index = torch.randperm(len(self), generator=generator)[:tasks]
        amplitude, phase = self.waves[index, :, None, None].unbind(1)
        x = uniform(self.domain, (tasks, self.shots + self.queries, 1), generator)
        return split(x, amplitude * torch.sin(x - phase), self.shots)._replace(index=index)

    def __repr__(self) -> str:
        phases = ", ".join(f"{phase:.4g}" for phase in self.phases)
        return f"WaveCollection({self.amplitudes}, ({phases}), shots={self.shots}, queries={self.queries})"
