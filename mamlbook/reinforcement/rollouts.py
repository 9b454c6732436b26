"""Trajectories that are drawn: at the start, and at what it has become."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from mamlbook.checks import kind_of, whole_number
from mamlbook.devices import on_cpu
from mamlbook.inner.base import Solver
from mamlbook.learner import MetaLearner
from mamlbook.model import Model
from mamlbook.numerics import Params, expand_over_tasks
from mamlbook.reinforcement.loss import to_go, trajectory_loss
from mamlbook.tasks.base import Data, Tasks, never_again
from mamlbook.tasks.distribution import require_draw


class Problems(Protocol):
    """B problems in which trajectories can be drawn, all at once."""

    horizon: int

    @property
    def tasks(self) -> int:
        """How many problems there are."""
        ...

    def draw(self, tasks: int, generator: torch.Generator) -> Problems:
        """So many problems."""
        ...

    def begin(self, shots: int, generator: torch.Generator) -> Any:
        """First states of ``shots`` trajectories of each problem."""
        ...

    def observe(self, state: Any) -> Tensor:
        """What a policy sees of them: (B, K, inputs)."""
        ...

    def step(self, state: Any, action: Tensor, generator: torch.Generator) -> tuple[Any, Tensor]:
        """The next states, and the rewards, (B, K)."""
        ...


@on_cpu()
def rollout(model: Model, phi: Params, problems: Problems, shots: int, generator: torch.Generator) -> Data:
    """``shots`` trajectories of each problem, drawn by the policies with the weights phi, without a graph.

    Shapes: ``phi`` is a tuple of (B, \\*shape); x is (B, shots, horizon, inputs), and in y ``action`` is
    (B, shots, horizon, ...) and ``reward`` (B, shots, horizon).

    Raises:
        TypeError: the model's loss is no ``TrajectoryLoss``, or the generator none.
        ValueError: the problems show or pay something else than (B, shots, ...) and finite (B, shots).
    """
    policy, shots = trajectory_loss(model).policy, whole_number("shots", shots)
    require_draw(shots, generator)
    horizon = whole_number("problems.horizon", problems.horizon, expected="a whole number of decisions")
    state, seen, acted, earned = problems.begin(shots, generator), [], [], []
    with torch.no_grad():
        for _ in range(horizon):
            x = _of_trajectories("observe", problems.observe(state), problems, shots).to(phi[0])
            action = policy.sample(model(phi, x), generator)
            state, reward = problems.step(state, action.cpu(), generator)
            _of_trajectories("step", reward, problems, shots)
            seen.append(x)
            acted.append(action)
            earned.append(reward.to(x))
    return Data(torch.stack(seen, 2), {"action": torch.stack(acted, 2), "reward": torch.stack(earned, 2)})


def _of_trajectories(method: str, numbers: Any, problems: Problems, shots: int) -> Tensor:
    """What ``observe`` or ``step`` returned, if it is a state, or a reward, of each trajectory."""
    begin, pays = (problems.tasks, shots), method == "step"
    what = f"rewards {begin}" if pays else f"what a policy sees, ({problems.tasks}, {shots}, ...)"
    wanted = f"problems: expected {method} to return {what}, finite numbers"
    if not isinstance(numbers, Tensor):
        raise TypeError(f"{wanted} in a tensor, got {kind_of(numbers)}")
    if numbers.shape[:2] != begin or (numbers.ndim > 2 if pays else numbers.ndim < 3):
        raise ValueError(f"{wanted}, got {tuple(numbers.shape)}; one for each problem and trajectory")
    if not numbers.isfinite().all():
        raise ValueError(f"{wanted}, got nan or infinite ones")
    return numbers


def on_policy(
    model: Model,
    solver: Solver,
    problems: Problems,
    shots: int,
    queries: int,
    generator: torch.Generator,
    theta: Params | None = None,
) -> Tasks:
    """Support trajectories drawn at theta, and query trajectories drawn at what one inner step has made of it.

    Shapes: those of ``rollout``; ``theta`` gives each problem a start of its own, (B, \\*shape).

    Raises:
        TypeError: the model's loss is no ``TrajectoryLoss``.
        ValueError: the solver takes another number of steps than one.
    """
    steps = getattr(solver, "steps", None)
    if steps != 1:
        raise ValueError(
            f"solver: expected one inner step, since the support trajectories are drawn at theta, got steps={steps}; a "
            "second step needs trajectories of its own, as fresh_steps draws them"
        )
    theta = expand_over_tasks(model.theta, problems.tasks) if theta is None else theta
    support = rollout(model, theta, problems, shots, generator)
    phi = solver(model, support, unroll=0, theta=theta).phi
    return Tasks(support, rollout(model, phi, problems, queries, generator), never_again(problems.tasks))


class OnPolicy:
    """A source of tasks for ``fit``: problems, and trajectories drawn at the learner's weights of that moment.

    It holds the learner that it draws for, and serves no other.

    Shapes: those of ``rollout``, with ``shots`` trajectories in the support and ``queries`` in the query set.

    Raises:
        TypeError: the learner's loss is no ``TrajectoryLoss``.
        ValueError: shots or queries below 1; when drawing, a solver of more than one step.

    >>> from mamlbook import GradientDescent, MetaLearner, Model, fit
    >>> from mamlbook.reinforcement import SoftmaxPolicy, TrajectoryLoss, dice, maze, tabular
    >>> model = Model(tabular(3, 2), TrajectoryLoss(SoftmaxPolicy(), dice, baseline=True))
    >>> learner = MetaLearner(model, GradientDescent(alpha=1.0, steps=1))
    >>> source = OnPolicy(learner, maze([[1.0, 0, 0, 0], [0, 0, 0, 1.0]]), shots=10, queries=10)
    >>> len(fit(learner, source, steps=3, tasks=4).losses)
    3
    """

    def __init__(self, learner: MetaLearner, problems: Problems, *, shots: int = 20, queries: int = 20):
        trajectory_loss(learner.model)
        self.learner, self.problems = learner, problems
        self.shots, self.queries = whole_number("shots", shots), whole_number("queries", queries)

    def serves(self, learner: MetaLearner) -> bool:
        """Whether these are the trajectories of that learner."""
        return learner is self.learner

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        """Fresh problems, with fresh trajectories."""
        problems = self.problems.draw(tasks, generator)
        model, solver = self.learner.model, self.learner.solver
        return on_policy(model, solver, problems, self.shots, self.queries, generator)

    def __repr__(self) -> str:
        return f"OnPolicy({self.problems!r}, shots={self.shots}, queries={self.queries})"


def fresh_steps(
    model: Model,
    solver: Solver,
    problems: Problems,
    steps: int,
    shots: int,
    generator: torch.Generator,
    theta: Params | None = None,
) -> Tensor:
    """The mean return of each problem before and after every inner step, each on trajectories of its own.

    phi^{s+1} is one step of the solver on ``shots`` trajectories drawn at phi^s.

    Shapes: the result is (B, steps + 1).
    """
    phi = expand_over_tasks(model.theta, problems.tasks) if theta is None else theta
    returns = []
    for step in range(steps + 1):
        data = rollout(model, phi, problems, shots, generator)
        returns.append(to_go(data.y["reward"])[..., 0].mean(1))
        if step < steps:
            phi = tuple(p.detach() for p in solver(model, data, unroll=0, steps=1, theta=phi).phi)
    return torch.stack(returns, 1)
