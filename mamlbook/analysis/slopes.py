"""The slope of a function of one number by finite differences, and how far it is to be trusted."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

STEPS = 8
"""How many steps are tried, each a quarter of the one before."""


class Slope(NamedTuple):
    """f'(0), how far off it may be, and by how much the slopes on both sides of 0 seem to differ."""

    value: float
    error: float
    kink: float


class _Difference(NamedTuple):
    """At one step h: (f(h) - f(-h)) / 2h, and (f(h) - 2 f(0) + f(-h)) / h, the difference of the two one-sided slopes.

    For a smooth f the first is f'(0) + O(h^2) and the second h f''(0) + O(h^3); at a kink the second has a limit.
    """

    step: float
    central: float
    sides: float


def slope_at_zero(f: Callable[[float], float], start: float, noise: float, step: float, enough: float) -> Slope:
    """f'(0) from central differences at the steps h, h/4, h/16, ..., extrapolated to h = 0.

    R_k = (16 D_k - D_{k-1}) / 15 with D_k = f'(0) + c h_k^2 + O(h_k^4). The error is the largest of |R_k - R_{k-1}|,
    |R_k - D_k| and what is left of the kink, and the rounding ``noise`` of f over h_k. The R_k of the smallest error
    counts; one whose error is below ``enough`` times its size ends the search. ``start`` is f(0).

    Steps at which f is not finite are passed over, and so are those that are too small to change it.
    """
    best, changed = Slope(math.nan, math.inf, 0.0), False
    kept: list[_Difference] = []
    for h in (step / 4**k for k in range(STEPS)):
        ahead, behind = f(h), f(-h)
        changed |= not ahead == behind == start
        if not math.isfinite(ahead - behind) or ahead == behind == start:
            kept = []
            continue
        kept = [*kept[-2:], _Difference(h, (ahead - behind) / (2 * h), (ahead - 2 * start + behind) / h)]
        if len(kept) == 3:
            best = min(best, _extrapolated(kept, noise), key=lambda slope: slope.error)
            if best.error <= enough * abs(best.value):
                break
    return best if changed else Slope(0.0, 0.0, 0.0)


def _extrapolated(three: list[_Difference], noise: float) -> Slope:
    before, value = ((16 * fine.central - coarse.central) / 15 for coarse, fine in pairwise(three))
    coarse, fine = three[1:]
    kink = abs(4 * fine.sides - coarse.sides) / 3
    error = max(abs(value - before), abs(value - fine.central), kink) + noise / fine.step
    return Slope(value, error, kink)
