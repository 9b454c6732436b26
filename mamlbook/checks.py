"""Numbers that an argument has to be: one clear error each, which names it. NumPy's numbers are numbers, too."""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable
from fractions import Fraction
from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor


def kind_of(thing: Any) -> str:
    """What a message calls the thing: its type, or the class that it is."""
    return f"the class {thing.__name__}" if isinstance(thing, type) else type(thing).__name__


def one_number(name: str, value: Tensor) -> Tensor:
    """A tensor that holds one number, which may be learned.

    Raises:
        ValueError: it holds more, or none.
    """
    if value.numel() != 1:
        raise ValueError(f"{name}: expected one number, got a tensor {tuple(value.shape)}")
    return value


def whole_number(name: str, value: Any, least: int = 1, expected: str = "a whole number", instead: str = "") -> int:
    """The value as an int, if it is a whole number of at least ``least``; ``instead`` says what else would have done.

    Python's, NumPy's and torch's integers are whole numbers. 2.0 is none, and neither is True.

    Raises:
        ValueError: it is not.
    """
    try:
        # An index is what Python itself takes as a whole number. A truth value would do, too, and is a mistake here.
        number = least - 1 if isinstance(_plain(name, value), bool) else operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name}: expected {expected} of at least {least}{instead}, got {value!r}")
    return number


def seed_number(name: str, value: Any) -> int:
    """The value as an int that a generator can begin with.

    Raises:
        ValueError: it is no whole number from 0 to 2^64 - 1.
    """
    seed = whole_number(name, value, least=0)
    if seed >= 2**64:
        raise ValueError(f"{name}: expected a whole number of at most 2^64 - 1, got {seed}; take it modulo 2**64")
    return seed


def non_negative(name: str, meaning: str, value: Any, instead: str = "") -> float:
    """The value as a Python number, if it is finite and not negative; ``instead`` says what else would have done.

    Raises:
        ValueError: it is not, or it is a tensor that waits for a gradient.
    """
    number = _plain(name, value)
    if not (_finite(number) and number >= 0):
        raise ValueError(f"{name}: expected a finite {meaning} of at least 0{instead}, got {value!r}")
    return number


def positive(name: str, meaning: str, value: Any, instead: str = "") -> float:
    """The value as a Python number, if it is finite and above 0; ``instead`` says what else would have done.

    Raises:
        ValueError: it is not, or it is a tensor that waits for a gradient.
    """
    number = _plain(name, value)
    if not (_finite(number) and number > 0):
        raise ValueError(f"{name}: expected a finite {meaning} above 0{instead}, got {value!r}")
    return number


def number_where(name: str, expected: str, holds: Callable[[float], bool], value: Any) -> float:
    """The value as a Python number, if it is one of which the condition holds.

    Raises:
        ValueError: it is not, or it is a tensor that waits for a gradient.
    """
    number = _plain(name, value)
    if not isinstance(number, Real) or isinstance(number, bool) or not holds(float(number)):
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    return number  # type: ignore[return-value]


def several(name: str, expected: str, values: Any) -> tuple:
    """The values as a tuple, if there may be several.

    Raises:
        TypeError: this is no collection, but a single thing.
    """
    try:
        if not isinstance(values, str):
            return tuple(values)
    except TypeError:
        pass
    raise TypeError(f"{name}: expected {expected}, got {values!r}")


def takes(function: Callable, count: int) -> bool:
    """Whether a function can be called with so many arguments; one of another language does not say, and may."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:
        pass
    return True


def _finite(number: Any) -> bool:
    return isinstance(number, Real) and not isinstance(number, bool) and math.isfinite(number)


def _plain(name: str, value: Any) -> Any:
    """NumPy's numbers, what torch and NumPy hold in arrays without axes, and fractions as Python's; else as it is."""
    if isinstance(value, Tensor) and value.requires_grad:
        raise ValueError(
            f"{name}: expected a number, got a tensor that requires a gradient, which none would reach here; "
            f"pass {name}.item(), or let a part of the learner learn it, as LearnedRates learns rates"
        )
    if isinstance(value, Tensor | np.ndarray | np.generic) and value.ndim == 0:
        return value.item()
    return float(value) if isinstance(value, Fraction) else value
