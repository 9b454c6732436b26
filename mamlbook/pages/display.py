"""What a page shows besides pictures: the real source of what it talks about, and tables."""

from __future__ import annotations

import ast
import html
import inspect
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from mamlbook.evaluation import confidence


def show(*objects: Any, folded: bool = False) -> Any:
    """The source of classes and functions as they run, docstrings left out, as one highlighted block.

    ``folded`` leaves a line to click on, in every viewer.

    Returns: an object that Jupyter displays.
    """
    from IPython.display import Markdown  # only a notebook has it

    block = "```python\n" + "\n\n".join(source(thing) for thing in objects) + "\n```"
    return Markdown(f"<details><summary>Show the source</summary>\n\n{block}\n\n</details>" if folded else block)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Any:
    """A table of text and numbers, as an object that Jupyter displays. A column without a header names the rows.

    Raises:
        ValueError: a row has not one cell for each column.
    """
    from IPython.display import HTML  # only a notebook has it

    lines = [list(header)]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"rows: expected {len(header)} cells in each, as in {list(header)}, got {list(row)}")
        lines.append([str(cell) for cell in row])
    # Notebooks put everything to the right, which is where columns of numbers belong, and those of words do not.
    columns = zip(*lines[1:], strict=True) if lines[1:] else [()] * len(header)
    numbers = [2 * sum(bool(_NUMBER.match(cell)) for cell in column) > len(column) for column in columns]
    words = [not (title and number) for title, number in zip(header, numbers, strict=True)]
    head, *body = (_line(tag, line, words) for tag, line in zip(["th", *["td"] * len(lines)], lines, strict=False))
    return HTML(f'<table class="table">\n<thead>\n{head}\n</thead>\n<tbody>\n{chr(10).join(body)}\n</tbody>\n</table>')


_NUMBER = re.compile(r"[-−+±<>≈]?\s?\d|[–—-]?$|nan|-?inf")
"""How a cell begins that holds a number, or nothing."""


def _line(tag: str, cells: Sequence[str], words: Sequence[bool]) -> str:
    styles = (' style="text-align: left"' if of_words else "" for of_words in words)
    parts = (f"<{tag}{style}>{html.escape(cell)}</{tag}>" for cell, style in zip(cells, styles, strict=True))
    return "<tr>" + "".join(parts) + "</tr>"


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
    lines: list[str | None] = [*text.splitlines()]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            assert docstring.end_lineno is not None  # what is parsed from a text has one
            # The blank line after a docstring goes with it.
            last = docstring.end_lineno + (lines[docstring.end_lineno : docstring.end_lineno + 1] == [""])
            lines[docstring.lineno - 1 : last] = [None] * (last - docstring.lineno + 1)
    return "\n".join(line for line in lines if line is not None).rstrip()
