"""What a page needs besides the package: a claim that can fail, and the real source of what it talks about."""

from __future__ import annotations

import ast
import html
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from mamlbook.evaluation import confidence


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
    held = []  # each bound in words, whether it holds, and whether it holds a hundred times over
    if equals is not None:
        distance = abs(number - equals)
        held.append((f"{equals:g} within {within:g}", distance <= within, distance * 100 < within))
    if below is not None:
        held.append((f"below {below:g}", number < below, abs(number) * 100 < below))
    if above is not None:
        held.append((f"above {above:g}", number > above, False))
    words = " and ".join(text for text, *_ in held)
    # Comparisons with nan are false, which is what a claim about nan should be.
    if not (all(holds for _, holds, _ in held) if held else number) or number != number:
        raise CheckFailed(f"✗ {claim}: expected {words or 'true'}, got {number}")
    if held and not any(amply for *_, amply in held):
        words = f"{number:.3g} ({words})"
    print(f"✓ {claim}: {words}" if held else f"✓ {claim}")


def attempt(claim: str, answer: Any, judge: Callable[[Any], Any] = lambda answer: answer, **bounds: float) -> None:
    """Judge a reader's answer to an exercise by the same bounds as ``check``, without raising.

    ``judge`` turns the answer into the number that is held against the bounds, so that a cell can test an answer
    without giving it away. An answer that is still ``None`` or ``...`` is the reader's turn.

    >>> attempt("the root of x^2 - 2", ..., lambda x: x * x - 2, equals=0, within=1e-6)
    … the root of x^2 - 2: your turn
    """
    if answer is None or answer is Ellipsis:
        print(f"… {claim}: your turn")
        return
    try:
        check(claim, judge(answer), **bounds)
    except CheckFailed:
        print(f"✗ {claim}: not yet")
    except Exception as error:  # whatever a reader's answer makes of the judge, it is an answer and not a crash
        print(f"✗ {claim}: not yet ({type(error).__name__}: {error})")


def show(*objects: Any) -> Any:
    """The source of classes and functions as they run, docstrings left out, as one highlighted block.

    Returns: an object that Jupyter displays.
    """
    from IPython.display import Markdown  # only a notebook has it

    return Markdown("```python\n" + "\n\n".join(source(thing) for thing in objects) + "\n```")


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """A table of text and numbers, as an object that Jupyter displays.

    Raises:
        ValueError: a row has not one cell for each column.
    """
    from IPython.display import HTML  # only a notebook has it

    lines = [_line("th", header)]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"rows: expected {len(header)} cells in each, as in {list(header)}, got {list(row)}")
        lines.append(_line("td", row))
    head, body = lines[0], "\n".join(lines[1:])
    return HTML(f'<table class="table">\n<thead>\n{head}\n</thead>\n<tbody>\n{body}\n</tbody>\n</table>')


def _line(tag: str, cells: Sequence[Any]) -> str:
    return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"


def intervals(values: Mapping[str, Mapping[str, Tensor]], digits: int = 3) -> Any:
    """A table of means over seeds with their 95 % intervals, as ``confidence`` gives them, for Jupyter to display.

    Shapes: ``values[row][column]`` is (seeds,); every row has the columns of the first.

    Raises:
        ValueError: the rows have different columns.
    """
    columns = list(next(iter(values.values())))
    if any(list(row) != columns for row in values.values()):
        raise ValueError(
            f"values: expected the columns {columns} in every row, got {[list(v) for v in values.values()]}"
        )
    pairs = {row: [confidence(seeds) for seeds in cells.values()] for row, cells in values.items()}
    lines = ([row, *(f"{mean:.{digits}f} ± {half:.{digits}f}" for mean, half in cells)] for row, cells in pairs.items())
    return table(["", *columns], lines)


def source(thing: Any) -> str:
    """The source text of a class or function without docstrings."""
    text = textwrap.dedent(inspect.getsource(thing))
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            # The blank line after a docstring goes with it.
            last = docstring.end_lineno + (lines[docstring.end_lineno : docstring.end_lineno + 1] == [""])
            lines[docstring.lineno - 1 : last] = [None] * (last - docstring.lineno + 1)
    return "\n".join(line for line in lines if line is not None).rstrip()
