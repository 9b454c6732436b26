"""Quizzes and predictions of the built book: first the answer, then why; the score stays in the browser."""

import json

import pytest

from site_extension import site_extension
from tools.book import ROOT, notebooks

PAGE = "dynamics/steps"


@pytest.fixture(scope="module")
def extension():
    """Give the module of the site that counts the sentences of quizzes."""
    return site_extension("answering")


@pytest.fixture
def opened(base, browser):
    """Give a page of the built book, in a browser that has answered nothing."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{base}book/{PAGE}.html")
    yield page
    context.close()


def test_every_sentence_says_whether_it_is_true(extension):
    found = {path.stem: extension.sentences(path) for path in notebooks()}
    assert sum(len(sentences) > 1 for sentences in found.values()) > 20
    truths = [truth for sentences in found.values() for _, truth in sentences]
    assert 0.35 < sum(truths) / len(truths) < 0.65


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_no_quiz_is_right_by_one_answer_to_all(path, extension):
    truths = {truth for _, truth in extension.sentences(path)}
    assert not truths or truths == {True, False}


def test_an_explanation_without_a_judgement_ends_the_build(extension, tmp_path):
    words = '## Quiz\n\n<details class="answer"><summary>Is it?</summary>\n\nPerhaps.\n\n</details>'
    path = tmp_path / "page.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "markdown", "source": [words]}]}), "utf-8")
    with pytest.raises(extension.ExtensionError, match=r"page\.ipynb, quiz: expected True or False .*'Perhaps\.'"):
        extension.sentences(path)


def total(extension):
    """Count what the page asks for: the sentences of its quiz, and the exercises with a number."""
    path = ROOT / f"book/{PAGE}.ipynb"
    return len(extension.sentences(path)) + len(extension.numeric(path))


def items(page):
    """List the sentences of the quiz and their buttons."""
    return page.locator("section#quiz details.answer"), page.locator("section#quiz div.commit")


def test_a_sentence_is_judged_before_it_is_explained(opened, extension):
    sentences, rows = items(opened)
    truths = [truth for _, truth in extension.sentences(ROOT / f"book/{PAGE}.ipynb")]
    assert sentences.count() == rows.count() == len(truths)
    sentences.nth(0).locator("summary").click()
    assert sentences.nth(0).get_attribute("open") is None
    assert rows.nth(0).locator(".verdict").inner_text() == "Decide first: is the sentence true or false?"
    for place, truth in enumerate(truths):
        said = truth if place else not truth  # the first one wrong
        rows.nth(place).get_by_role("button", name="True" if said else "False", exact=True).click()
        assert sentences.nth(place).get_attribute("open") is not None
        assert ("✓" in rows.nth(place).locator(".verdict").inner_text()) == bool(place)
    score = f"Right on this page: {len(truths) - 1} of {total(extension)}."
    assert opened.locator("p.score").inner_text().startswith(score)


def test_the_score_is_there_again_and_can_be_forgotten(base, opened, extension):
    (_, truth), *_ = extension.sentences(ROOT / f"book/{PAGE}.ipynb")
    _, rows = items(opened)
    rows.nth(0).get_by_role("button", name="True" if truth else "False", exact=True).click()
    opened.reload()
    assert "on this page: 1 of" in opened.locator("p.score").inner_text()
    opened.goto(f"{base}book/index.html")
    assert opened.locator("p.chapter-score").all_inner_texts() == [f"Right: 1 of {total(extension)}"]
    opened.goto(f"{base}book/{PAGE}.html")
    opened.get_by_role("button", name="Forget my answers on this page").click()
    assert opened.locator("p.score span").inner_text() == ""
    assert items(opened)[0].nth(0).get_attribute("open") is None


def test_of_several_expectations_one_is_taken(opened):
    expected = opened.locator("section#predict-first details.answer, section#Predict-first details.answer")
    assert expected.count() > 1
    expected.nth(1).locator("summary").click()
    assert all(expected.nth(place).get_attribute("open") is not None for place in range(expected.count()))
    assert "you expected this" in expected.nth(1).locator("summary").inner_text()
    assert "you expected this" not in expected.nth(0).locator("summary").inner_text()
    expected.nth(0).locator("summary").click()
    assert expected.nth(0).get_attribute("open") is None


def test_without_scripts_nothing_is_asked(base, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base}book/{PAGE}.html")
    sentences, rows = items(page)
    assert rows.count() == 0
    sentences.nth(0).locator("summary").click()
    assert sentences.nth(0).get_attribute("open") is not None
    context.close()
