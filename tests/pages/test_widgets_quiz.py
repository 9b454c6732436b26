"""The quiz in a browser: what is marked, what is judged, and its still form."""

import pytest

from mamlbook.pages.figures import select_all
from mamlbook.pages.quiz import QUESTION, STATEMENTS
from mamlbook.pages.sections import PLACES
from shown import Shown


def quiz():
    return select_all(QUESTION, STATEMENTS, "practice")


def mark(shown: Shown, *places: int):
    for place in places:
        shown.figure.locator(f'input[data-name="mark{place}"]').check()


def reasons(shown: Shown) -> list[str]:
    return [text for text in shown.figure.locator(".mb-reason").all_inner_texts() if text]


def test_one_kind_of_statements_is_refused():
    with pytest.raises(ValueError, match="statements: expected right ones and wrong ones"):
        select_all(QUESTION, [one for one in STATEMENTS if one.right], "practice")


def test_the_still_form_folds_every_answer():
    still = quiz().html.split('class="mb-fallback mb-words">')[1]
    assert still.count("<details>") == len(STATEMENTS)
    assert still.count("<p>True. ") == sum(one.right for one in STATEMENTS)
    assert all(PLACES[one.place].address("practice").replace("'", "&#x27;") in still for one in STATEMENTS)


def test_nothing_is_told_before_it_is_asked(show):
    with show(quiz()) as shown:
        mark(shown, 0, 3)
        assert reasons(shown) == []
        assert "2 statements marked." in shown.said()


def test_all_right_and_all_wrong(show):
    right = [place for place, one in enumerate(STATEMENTS) if one.right]
    wrong = [place for place, one in enumerate(STATEMENTS) if not one.right]
    with show(quiz()) as shown:
        for marked, number in ((right, len(STATEMENTS)), (wrong, 0)):
            mark(shown, *marked)
            shown.click("see")
            assert f"You judged {number} of {len(STATEMENTS)} statements" in shown.said()
            told = reasons(shown)
            assert [text.split()[1].strip(".,") for text in told] == [str(one.right) for one in STATEMENTS]
            assert [text[0] for text in told] == [("✗", "✓")[number > 0]] * len(STATEMENTS)
            assert all(one.why in text for one, text in zip(STATEMENTS, told, strict=True))
            assert shown.figure.locator("input").first.is_disabled()
            shown.click("again")
            assert shown.figure.locator("input:checked").count() == 0


def test_what_was_missed_and_what_was_marked_in_vain_is_said(show):
    wrong = next(place for place, one in enumerate(STATEMENTS) if not one.right)
    with show(quiz()) as shown:
        mark(shown, wrong)
        shown.figure.locator('button[data-name="see"]').press("Enter")
        told = reasons(shown)
        assert told[wrong].startswith("✗ False, but you marked it.")
        assert told[0].startswith("✗ True, and you left it out.")
        assert shown.page.evaluate("document.activeElement.dataset.name") == "again"
