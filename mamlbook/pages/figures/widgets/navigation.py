"""The figure of the plane: policies from two starts learn, in the page, the way to a goal that the reader moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mamlbook.inner import GradientDescent
from mamlbook.model import Model
from mamlbook.networks import mlp
from mamlbook.numerics import expand_over_tasks
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture
from mamlbook.reinforcement import GaussianPolicy, Navigation, TrajectoryLoss, naive, rollout, to_go
from mamlbook.stored import load_theta

NAMES = {"maml": "meta-learned", "joint": "jointly trained"}
STEPS, SHOTS, HORIZON, STD = 3, 20, 10, 0.1
SIZE = 2**32


def plane_navigation(
    starts: Mapping[str, Sequence[Tensor]],
    alpha: Mapping[str, float],
    *,
    goal: Sequence[float] = (0.4, 0.3),
    steps: int = 1,
    seed: int = 0,
    title: str = "A goal that the policy is not told: move it",
    caption: str | None = None,
) -> Widget:
    """The figure in which Gaussian policies adapt to a goal in the plane by policy gradients, live.

    ``starts`` maps a role (maml, joint) to the six parameters of a 2-H-H-2 network with tanh in PyTorch's order, and
    ``alpha`` the role to its rate. Every step is taken on 20 trajectories of 10 decisions, drawn at the weights of that
    moment with the width 0.1, less the mean of the others as a baseline. The noise follows from ``seed``, and is the
    same for all starts. ``goal`` in [-0.5, 0.5]^2 and ``steps`` of 0 to 3 are the first picture.

    Raises:
        ValueError: an unknown role, starts and rates of different roles, parameters of another shape, or a first
            picture out of range.
    """
    if not starts or not set(starts) <= set(NAMES) or set(starts) != set(alpha):
        raise ValueError(
            f"starts, alpha: expected both for the same of {', '.join(NAMES)}, got {', '.join(starts) or 'none'} and "
            f"{', '.join(alpha) or 'none'}"
        )
    if len(goal) != 2 or not all(abs(place) <= 0.5 for place in goal):
        raise ValueError(f"goal: expected two numbers from -0.5 to 0.5, got {tuple(goal)}")
    if steps not in range(STEPS + 1):
        raise ValueError(f"steps: expected a whole number from 0 to {STEPS}, got {steps}")
    data: dict[str, Any] = {
        "starts": {name: _flat(name, parameters) for name, parameters in starts.items()},
        "alpha": {name: float(alpha[name]) for name in starts},
        "setting": {"steps": STEPS, "shots": SHOTS, "horizon": HORIZON, "std": STD},
        "first": {"goal": [float(place) for place in goal], "steps": int(steps), "seed": int(seed)},
    }
    found = {name: navigated(data["starts"][name], data["alpha"][name], goal, seed)[steps] for name in starts}
    if caption is None:
        caption = (
            "Both policies see where the point is, and never the goal. Each step follows the policy gradient of "
            f"{SHOTS} drawn trajectories, thin, whose reward is minus the distance to the goal; the bold path is the "
            "policy's own, without noise. The two policies differ in their starting weights and in the rate that was "
            "found best for each."
        )
    return widget("navigation", data, title=title, alt=_alt(data, found), fallback=_still(data, found), caption=caption)


class Reached(NamedTuple):
    """After some steps: the weights, the mean return of the trajectories drawn at them, and the path without noise."""

    phi: tuple[Tensor, ...]
    earned: float
    path: Tensor


def navigated(start: Sequence[Any], alpha: float, goal: Sequence[float], seed: int) -> list[Reached]:
    """What the figure shows after 0, 1, ... steps, by the package, in float64."""
    width = len(start[1])
    net = mlp(2, width, width, 2, activation=nn.Tanh).double()
    shapes = [tuple(p.shape) for p in net.parameters()]
    theta = [torch.as_tensor(p, dtype=torch.float64).reshape(s) for p, s in zip(start, shapes, strict=True)]
    policy = _Replayed(normals(seed, (STEPS + 1) * SHOTS * HORIZON * 2).reshape(STEPS + 1, SHOTS, HORIZON, 2))
    model = Model(load_theta(net, tuple(theta)), TrajectoryLoss(policy, naive, baseline=True))
    problems = Navigation(torch.tensor([list(goal)], dtype=torch.float64), horizon=HORIZON)
    phi, generator, reached = expand_over_tasks(model.theta, 1), torch.Generator(), []
    for step in range(STEPS + 1):
        policy.begin(step)
        data = rollout(model, phi, problems, SHOTS, generator)
        policy.begin(None)
        path = rollout(model, phi, problems, 1, generator).x[0, 0]
        reached.append(Reached(tuple(p[0].detach() for p in phi), to_go(data.y["reward"])[..., 0].mean().item(), path))
        phi = GradientDescent(alpha, 1)(model, data, unroll=0, theta=phi).phi
    return reached


class _Replayed(GaussianPolicy):
    """Gaussian actions from given noise, (steps, K, T, 2), or without any."""

    def __init__(self, noise: Tensor):
        super().__init__(STD)
        self.noise, self.time = noise, 0
        self.step: int | None = 0

    def begin(self, step: int | None) -> None:
        """Trajectories of that step begin."""
        self.step, self.time = step, 0

    def sample(self, y_hat: Tensor, generator: torch.Generator) -> Tensor:
        """An action for every place."""
        if self.step is None:
            return y_hat
        self.time += 1
        return y_hat + self.std * self.noise[self.step, :, self.time - 1]


def normals(seed: int, count: int) -> Tensor:
    """Normal numbers as the figure draws them: uniform ones by Mulberry32, turned into pairs by Box and Muller."""
    state, uniform = seed % SIZE, []
    for _ in range(count):
        state = (state + 0x6D2B79F5) % SIZE
        t = (state ^ (state >> 15)) * (state | 1) % SIZE
        t = ((t + (t ^ (t >> 7)) * (t | 61)) % SIZE) ^ t
        uniform.append((t ^ (t >> 14)) / SIZE)
    pairs = torch.tensor(uniform, dtype=torch.float64).view(-1, 2)
    radius, turn = (-2 * (1 - pairs[:, 0]).log()).sqrt(), 2 * math.pi * pairs[:, 1]
    return torch.stack([radius * turn.cos(), radius * turn.sin()], 1).flatten()


def _flat(name: str, parameters: Sequence[Tensor]) -> list[list[float]]:
    """Six flat lists of numbers, each the shortest decimal that names its float32."""
    shapes = [tuple(p.shape) for p in parameters]
    width = shapes[1][0] if len(shapes) == 6 and len(shapes[1]) == 1 else 0
    expected = [(width, 2), (width,), (width, width), (width,), (2, width), (2,)]
    if shapes != expected:
        raise ValueError(
            f"starts[{name!r}]: expected the six parameters of a 2-H-H-2 network, as (H, 2), (H,), (H, H), (H,), "
            f"(2, H), (2,), got {shapes}"
        )
    arrays = (p.detach().cpu().numpy().astype(np.float32).ravel() for p in parameters)
    return [[float(str(value)) for value in array] for array in arrays]


def _alt(data: dict[str, Any], found: Mapping[str, Reached]) -> str:
    goal, steps = data["first"]["goal"], data["first"]["steps"]
    returns = " and ".join(f"{reached.earned:.1f} from the {NAMES[name]} start" for name, reached in found.items())
    return (
        f"A plane with the origin, a goal at {goal[0]:g}, {goal[1]:g} and the paths of policies after {steps} "
        f"policy-gradient step{'' if steps == 1 else 's'}. Their mean returns are {returns}."
    )


def _still(data: dict[str, Any], found: Mapping[str, Reached]) -> str:
    """The first picture."""
    ticks = (-0.5, 0, 0.5)
    # One scale on both axes: the panel is 624 pixels wide between its margins.
    panel = Panel((-1, 1), (-0.6, 0.6), ticks, ticks, "second coordinate", 48 + round(624 * 0.6))
    for name, reached in reversed([*found.items()]):
        panel.curves.append((name, reached.path[:, 0].tolist(), reached.path[:, 1].tolist()))
    panel.points.append(("support", *data["first"]["goal"]))
    names = {name: f"{NAMES[name]} start, path" for name in found}
    return still_picture([panel], {**names, "support": "goal"}, "first coordinate")
