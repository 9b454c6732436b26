"""What a page claims: a check that can fail, and an exercise that is judged by the same bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor


class CheckFailed(AssertionError):
    """A claim of the book did not hold; the message carries the number that refutes it."""


def check(
    claim: str,
    value: Any,
    *,
    equals: float | None = None,
    within: float | None = None,
    below: float | None = None,
    above: float | None = None,
) -> None:
    """Hold a claim against its number: print one line if it is true, raise if it is false.

    The line has the number, to three digits, and the bound. A number that is only the rounding of another machine away
    from being right, a hundred times closer than its bound asks, is not printed. A bare ``value`` must be true;
    ``equals`` needs ``within``; ``below`` and ``above`` may be combined.

    Raises:
        CheckFailed: the claim is false; the message has the number.
        ValueError: the bounds do not make a claim.

    >>> check("one step halves the error", 0.49, below=0.5)
    ✓ one step halves the error: 0.49 (below 0.5)
    >>> check("two ways to compute it agree", 3e-16, below=1e-12)
    ✓ two ways to compute it agree: below 1e-12
    """
    if (equals is None) != (within is None):
        raise ValueError("equals, within: expected both or neither; a number is only equal within something")
    number = value.item() if isinstance(value, Tensor) else value
    held = []  # of each bound, whether it holds, and whether it holds a hundred times over
    if equals is not None:
        distance = abs(number - equals)
        held.append((distance <= within, distance * 100 < within))
    if below is not None:
        held.append((number < below, abs(number) * 100 < below))
    if above is not None:
        held.append((number > above, False))
    words = bounds_in_words(equals, within, below, above)
    # Comparisons with nan are false, which is what a claim about nan should be.
    if not (all(holds for holds, _ in held) if held else number) or number != number:
        raise CheckFailed(f"✗ {claim}: expected {words or 'true'}, got {number}")
    if held and not any(amply for _, amply in held):
        words = f"{number:.3g} ({words})"
    print(f"✓ {claim}: {words}" if held else f"✓ {claim}")


def bounds_in_words(
    equals: float | None = None, within: float | None = None, below: float | None = None, above: float | None = None
) -> str:
    """What the bounds of a claim ask of its number; nothing, if there are none.

    >>> bounds_in_words(below=0.9, above=0.1)
    'below 0.9 and above 0.1'
    """
    words = [f"{equals:g} within {within:g}"] if equals is not None else []
    words += [f"below {below:g}"] if below is not None else []
    words += [f"above {above:g}"] if above is not None else []
    return " and ".join(words)


def attempt(claim: str, answer: Any, judge: Callable[[Any], Any] = lambda answer: answer, **bounds: float) -> None:
    """Judge a reader's answer to an exercise by the same bounds as ``check``, without raising.

    ``judge`` turns the answer into the number that is held against the bounds, so that a cell can test an answer
    without giving it away. An answer that is still ``None`` or ``...`` is the reader's turn.
    A whole number that was computed, such as 10 / 2, is judged as the whole number 5. A nan is never right, alone or
    among several numbers.

    >>> attempt("the root of x^2 - 2", ..., lambda x: x * x - 2, equals=0, within=1e-6)
    … the root of x^2 - 2: your turn
    """
    if answer is None or answer is Ellipsis:
        print(f"… {claim}: your turn")
        return
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)
    numbers = answer if isinstance(answer, tuple | list) else (answer,)
    if any(isinstance(number, float) and math.isnan(number) for number in numbers):
        print(f"✗ {claim}: not yet")
        return
    try:
        check(claim, judge(answer), **bounds)
    except CheckFailed:
        print(f"✗ {claim}: not yet")
    except Exception as error:  # whatever a reader's answer makes of the judge, it is an answer and not a crash
        print(f"✗ {claim}: not yet ({type(error).__name__}: {error})")
