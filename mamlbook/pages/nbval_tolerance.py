"""Let nbval compare the numbers of a tagged cell with a tolerance.

A cell tagged `nbval-rtol:1e-2` passes when the text around its numbers is the same (spaces apart: columns move), its
integers are the same, and each float is within 1 % of the stored one or one step of its last printed digit away.
Nothing is forgiven near zero unless the cell says so itself, with a second tag `nbval-atol:1e-12`. Cells without a
tag are compared exactly.

It is a plug-in of pytest: `python -m pytest --nbval -p mamlbook.pages.nbval_tolerance`. The outermost conftest.py
may name it in `pytest_plugins` instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

try:
    from nbval.plugin import IPyNbCell
except ImportError:  # a machine that only runs the package's own tests
    IPyNbCell = None

NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?|(?<!\w)[-+]?(?:nan|inf)\b")
TAG = re.compile(r"nbval-(rtol|atol):(\S+)")


def printed_step(number: str) -> float:
    """Give the step of the last printed digit, for numbers that show at least two significant digits and a fraction."""
    mantissa, _, exponent = number.lower().lstrip("+-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    if not fraction or len((whole + fraction).lstrip("0")) < 2:
        return 0.0
    return 10.0 ** (int(exponent or 0) - len(fraction))


def near(stored: str, new: str, rtol: float, atol: float) -> bool:
    """Whether two printed numbers agree; rounding in the same last printed digit never decides."""
    if stored == new:
        return True
    if stored.lstrip("+-").isdigit() or new.lstrip("+-").isdigit():
        return False
    rounding = printed_step(stored) if printed_step(stored) == printed_step(new) else 0.0
    a, b = float(stored), float(new)
    return math.isclose(a, b, rel_tol=rtol, abs_tol=max(atol, 1.001 * rounding))


def words(output: str) -> str:
    """Give an output without its numbers and its spaces."""
    return "".join(NUMBER.sub("\0", output).split())


def agree(stored: str, new: str, rtol: float, atol: float = 0.0) -> bool:
    """Whether two outputs have the same text and near numbers."""
    if words(stored) != words(new):
        return False
    return all(near(a, b, rtol, atol) for a, b in zip(NUMBER.findall(stored), NUMBER.findall(new), strict=True))


class Near(str):
    """A text whose comparison allows for rounding."""

    rtol = atol = 0.0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and agree(self, other, self.rtol, self.atol)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def tolerances(tags: list[str]) -> dict[str, float]:
    """Read the tolerances among a cell's tags."""
    return {match[1]: float(match[2]) for tag in tags if (match := TAG.fullmatch(tag))}


def with_tolerance(sanitize: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Wrap nbval's `sanitize`, which sees every text just before it is compared."""

    def wrapped(self: Any, text: Any) -> Any:
        text = sanitize(self, text)
        found = tolerances(self.cell.metadata.get("tags", []))
        if isinstance(text, str) and found:
            text = Near(text)
            text.__dict__.update(found)
        return text

    return wrapped


if IPyNbCell is not None:
    IPyNbCell.sanitize = with_tolerance(IPyNbCell.sanitize)
