"""Numbers that an argument has to be: one clear error each, which names it."""

from __future__ import annotations

import math


def whole_number(name: str, value: int, least: int = 1, expected: str = "a whole number", instead: str = "") -> int:
    """The value, if it is a whole number of at least ``least``; ``instead`` says what else would have done.

    Raises:
        ValueError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: expected {expected} of at least {least}{instead}, got {value!r}")
    return value


def non_negative(name: str, meaning: str, value: float) -> float:
    """The value, if it is finite and not negative.

    Raises:
        ValueError: it is not.
    """
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"{name}: expected a finite {meaning} of at least 0, got {value}")
    return value


def positive(name: str, meaning: str, value: float, instead: str = "") -> float:
    """The value, if it is finite and above 0; ``instead`` says what else would have done.

    Raises:
        ValueError: it is not.
    """
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name}: expected a finite {meaning} above 0{instead}, got {value}")
    return value
