"""The guide in a browser: every way through it, by pointer and by keyboard, and its still form."""

from mamlbook.pages.figures import algorithm_guide
from mamlbook.pages.guide import FIRST, GUIDE, End, Question
from shown import Shown, payload

ANSWERS = '.mb-choices button[data-name^="answer"]'


def given() -> dict[tuple[int, ...], str]:
    """Where the answers of every way lead, by their places."""
    found: dict[tuple[int, ...], str] = {}

    def walk(name: str, places: tuple[int, ...]) -> None:
        found[places] = name
        node = GUIDE[name]
        for place, to in enumerate(node.answers.values() if isinstance(node, Question) else ()):
            walk(to, (*places, place))

    walk(FIRST, ())
    return found


def links(shown: Shown) -> list[str]:
    return shown.figure.locator(".mb-found a").all_inner_texts()


def asked(shown: Shown) -> str:
    return shown.figure.locator(".mb-question").inner_text()


def test_it_carries_all_questions():
    data = payload(algorithm_guide().html)
    assert list(data["nodes"]) == list(GUIDE)
    assert algorithm_guide().html != algorithm_guide("variants").html


def test_the_still_form_has_every_question_answer_and_link():
    still = algorithm_guide().html.split('class="mb-fallback mb-words">')[1].split("<figcaption")[0]
    for node in GUIDE.values():
        assert still.count(f"<strong>{node.words}</strong>") == isinstance(node, Question) or node.words in still
        names = node.answers if isinstance(node, Question) else [*node.rows, *node.places]
        assert all(name.replace("'", "&#x27;") in still for name in names)


def test_every_way_leads_where_python_says(show):
    with show(algorithm_guide()) as shown:
        for places, name in given().items():
            found = shown.ask(f"window.mamlbook.guide.compute(f.data, {list(places)})")
            assert found["name"] == name
            assert found["end"] == isinstance(GUIDE[name], End)
            assert len(found["trail"]) == len(places)


def test_a_way_by_pointer_back_and_from_the_beginning(show):
    first = GUIDE[FIRST]
    with show(algorithm_guide()) as shown:
        assert asked(shown) == first.words
        assert shown.figure.locator(ANSWERS).all_inner_texts() == list(first.answers)
        assert shown.figure.locator('button[data-name="back"]').is_disabled()
        shown.click("answer0")
        shown.click("answer0")
        assert asked(shown) == GUIDE["alike"].words
        assert links(shown) == [*GUIDE["alike"].rows, *GUIDE["alike"].places]
        assert shown.figure.locator(ANSWERS).count() == 0
        shown.click("back")
        assert asked(shown) == GUIDE["tasks"].words
        assert links(shown) == []
        shown.click("again")
        assert asked(shown) == first.words
        assert shown.figure.locator(".mb-trail-of-answers li").count() == 0


def test_an_answer_can_be_changed(show):
    with show(algorithm_guide()) as shown:
        for place in (0, 1, 3):
            shown.click(f"answer{place}")
        shown.click("change1")
        assert asked(shown) == GUIDE["tasks"].words
        assert shown.ask("f.state.given") == [0]


def test_the_keys_alone_reach_an_end(show):
    with show(algorithm_guide()) as shown:
        shown.figure.locator(ANSWERS).first.focus()
        for _ in range(2):
            shown.page.keyboard.press("Enter")
        focused = shown.page.evaluate("document.activeElement.textContent")
        assert focused == links(shown)[0]
        assert asked(shown) in shown.said()
