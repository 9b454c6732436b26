"""Decision problems with finitely many states: sampled, enumerated, or solved backwards in time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.tasks.base import Data
from mamlbook.tasks.distribution import require_draw


class DecisionProblems:
    """B decision problems that share their states, actions and transitions, and differ in their rewards.

    From the state s the action a earns reward_b(s, a) and leads to s' with probability P(s' | s, a). There are
    ``horizon`` decisions. A policy pi has the expected return J_b(pi) = E sum_t reward_b(s_t, a_t).

    Shapes: ``start`` (n,), ``transition`` (n, A, n), ``reward`` (B, n, A), for n states and A actions.

    Raises:
        ValueError: the shapes disagree, rewards are not finite, or probabilities are negative or do not add up to one.

    >>> problems = maze([[1.0, 0.0, 0.0, 0.0]])
    >>> problems.tasks, problems.states, problems.actions, problems.horizon
    (1, 3, 2, 2)
    >>> problems.expected_return(torch.zeros(1, 3, 2)).tolist()  # one of four ways has the treasure
    [0.25]
    """

    def __init__(
        self, start: Tensor | Sequence, transition: Tensor | Sequence, reward: Tensor | Sequence, horizon: int
    ):
        self.start, self.transition, self.reward = (
            torch.as_tensor(table, dtype=torch.float64) for table in (start, transition, reward)
        )
        self.horizon = whole_number("horizon", horizon, expected="a whole number of decisions")
        states, actions = self.transition.shape[0], self.transition.shape[1]
        expected = {"start": (states,), "transition": (states, actions, states)}
        if self.reward.ndim != 3 or self.reward.shape[1:] != (states, actions):
            raise ValueError(
                f"reward: expected (tasks, {states}, {actions}) for {states} states and {actions} actions, got "
                f"{tuple(self.reward.shape)}"
            )
        if not self.reward.isfinite().all():
            raise ValueError("reward: expected finite numbers, got nan or infinite ones")
        for name, shape in expected.items():
            table = getattr(self, name)
            if table.shape != shape:
                raise ValueError(f"{name}: expected {shape}, got {tuple(table.shape)}")
            if (table < 0).any() or not torch.allclose(table.sum(-1), torch.ones((), dtype=table.dtype)):
                raise ValueError(f"{name}: expected probabilities that add up to one, got {table.tolist()}")

    @property
    def tasks(self) -> int:
        """How many problems there are."""
        return len(self.reward)

    @property
    def states(self) -> int:
        """n, the number of states."""
        return self.transition.shape[0]

    @property
    def actions(self) -> int:
        """A, the number of actions."""
        return self.transition.shape[1]

    def pick(self, index: Tensor | Sequence[int] | slice) -> DecisionProblems:
        """The problems with these positions, in this order; repetition is allowed."""
        return DecisionProblems(self.start, self.transition, self.reward[index], self.horizon)

    def draw(self, tasks: int, generator: torch.Generator) -> DecisionProblems:
        """Problems drawn with repetition, all equally likely."""
        require_draw(tasks, generator)
        return self.pick(torch.randint(self.tasks, (tasks,), generator=generator))

    def begin(self, shots: int, generator: torch.Generator) -> Tensor:
        """First states of ``shots`` trajectories of each problem: (B, shots)."""
        return _chosen(self.start.expand(self.tasks, shots, -1), generator)

    def observe(self, state: Tensor) -> Tensor:
        """What a policy sees of its states, (B, K) to (B, K, n): a one at the state."""
        return torch.nn.functional.one_hot(state, self.states).to(torch.float64)

    def step(self, state: Tensor, action: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """The next states and the rewards, (B, K) each."""
        task = torch.arange(self.tasks)[:, None].expand_as(state)
        return _chosen(self.transition[state, action], generator), self.reward[task, state, action]

    def expected_return(self, logits: Tensor) -> Tensor:
        """J of the softmax policies with these logits, backwards in time: (B, n, A), or (n, A) for all, to (B,).

        Q_t(s, a) = reward(s, a) + sum_s' P(s' | s, a) V_{t+1}(s'),  V_t(s) = sum_a pi(a | s) Q_t(s, a),  V_horizon = 0.
        """
        chance = logits.to(self.reward.dtype).softmax(-1)
        value = torch.zeros(self.tasks, self.states, dtype=self.reward.dtype)
        for _ in range(self.horizon):
            worth = self.reward + torch.einsum("sap,bp->bsa", self.transition, value)
            value = (chance * worth).sum(-1)
        return value @ self.start

    def trajectories(self) -> Data:
        """Every trajectory that is possible, the same for all problems: M of them.

        Shapes: x, what the policy sees, (B, M, horizon, n); in y ``action`` and ``reward`` are (B, M, horizon), and
        ``chance``, (B, M), is the probability of what the policy does not decide.
        """
        possible = self.start.nonzero()
        states, chance = possible, self.start[possible[:, 0]]
        actions = torch.zeros(len(states), 0, dtype=torch.int64)
        for time in range(self.horizon):
            count = len(states)
            new = torch.arange(self.actions).repeat(count)
            states, chance = states.repeat_interleave(self.actions, 0), chance.repeat_interleave(self.actions)
            actions = torch.cat([actions.repeat_interleave(self.actions, 0), new[:, None]], 1)
            if time < self.horizon - 1:
                odds = self.transition[states[:, -1], new]
                rows, after = odds.nonzero(as_tuple=True)
                states, actions = torch.cat([states[rows], after[:, None]], 1), actions[rows]
                chance = chance[rows] * odds[rows, after]
        seen = self.observe(states).expand(self.tasks, *states.shape, self.states)
        actions = actions.expand(self.tasks, *actions.shape)
        return Data(
            seen,
            {
                "action": actions,
                "reward": self.reward[:, states, actions[0]],
                "chance": chance.expand(self.tasks, len(states)),
            },
        )

    def __repr__(self) -> str:
        size = f"{self.tasks} tasks, {self.states} states, {self.actions} actions"
        return f"DecisionProblems({size}, horizon={self.horizon})"


def maze(treasures: Tensor | Sequence[Sequence[float]]) -> DecisionProblems:
    """Mazes without a way back: every fork goes left or right, and every end has a treasure.

    Shapes: ``treasures`` is (B, 2^m), the reward at each end, for a maze of m forks on every way; its states are the
    2^m - 1 forks, row by row.

    Raises:
        ValueError: the number of ends is no power of two, or there is one end only.
    """
    ends = torch.as_tensor(treasures, dtype=torch.float64)
    turns = max(ends.shape[-1].bit_length() - 1, 0) if ends.ndim == 2 else 0
    if turns < 1 or ends.shape[-1] != 2**turns:
        raise ValueError(f"treasures: expected (tasks, ends) with 2, 4, 8, ... ends, got {tuple(ends.shape)}")
    forks = 2**turns - 1
    transition = torch.zeros(forks, 2, forks)
    reward = torch.zeros(len(ends), forks, 2, dtype=torch.float64)
    for fork in range(forks):
        for action in range(2):
            after = 2 * fork + 1 + action
            if after < forks:
                transition[fork, action, after] = 1
            else:
                transition[fork, action, 0] = 1  # there is no decision left
                reward[:, fork, action] = ends[:, after - forks]
    return DecisionProblems(torch.eye(forks)[0], transition, reward, turns)


def _chosen(odds: Tensor, generator: torch.Generator) -> Tensor:
    """One position for each row of probabilities: (..., n) to (...)."""
    drawn = torch.multinomial(odds.reshape(-1, odds.shape[-1]), 1, generator=generator)
    return drawn.view(odds.shape[:-1])
