"""A question with several right answers: the reader marks statements, then sees which were right, and why."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.quiz import Statement
from mamlbook.pages.sections import PLACES


def select_all(question: str, statements: Sequence[Statement], folder: str, title: str = "Quiz") -> Widget:
    """The statements to mark, for a page in this folder of the book; the still form folds each answer.

    Raises:
        ValueError: all statements are right, or all wrong.
    """
    if len({one.right for one in statements}) != 2:
        raise ValueError("statements: expected right ones and wrong ones, got one kind")
    told = [one._asdict() | {"link": PLACES[one.place].address(folder)} for one in statements]
    data = {"question": question, "statements": told}
    return widget("quiz", data, title=title, alt=None, fallback=_still(question, statements, folder))


def _still(question: str, statements: Sequence[Statement], folder: str) -> str:
    folded = (
        f"<details><summary>{escape(one.words)}</summary><p>{'True' if one.right else 'False'}. {escape(one.why)} "
        f'<a href="{escape(PLACES[one.place].address(folder))}">{escape(one.place)}</a></p></details>'
        for one in statements
    )
    return f"<p><strong>{escape(question)}</strong></p>{''.join(folded)}"
