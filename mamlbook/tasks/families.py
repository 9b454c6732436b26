"""Regression tasks besides the sine wave, mixtures, and drift: how alike tasks are, and stay, becomes a choice."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from mamlbook.checks import kind_of, number_where, several
from mamlbook.devices import on_cpu
from mamlbook.tasks.base import Data, Tasks, concatenated, shape_of
from mamlbook.tasks.distribution import TaskDistribution, require_draw
from mamlbook.tasks.sinusoid import require_intervals, split, uniform


@dataclass(frozen=True)
class Lines:
    """y = m x + c, with the slope m and the intercept c uniform; support and query are points of the same line.

    With the default intervals the mean square of y is about that of ``Sinusoids``, 4.2.

    Shapes: x and y are (B, shots, 1) in the support and (B, queries, 1) in the query set.

    Raises:
        ValueError: shots or queries below 1, or an interval whose ends are in the wrong order.
    """

    shots: int = 10
    queries: int = 10
    slope: tuple[float, float] = (-1.0, 1.0)
    intercept: tuple[float, float] = (-2.0, 2.0)
    domain: tuple[float, float] = (-5.0, 5.0)

    def __post_init__(self) -> None:
        require_intervals(self, "slope", "intercept", "domain")

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        require_draw(tasks, generator)
        slope = uniform(self.slope, (tasks, 1, 1), generator)
        intercept = uniform(self.intercept, (tasks, 1, 1), generator)
        x = uniform(self.domain, (tasks, self.shots + self.queries, 1), generator)
        return split(x, slope * x + intercept, self.shots)


@dataclass(frozen=True)
class SquareWaves:
    """y = A sign(sin(x - p)), with A and p uniform: the corners that a sine wave of the same phase has rounded off.

    With the default intervals the mean square of y is about that of ``Sinusoids``, 4.2.

    Shapes: x and y are (B, shots, 1) in the support and (B, queries, 1) in the query set.

    Raises:
        ValueError: shots or queries below 1, or an interval whose ends are in the wrong order.
    """

    shots: int = 10
    queries: int = 10
    amplitude: tuple[float, float] = (0.1, 3.5)
    phase: tuple[float, float] = (0.0, math.pi)
    domain: tuple[float, float] = (-5.0, 5.0)

    def __post_init__(self) -> None:
        require_intervals(self, "amplitude", "phase", "domain")

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        require_draw(tasks, generator)
        amplitude = uniform(self.amplitude, (tasks, 1, 1), generator)
        phase = uniform(self.phase, (tasks, 1, 1), generator)
        x = uniform(self.domain, (tasks, self.shots + self.queries, 1), generator)
        return split(x, amplitude * torch.sign(torch.sin(x - phase)), self.shots)


class Signs:
    """Two classes from a family of curves: is the curve above zero?

    Shapes: x is that of the curves, and y (B, shots) or (B, queries), 1 above zero and 0 elsewhere.
    """

    def __init__(self, curves: TaskDistribution):
        self.curves = curves

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        support, query, index = self.curves.draw(tasks, generator)
        support, query = (Data(d.x, (d.y[..., 0] > 0).long()) for d in (support, query))
        return Tasks(support, query, index)

    def __repr__(self) -> str:
        return f"Signs({self.curves!r})"


class Mixture:
    """Every task comes from one of several distributions, chosen with given probabilities.

    P(task b is drawn from distributions[i]) = shares[i] / sum(shares), independently for every task.

    Shapes: those of the distributions, which have to agree.

    Raises:
        TypeError: these are no distributions, or no list of shares.
        ValueError: as many shares as distributions are needed, none negative and not all zero; and when drawing, a
            distribution that is a finite collection, or whose tasks have other shapes.
    """

    def __init__(self, distributions: Sequence[TaskDistribution], shares: Sequence[float] | None = None):
        self.distributions = several("distributions", "a list of distributions", distributions)
        strange = [each for each in self.distributions if not callable(getattr(each, "draw", None))]
        if strange:
            raise TypeError(
                f"distributions: expected objects with draw(tasks, generator), got {kind_of(strange[0])} among them"
            )
        shares = (1.0,) * len(self.distributions) if shares is None else several("shares", "a list of numbers", shares)
        wanted = "numbers of at least 0 and not all 0"
        self.shares = tuple(number_where("shares", wanted, lambda s: 0 <= s < math.inf, share) for share in shares)
        if not self.distributions or len(self.shares) != len(self.distributions):
            raise ValueError(
                f"shares: expected one for each of at least one distribution, got {len(self.shares)} shares "
                f"for {len(self.distributions)} distributions"
            )
        if not sum(self.shares) > 0:
            raise ValueError(f"shares: expected {wanted}, got {self.shares}")

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        require_draw(tasks, generator)
        chosen = torch.multinomial(
            torch.tensor(self.shares, dtype=torch.float64), tasks, replacement=True, generator=generator
        )
        counts = chosen.bincount(minlength=len(self.distributions)).tolist()
        drawn = [
            self._part(distribution, count, generator)
            for distribution, count in zip(self.distributions, counts, strict=True)
            if count
        ]
        shapes = {shape_of(part) for part in drawn}
        if len(shapes) > 1:
            listed = sorted(str([shape for shape, _ in leaves]) for _, leaves in shapes)
            raise ValueError(
                f"distributions: expected tasks of one shape and one type, got {' and '.join(listed)}; give all the "
                "same shots"
            )
        # The parts lie one behind the other: give every task its own place among the choices back.
        place = chosen.argsort(stable=True).argsort()
        return concatenated(drawn).pick(place)

    @staticmethod
    def _part(distribution: TaskDistribution, count: int, generator: torch.Generator) -> Tasks:
        part = distribution.draw(count, generator)
        if part.size != count or (part.index is not None and (part.index >= 0).any()):
            raise ValueError(
                f"distributions: expected ones that never run out of tasks, got {distribution!r}, a finite collection; "
                "the numbers of its tasks would mean nothing in the mixture"
            )
        return part

    def __repr__(self) -> str:
        parts = (
            f"{share:g} {distribution!r}" for share, distribution in zip(self.shares, self.distributions, strict=True)
        )
        return f"Mixture({', '.join(parts)})"


class DriftingTasks:
    """A distribution that changes while meta-training runs: the tasks of draw t = 1, 2, ... come from at(t).

    ``drawn`` counts the draws so far and ``now`` is the distribution of the last one, on which a start that has been
    trained is to be tested.
    """

    def __init__(self, at: Callable[[int], TaskDistribution]):
        self.at = at
        self.drawn = 0

    @property
    def now(self) -> TaskDistribution:
        """The distribution of the last draw, or of step 0 before any."""
        return self.at(self.drawn)

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        self.drawn += 1
        return self.now.draw(tasks, generator)

    def state_dict(self) -> dict[str, int]:
        """How many draws there were, for a checkpoint of a training."""
        return {"drawn": self.drawn}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Go on from there."""
        self.drawn = state_dict["drawn"]

    def __repr__(self) -> str:
        return f"DriftingTasks(from {self.at(0)!r})"
