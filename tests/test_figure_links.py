"""Each interactive figure of the built book, as a reader has set it, is an address that opens it so again."""

import base64
import json

import pytest

from tools.book import ROOT, pages


def notebook_text(name: str) -> str:
    """Give the source of a page with its outputs, or nothing where it is no notebook."""
    path = ROOT / f"{name}.ipynb"
    return path.read_text("utf-8") if path.is_file() else ""


VALUES = """(place) => {
    const figure = document.querySelectorAll("figure.mamlbook-figure[data-mounted]")[place];
    return figure && JSON.stringify([figure.mamlbook.state, figure.mamlbook.values ?? null]);
}"""
COPY = "figure.mamlbook-figure button[data-name=link]"


FIGURED = [name for name in pages() if "mamlbook-figure" in notebook_text(name)]


def opened(browser, address):
    """Give a page of its own at this address, with the errors that it had."""
    page = browser.new_context().new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(address, wait_until="load")
    return page


def touch(page, place):
    """Change a figure as a reader would: the first two things that a key moves, the first choice, a button."""
    figure = page.locator("figure.mamlbook-figure[data-mounted]").nth(place)
    movable = figure.locator(".mb-live :is(input[type=range], [role=slider]):visible")
    for number in range(min(2, movable.count())):
        before = page.evaluate(VALUES, place)
        movable.nth(number).press("ArrowLeft")
        if page.evaluate(VALUES, place) == before:  # at an end
            movable.nth(number).press("ArrowRight")
    select = figure.locator(".mb-live select:visible")
    if select.count():
        select.first.select_option(index=1)
    elif not movable.count():
        figure.locator(".mb-live button:visible:not(:disabled)").first.click()


@pytest.mark.parametrize("name", FIGURED)
def test_a_figure_is_opened_as_it_was_left(name, base, browser):
    page = opened(browser, f"{base}{name}.html")
    count = page.locator("figure.mamlbook-figure[data-mounted]").count()
    assert count, "no figure is alive"
    for place in range(count):
        before = page.evaluate(VALUES, place)
        touch(page, place)
        left = page.evaluate(VALUES, place)
        assert left != before, "nothing was changed"
        page.locator(COPY).nth(place).click()
        page.wait_for_function(f"location.hash.startsWith('#figure={place}.')")
        other = opened(browser, page.url)
        found = other.evaluate(VALUES, place)
        assert not other.errors
        other.context.close()
        assert found == left, f"figure {place}"
    page.context.close()


# The rows in which the link stands among things to choose from, though another row has what acts.
AMONG_CHOICES = """() => [...document.querySelectorAll("figure.mamlbook-figure[data-mounted]")].filter((figure) => {
    const row = figure.querySelector("button[data-name=link]").parentElement;
    const resets = [...row.children].some((one) => one.textContent === "Reset");
    return row.querySelector("[aria-pressed]") && !resets;
}).map((figure) => figure.dataset.kind)"""


@pytest.mark.parametrize("name", FIGURED)
def test_the_link_is_nothing_to_choose(name, base, browser):
    page = opened(browser, f"{base}{name}.html")
    page.wait_for_selector(COPY)
    assert page.evaluate(AMONG_CHOICES) == []
    page.context.close()


def test_what_was_drawn_by_hand_is_in_the_address(base, browser):
    page = opened(browser, f"{base}book/practice/baselines.html")
    figure = page.locator("figure[data-kind=drawing]")
    place = page.evaluate(
        "[...document.querySelectorAll('figure[data-mounted]')].findIndex((f) => f.dataset.kind === 'drawing')"
    )
    figure.locator("button", has_text="Clear all").click()
    pads = "document.querySelector('figure[data-kind=drawing]').mamlbook.state.pads"
    area = figure.locator("[role=application], [tabindex]").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.down()
    for step in range(1, 6):
        page.mouse.move(box["x"] + 30 + 12 * step, box["y"] + 30 + 9 * step)
    page.mouse.up()
    strokes = page.evaluate(f"JSON.stringify(Object.values({pads}).map((pad) => pad.strokes))")
    assert any(json.loads(strokes)), "nothing was drawn"
    page.locator(COPY).nth(place).click()
    page.wait_for_function(f"location.hash.startsWith('#figure={place}.')")
    other = opened(browser, page.url)
    assert other.evaluate(f"JSON.stringify(Object.values({pads}).map((pad) => pad.strokes))") == strokes
    assert not other.errors
    other.context.close()
    page.context.close()


def test_an_address_that_holds_nonsense_changes_nothing(base, browser):
    name = FIGURED[0]
    page = opened(browser, f"{base}{name}.html")
    before = page.evaluate(VALUES, 0)
    page.context.close()
    wrong = {"c": {"0": True, "99": "1"}, "s": {"alpha": "high", "steps": None, "nothing": 3, "__proto__": {"a": 1}}}
    codes = ["AAAA", base64.urlsafe_b64encode(json.dumps(wrong).encode()).decode().rstrip("=")]
    for code in codes:
        page = opened(browser, f"{base}{name}.html#figure=0.{code}")
        assert page.evaluate(VALUES, 0) == before
        assert not page.errors
        page.context.close()
