"""Two-dimensional navigation: a point finds a goal that it is not told."""

from __future__ import annotations

import torch
from torch import Tensor

from mamlbook.checks import positive, whole_number
from mamlbook.devices import on_cpu
from mamlbook.tasks.distribution import require_draw


class Navigation:
    """B goals in a square, which differ between the tasks; the point sees where it is, and never the goal.

    s_0 = 0,  s_{t+1} = s_t + clip(a_t, -``longest``, ``longest``),  r_t = -|s_{t+1} - goal|.

    Without goals it is where they come from: ``draw`` places them anywhere in [-``half``, ``half``]^2.

    Shapes: ``goals`` (B, 2); states and actions (B, K, 2), rewards (B, K).

    Raises:
        ValueError: goals of another shape, or a number that is not above zero.

    References: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), section 5.3, whose horizon is 100.

    >>> Navigation(horizon=20).draw(4, torch.Generator().manual_seed(0)).goals.shape
    torch.Size([4, 2])
    """

    @on_cpu()
    def __init__(self, goals: Tensor | None = None, *, horizon: int = 20, half: float = 0.5, longest: float = 0.1):
        self.goals = torch.zeros(0, 2) if goals is None else torch.as_tensor(goals)
        if self.goals.ndim != 2 or self.goals.shape[1] != 2 or not self.goals.is_floating_point():
            raise ValueError(f"goals: expected numbers (tasks, 2), got {self.goals.dtype} {tuple(self.goals.shape)}")
        if not self.goals.isfinite().all():
            raise ValueError("goals: expected finite numbers, got nan or infinite ones")
        self.horizon = whole_number("horizon", horizon, expected="a whole number of decisions")
        self.half = positive("half", "half of the square's side", half)
        self.longest = positive("longest", "longest step", longest)

    @property
    def tasks(self) -> int:
        """How many goals there are."""
        return len(self.goals)

    def at(self, goals: Tensor) -> Navigation:
        """The same with other goals."""
        return Navigation(goals, horizon=self.horizon, half=self.half, longest=self.longest)

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Navigation:
        """Goals anywhere in the square."""
        require_draw(tasks, generator)
        return self.at(self.half * (2 * torch.rand(tasks, 2, generator=generator) - 1))

    def begin(self, shots: int, generator: torch.Generator) -> Tensor:
        """The origin, for ``shots`` trajectories of each task."""
        return self.goals.new_zeros(self.tasks, shots, 2)

    def observe(self, state: Tensor) -> Tensor:
        """What a policy sees: where it is."""
        return state

    def step(self, state: Tensor, action: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The next places, and minus their distances to the goals."""
        after = state + action.clamp(-self.longest, self.longest)
        return after, -(after - self.goals[:, None]).norm(dim=-1)

    def best_return(self) -> Tensor:
        """What is earned by one who knows the goal and goes there along each axis as fast as it can: (B,)."""
        times = torch.arange(1, self.horizon + 1)
        left = (self.goals.abs()[:, None] - self.longest * times[None, :, None]).clamp(min=0)
        return -left.norm(dim=-1).sum(1)

    def __repr__(self) -> str:
        goals = f"{self.tasks} goals, " if self.tasks else ""
        return f"Navigation({goals}horizon={self.horizon}, half={self.half:g}, longest={self.longest:g})"
