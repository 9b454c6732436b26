"""Exercises that are judged in the built book: by the verdict of their cell's own judge, and in its words."""

import math
import re

import pytest

from mamlbook.pages.nbval_tolerance import agree
from site_extension import site_extension
from tools.answers import exercises, kept
from tools.book import ROOT, notebooks

SCRIPT = ROOT / "book/static/judged.js"
PAGE = "variants/cost"

# These judges train, or differentiate many times.
SLOW = {"objective/complete", "dynamics/step-size", "variants/closed-form"}
NUMERIC = [
    pytest.param(page, place, marks=[pytest.mark.slow] if page in SLOW else [], id=f"{page}-{place + 1}")
    for page, ones in kept().items()
    for place, one in enumerate(ones)
    if one["accepts"]
]


@pytest.fixture(scope="module")
def extension():
    """Give the module of the site that reads what is judged."""
    return site_extension("judged")


@pytest.fixture(scope="module")
def judge(browser):
    """Give a function that asks the script."""
    page = browser.new_page()
    page.add_script_tag(path=str(SCRIPT))
    yield lambda asked, text: page.evaluate("([asked, text]) => mamlbookJudge(asked, text)", [asked, text])
    page.close()


def in_a_cell(text: str):
    """Give what a reader who writes this text into the cell has for an answer."""
    if not text.strip():
        return ...
    try:
        return eval(text, {"NaN": math.nan, "Infinity": math.inf})
    except (SyntaxError, NameError):
        return text


MEASURED = {
    ("variants/task-weights", 3): "a share of the gradient of six waves",
    ("practice/precision", 3): "the ratio of two errors of rounding",
}
"""The exercises whose judge measures a number, of which another processor gives other digits: their edges move."""


def beside(low: float, high: float, moves: bool) -> list[float]:
    """List the ends of an interval and their neighbours; where they move, numbers a hundredth of it away from them."""
    if not moves:
        return [low, high, math.nextafter(low, -math.inf), math.nextafter(high, math.inf)]
    margin = 0.01 * (high - low)
    return [low + margin, high - margin, low - margin, high + margin]


def tried(accepts: list, moves: bool = False) -> list[str]:
    """List answers of one number: right, at both edges, just outside, and what is no number."""
    (low, high), *others = [[low, 1e6 if high is None else high] for low, high in accepts]
    right = (low + high) / 2
    edges = [end for pair in ((low, high), *others) for end in beside(*pair, moves)]
    far = [low - 1, high + 1, -right, 2 * right + 1, 0]
    odd = ["", "  ", "1/2", "0.5", "5e-1", "0,5", ".5", "5.", "+0.5", "1/2/3", "words", "NaN", "Infinity"]
    return [repr(number) for number in (right, *edges, *far)] + [f" {right!r} ", f"{right!r}/1", *odd]


def pairs(accepts: list) -> list[str]:
    """List answers of several numbers: all of one number's for each, the others right, and too few or too many."""
    right = [repr((low + high) / 2) for (low, high), *_ in accepts]
    found = [", ".join(right), f"({', '.join(right)})", f"[{', '.join(right)}]", ", ".join(right[::-1]), right[0]]
    for place, one in enumerate(accepts):
        found += [", ".join([*right[:place], text, *right[place + 1 :]]) for text in tried(one) if text.strip()]
    return [*found, ", ".join([*right, "1"]), "", "words, NaN"]


@pytest.mark.parametrize(("page", "place"), NUMERIC)
def test_the_page_judges_as_the_cell_does(page, place, extension, judge):
    path = ROOT / f"book/{page}.ipynb"
    exercise, told = exercises(path)[place], extension.numeric(path)
    asked = told[exercise.cell]
    names = exercise.run()
    accepts = asked["accepts"]
    verdicts = set()
    for text in tried(accepts[0], (page, place + 1) in MEASURED) if len(accepts) == 1 else pairs(accepts):
        said, shown = exercise.said(in_a_cell(text), names), judge(asked, text)
        verdicts.add(said[0])
        assert shown["line"][0] == said[0], text
        assert shown["right"] == (said[0] == "✓")
        # In the same words: the cell's judge adds the number, where it has one, and an error.
        words = re.sub(r": \S+ \((.*)\)$", r": \1", said) if asked["says"] else said
        assert words.startswith(shown["line"])
    assert verdicts == {"✓", "✗", "…"}


@pytest.mark.parametrize(("page", "place"), NUMERIC)
def test_what_is_asked_is_the_judge_of_the_page(page, place):
    """The part of a page that its judge was cut out with says of the solution what the whole page has printed."""
    path = ROOT / f"book/{page}.ipynb"
    exercise = exercises(path)[place]
    names = exercise.run()
    stored = printed_by_solution(path, exercise)
    said = exercise.said(exercise.solution(names), names)
    assert any(agree(line, said, rtol=0.05) for line in stored), (said, stored)


def printed_by_solution(path, exercise) -> list[str]:
    """List the lines that the cell of the solution has printed."""
    import nbformat

    cell = nbformat.read(path, as_version=4).cells[exercise.cell + 1]
    return "".join(output["text"] for output in cell.outputs if output.output_type == "stream").splitlines()


def test_old_answers_end_the_build(extension, monkeypatch):
    path = ROOT / f"book/{PAGE}.ipynb"
    old = [{**one, "code": "0" * 16} for one in kept()[PAGE]]
    monkeypatch.setattr(extension, "kept", lambda: {PAGE: old})
    extension.numeric.cache_clear()
    with pytest.raises(extension.ExtensionError, match=r"cost, exercise 1, .* run python -m tools\.answers"):
        extension.numeric(path)
    extension.numeric.cache_clear()


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1", "1 is too small."),
        ("99", "99 is too big."),
        ("33", "33 is right."),
        ("66/2", "66/2 is right."),
        ("\u221233", "\u221233 is too small."),
        ("0,5", "Expected one number; write 0.5 with a point."),
        ("1/0", "Expected a number, such as 2, 0.5, 1/2 or 5e-1."),
        ("many", "Expected a number, such as 2, 0.5, 1/2 or 5e-1."),
    ],
)
def test_a_hint_says_on_which_side(text, hint, judge):
    assert judge({"claim": "so", "says": "", "accepts": [[[32.5, 33.5]]]}, text)["hint"] == hint


def test_each_of_several_numbers_has_a_hint(judge):
    asked = {"claim": "so", "says": "below 1", "accepts": [[[1, 2]], [[3, None]]]}
    assert judge(asked, "(0, 3.5)")["hint"] == "0 is too small, 3.5 is right."
    assert judge(asked, "1, 1e9") == {
        "line": "✓ so: below 1",
        "hint": "1 is right, 1e9 is right.",
        "right": True,
        "read": True,
    }
    assert judge(asked, "1")["hint"] == "Expected 2 numbers with a comma between."


# ---------------------------------------------------------------- in the built book


@pytest.fixture
def opened(base, browser):
    """Give a page of the built book, in a browser that has answered nothing."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(f"{base}book/{PAGE}.html")
    yield page
    assert not page.errors
    context.close()


def first(page):
    """Give field and verdict of the first exercise."""
    return page.get_by_label("Your answer").first, page.locator("form.judge [role=status]").first


def test_every_numeric_exercise_has_a_field_under_its_cell(built, extension):
    for path in notebooks():
        page = path.relative_to(ROOT).with_suffix(".html")
        text = (built / page).read_text("utf-8")
        marked = re.findall(r'<div class="(?:[^"]* )?judged(?: [^"]*)?"', text)
        assert len(marked) == len(extension.numeric(path)), page


def test_an_answer_is_judged_from_the_keyboard_and_told(opened):
    field, verdict = first(opened)
    where = "field => field.getBoundingClientRect().top + scrollY"
    before = field.evaluate(where)
    field.focus()
    opened.keyboard.type("20")
    opened.keyboard.press("Enter")
    assert verdict.inner_text() == "20 is too small. ✗ the most it buys: not yet"
    assert verdict.get_attribute("role") == "status"  # which a screen reader reads out when it changes
    assert field.evaluate(where) == before
    field.fill("33")
    opened.keyboard.press("Tab")
    opened.keyboard.press("Space")
    assert verdict.inner_text() == "33 is right. ✓ the most it buys"
    field.fill("")
    opened.locator("form.judge button").first.click()
    assert verdict.inner_text() == "… the most it buys: your turn"


def test_it_counts_is_kept_and_can_be_forgotten(opened):
    field, verdict = first(opened)
    field.fill("33")
    field.press("Enter")
    assert opened.locator("p.score").inner_text().startswith("Right on this page: 1 of ")
    field.fill("34")
    field.press("Enter")
    assert opened.locator("p.score").inner_text().startswith("Right on this page: 0 of ")
    field.fill("33")
    field.press("Enter")
    opened.reload()
    field, verdict = first(opened)
    assert field.input_value() == "33"
    assert verdict.inner_text() == "33 is right. ✓ the most it buys"
    assert opened.locator("p.score").inner_text().startswith("Right on this page: 1 of ")
    opened.get_by_role("button", name="Forget my answers on this page").click()
    assert field.input_value() == ""
    assert verdict.inner_text() == ""


def test_on_a_phone_a_field_is_large_enough_and_nothing_is_pushed_sideways(opened):
    field, _ = first(opened)
    assert field.bounding_box()["height"] >= 44
    assert float(field.evaluate("field => parseFloat(getComputedStyle(field).fontSize)")) >= 16  # no zoom on touch
    field.fill("a very long answer that is no number and that has to break somewhere")
    field.press("Enter")
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_paper_and_without_scripts_there_is_no_field(opened, base, browser):
    opened.emulate_media(media="print")
    assert not first(opened)[0].is_visible()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base}book/{PAGE}.html")
    assert page.locator("form.judge").count() == 0
    context.close()


def test_in_forced_colours_a_field_has_a_border(opened):
    opened.emulate_media(forced_colors="active")
    field, _ = first(opened)
    assert field.evaluate("field => getComputedStyle(field).borderTopWidth") != "0px"
