"""Each interactive figure of the built book, as a reader has set it, is an address that opens it so again."""

import base64
import json

import pytest

from tools.book import ROOT, pages

HTML = ROOT / "_build/html"

VALUES = """(place) => {
    const figure = document.querySelectorAll("figure.mamlbook-figure[data-mounted]")[place];
    return figure && JSON.stringify([figure.mamlbook.state, figure.mamlbook.values ?? null]);
}"""
COPY = "figure.mamlbook-figure button[data-name=link]"


def with_figures() -> list[str]:
    """List the pages of the built book that have an interactive figure."""
    built = [(name, HTML / f"{name}.html") for name in pages()]
    return [name for name, path in built if path.is_file() and "mamlbook-figure" in path.read_text("utf-8")]


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


@pytest.mark.parametrize("name", pages())
def test_a_figure_is_opened_as_it_was_left(name, base, browser):
    if "mamlbook-figure" not in (HTML / f"{name}.html").read_text("utf-8"):
        return
    page = opened(browser, f"{base}{name}.html")
    count = page.locator("figure.mamlbook-figure[data-mounted]").count()
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


def test_an_address_that_holds_nonsense_changes_nothing(base, browser):
    (name, *_) = with_figures()
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
