"""The guide to the field: a few questions, one after the other, and at the end the rows to try first."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.guide import FIRST, GUIDE, End, Question
from mamlbook.pages.sections import PLACES, SECTIONS


def algorithm_guide(folder: str = "practice", title: str = "Which algorithm for your problem?") -> Widget:
    """The questions of ``pages.guide`` to click through, for a page in this folder of the book.

    The still form lists every question with all its answers.
    """
    data = {"first": FIRST, "nodes": {name: _node(node, folder) for name, node in GUIDE.items()}}
    return widget("guide", data, title=title, alt=None, fallback=_still(folder))


def _node(node: Question | End, folder: str) -> dict[str, Any]:
    if isinstance(node, Question):
        return {"words": node.words, "hint": node.hint, "answers": list(map(list, node.answers.items()))}
    return {"words": node.words, "links": _links(node, folder)}


def _links(end: End, folder: str) -> list[list[str]]:
    """The words, the address and the reason of each suggestion."""
    known: list[tuple[Mapping[str, str], Mapping]] = [(end.rows, SECTIONS), (end.places, PLACES)]
    return [[name, table[name].address(folder), why] for names, table in known for name, why in names.items()]


def _still(folder: str) -> str:
    """Every question with its answers, numbered in the order in which answers lead to them."""
    order = [FIRST]
    for name in order:
        node = GUIDE[name]
        targets = node.answers.values() if isinstance(node, Question) else ()
        order += [to for to in dict.fromkeys(targets) if to not in order and isinstance(GUIDE[to], Question)]
    numbers = {name: number for number, name in enumerate(order, 1)}
    return "<ol>" + "".join(f"<li>{_asked(GUIDE[name], numbers, folder)}</li>" for name in order) + "</ol>"


def _asked(node: Question | End, numbers: Mapping[str, int], folder: str) -> str:
    assert isinstance(node, Question)
    lines = (f"<li>{escape(words)}: {_leads(to, numbers, folder)}</li>" for words, to in node.answers.items())
    return f"<p><strong>{escape(node.words)}</strong> {escape(node.hint)}</p><ul>{''.join(lines)}</ul>"


def _leads(name: str, numbers: Mapping[str, int], folder: str) -> str:
    node = GUIDE[name]
    if isinstance(node, Question):
        return f"go on to question {numbers[name]}."
    links = (f'<a href="{escape(address)}">{escape(words)}</a>' for words, address, _ in _links(node, folder))
    return f"{escape(node.words)} {', '.join(links)}."
