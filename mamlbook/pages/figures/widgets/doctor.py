"""The doctor: a few questions about a training, and at the end the cause, the cure and the section that explains it."""

from __future__ import annotations

from html import escape

from mamlbook.pages.doctor import FIRST, QUESTIONS, SYMPTOMS, Symptom
from mamlbook.pages.figures.widgets.base import Widget, widget


def run_doctor(folder: str = "practice", title: str = "What is wrong with my training?") -> Widget:
    """The questions of ``pages.doctor`` to click through, for a page in this folder of the book.

    The still form lists every symptom under the question that leads to it.
    """
    ends = {
        name: {"words": one.cause, "links": [[one.words, one.section.address(folder), one.cure]]}
        for name, one in SYMPTOMS.items()
    }
    asked = {
        name: {"words": one.words, "hint": one.hint, "answers": list(map(list, one.answers.items()))}
        for name, one in QUESTIONS.items()
    }
    return widget("guide", {"first": FIRST, "nodes": {**asked, **ends}}, title=title, alt=None, fallback=_still(folder))


def _still(folder: str) -> str:
    """Every question but the first, and what each of its answers means."""
    lead = {to: words for words, to in QUESTIONS[FIRST].answers.items()}
    parts = []
    for name, words in lead.items():
        question = QUESTIONS[name]
        found = "".join(
            f"<li>{escape(answer)}: {_means(SYMPTOMS[to], folder)}</li>" for answer, to in question.answers.items()
        )
        parts.append(f"<li><p><strong>{escape(words)}. {escape(question.words)}</strong></p><ul>{found}</ul></li>")
    return f"<ol>{''.join(parts)}</ol>"


def _means(one: Symptom, folder: str) -> str:
    link = f'<a href="{escape(one.section.address(folder))}">{escape(one.words)}</a>'
    return f"{escape(one.cause)} {escape(one.cure)} {link}."
