"""A gradient on trial: slopes along random directions, and what they allow to be said."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from statistics import median_low
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mamlbook.analysis.slopes import Slope, slope_at_zero
from mamlbook.numerics import Params, add_scaled, random_like

DIRECTIONS, TRIES = 3, 6
"""So many directions decide, and so many are tried to find that many along which the slope can be told."""

RIGHT, FIRST_ORDER, WRONG, MISSING, CANNOT = "MAML", "FOMAML", "neither", "no gradient", "cannot judge"


class GradientCheck(NamedTuple):
    """Slopes along one random direction v: of the objective itself, of the gradient on trial, and of FOMAML's.

    ``verdict`` is "MAML", "FOMAML" or "neither" of a learner's objective, "gradient of the objective", "FOMAML" or "not
    its gradient" of a plain function; "no gradient" where some of it is missing; and "cannot judge". ``reason`` says
    what stood in the way, or what else was noticed. ``judged_by`` says who computed the objective.
    """

    verdict: str
    finite_difference: float
    gradient: float
    fomaml: float
    reason: str = ""
    judged_by: str = "the network itself"

    def __str__(self) -> str:
        line = f"{self.verdict:11}  slopes: objective {self.finite_difference:+.4f}   this {self.gradient:+.4f}"
        if not math.isnan(self.fomaml):
            line += f"   FOMAML {self.fomaml:+.4f}"
        if self.judged_by.startswith("the learner"):
            line += f"   judged by {self.judged_by}"
        return f"{line}\n{self.reason}" if self.reason else line


class _Along(NamedTuple):
    """The slopes along one direction, FOMAML's nan where it is not known."""

    objective: Slope
    given: float
    first_order: float


class Audit:
    """The trial of the gradients of one objective, a function of tensors like theta that gives one number."""

    def __init__(
        self,
        objective: Callable[[Params], Any],
        theta: Params,
        names: Sequence[str],
        step: float,
        seed: int,
        within: float,
    ):
        self.objective, self.theta, self.names = objective, theta, names
        self.step, self.seed, self.within = step, seed, within
        self.elsewhere: list[float] = []  # what the objective was away from theta

    def judge(self, gradient: Sequence[Tensor | None], first_order: Sequence[Tensor] | None) -> GradientCheck:
        """Name a gradient, in which None stands for a missing part."""
        starts = [self._value(self.theta) for _ in range(3)]
        unusable = _unusable(starts)
        if unusable:
            return GradientCheck(CANNOT, math.nan, math.nan, math.nan, unusable)
        missing = self._missing(gradient, starts[0])
        filled = [torch.zeros_like(t) if g is None else g for g, t in zip(gradient, self.theta, strict=True)]
        noise = 4 * torch.finfo(torch.float64).eps * abs(starts[0]) + max(starts) - min(starts)
        found = self._measured(filled, first_order, starts[0], noise)
        check = GradientCheck("", found[0].objective.value, found[0].given, found[0].first_order)
        if missing:
            reason = f"nothing for {', '.join(missing)}, which the objective uses" if len(missing) < len(filled) else ""
            return check._replace(verdict=MISSING, gradient=math.nan, reason=reason)
        if self._single(starts[0]):
            return check._replace(verdict=CANNOT, reason="the objective is computed in single precision somewhere")
        settled = self._settled(found)
        if len(settled) < DIRECTIONS:
            return check._replace(verdict=CANNOT, reason=self._obstacle(found, noise))
        infinite = [name for name, g in zip(self.names, filled, strict=True) if not g.isfinite().all()]
        reason = f"the gradient is not finite for {', '.join(infinite)}" if infinite else ""
        return check._replace(verdict=self._named(settled), reason=reason)

    def _value(self, point: Params) -> float:
        value = self.objective(
            tuple(p.detach().clone().requires_grad_(t.requires_grad) for p, t in zip(point, self.theta, strict=True))
        )
        if isinstance(value, float | int):  # NumPy's numbers in double precision are floats
            return float(value)
        if not isinstance(value, Tensor):
            raise TypeError(f"objective: expected one number in double precision, got {type(value).__name__}")
        if value.numel() != 1 or value.dtype != torch.float64:
            raise ValueError(
                f"objective: expected one number in double precision, got {value.dtype} of shape {tuple(value.shape)}"
            )
        return value.item()

    def _moved(self, direction: Params, distance: float) -> float:
        self.elsewhere.append(self._value(add_scaled(self.theta, distance, direction)))
        return self.elsewhere[-1]

    def _directions(self) -> Iterator[Params]:
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            yield random_like(self.theta, generator)

    def _missing(self, gradient: Sequence[Tensor | None], start: float) -> list[str]:
        """The weights without a gradient, if the objective changes with any of them."""
        absent = [g is None for g in gradient]
        if not any(absent):
            return []
        direction = next(self._directions())
        direction = tuple(v if none else torch.zeros_like(v) for v, none in zip(direction, absent, strict=True))
        if all(self._moved(direction, sign * self.step) == start for sign in (1, -1)):
            return []
        return [name for name, none in zip(self.names, absent, strict=True) if none]

    def _single(self, start: float) -> bool:
        """Whether the objective changes, but only from one number of single precision to another."""
        values = torch.tensor(self.elsewhere, dtype=torch.float64)
        return bool((values != start).any() and (values == values.float()).all())

    def _measured(self, gradient, first_order, start: float, noise: float) -> list[_Along]:
        found: list[_Along] = []
        for v in islice(self._directions(), TRIES):
            slope = slope_at_zero(partial(self._moved, v), start, noise, self.step, self.within / 10)
            found.append(_Along(slope, _dot(gradient, v), _dot(first_order, v) if first_order else math.nan))
            if len(self._settled(found)) >= DIRECTIONS:
                break
        return found

    def _scale(self, found: list[_Along]) -> float:
        """How large the slopes are: a median, as one that jumps is no measure."""
        return median_low(
            [abs(along.objective.value) for along in found if math.isfinite(along.objective.value)] or [0]
        )

    def _settled(self, found: list[_Along]) -> list[_Along]:
        """The directions along which the slope of the objective is known well enough to tell gradients apart."""
        allowed = self.within * self._scale(found)
        return [along for along in found if allowed > 0 and along.objective.error <= allowed]

    def _named(self, found: list[_Along]) -> str:
        for verdict, expected in (
            (RIGHT, [along.objective.value for along in found]),
            (FIRST_ORDER, [along.first_order for along in found]),
        ):
            allowed = self.within * median_low(map(abs, expected))
            if all(abs(along.given - slope) <= allowed for along, slope in zip(found, expected, strict=True)):
                return verdict
        return WRONG

    def _obstacle(self, found: list[_Along], noise: float) -> str:
        """Why the slope of the objective could not be told."""
        slopes, scale = [along.objective for along in found], self._scale(found)
        if self.within * scale < noise / self.step:
            return (
                f"the objective is flat: its slopes, about {scale:.1e}, drown in the rounding of its value; judge at "
                "other weights, and see that it uses the tensors that it is given"
            )
        if all(slope.kink > slope.error / 2 for slope in slopes):
            return (
                "the objective has a kink at these weights: its slopes ahead and behind differ, as those of a ReLU at "
                "zero or of a maximum of equals do; move the weights off it, or take a smooth activation"
            )
        return (
            f"the finite differences do not settle as the step shrinks from {self.step:g}: there are kinks or jumps "
            "nearby (ReLU, max-pooling), or much rounding; try another seed or weights, or a smooth activation"
        )


def _unusable(starts: list[float]) -> str:
    if not all(map(math.isfinite, starts)):
        return f"the objective is {starts[0]} at these weights"
    if max(starts) - min(starts) > 1e-12 * abs(starts[0]):
        return (
            f"the objective is random: at the same weights it was {min(starts):.6g} and {max(starts):.6g}; switch off "
            "what is random, as learner.eval() does with dropout, or fix the seed inside the objective"
        )
    return ""


def _dot(gradient: Sequence[Tensor], direction: Params) -> float:
    return sum((g.detach().to(v) * v).sum().item() for g, v in zip(gradient, direction, strict=True))
