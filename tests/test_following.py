"""Formulas and code of the built book that point at each other: what is lit, what is said, and that nothing moves."""

import re

import pytest

from site_extension import site_extension
from tools.book import ROOT, pages

PAGE = "variants/reptile"


@pytest.fixture(scope="module")
def extension():
    """Give the module of the site that marks factors and lines."""
    return site_extension("following")


TOLD = site_extension("following").factors()


def opened(browser, base, page, **options):
    """Give a page whose formulas are drawn, with the errors that it had."""
    tab = browser.new_context(**options).new_page()
    tab.errors = []
    tab.on("pageerror", lambda error: tab.errors.append(str(error)))
    tab.on("console", lambda line: tab.errors.append(line.text) if line.type == "error" else None)
    tab.goto(f"{base}book/{page}.html", wait_until="load")
    count = sum(len(one["factors"]) for one in TOLD[page])
    tab.wait_for_function(f"document.querySelectorAll('button.factor').length === {count}")
    tab.wait_for_function("[...document.querySelectorAll('button.factor')].every((one) => one.offsetWidth > 0)")
    tab.wait_for_load_state("networkidle")
    tab.evaluate("document.fonts.ready.then(() => true)")
    return tab


@pytest.fixture
def tab(base, browser):
    """Give the page of Reptile."""
    page = opened(browser, base, PAGE)
    yield page
    assert page.errors == []
    page.context.close()


LIT = "[...document.querySelectorAll('.computes.lit')].map((line) => line.textContent.trim())"
DRAWN = (
    "[...document.querySelectorAll('.bd-article :is(p, pre, mjx-container)')].filter((one) => one.checkVisibility())"
)
PLACES = f"""() => {DRAWN}.map((one) => {{
    const box = one.getBoundingClientRect();
    return [box.x, box.y + scrollY, box.width, box.height];
}})"""


def told(page):
    """List the factors of a page, with the parts of code that compute each, all pieces together."""
    return [
        (factor, [part for words in one["code"] for part in factor.get(words, [])])
        for one in TOLD[page]
        for factor in one["factors"]
    ]


@pytest.mark.parametrize("page", TOLD)
def test_every_factor_lights_the_lines_that_it_names(page, base, browser):
    tab = opened(browser, base, page)
    before = tab.evaluate(PLACES)
    factors = told(page)
    for number, (factor, parts) in enumerate(factors):
        button = tab.locator("button.factor").nth(number)
        button.focus()
        lit = tab.evaluate(LIT)
        wanted = [line.strip() for part in parts for line in part.split("\n")]
        assert len(lit) == len(wanted)
        assert all(any(part in line for line in lit) for part in wanted)
        assert all(any(part in line for part in wanted) for line in lit)
        assert button.get_attribute("aria-label").startswith(f"{factor['name']}: line")
        assert tab.evaluate(PLACES) == [pytest.approx(box, abs=0.6) for box in before], "something has moved"
        # The button lies over what it names.
        box = button.bounding_box()
        drawn = tab.locator(f"mjx-math .factor-{number}").bounding_box()
        assert box["x"] <= drawn["x"] + 1
        assert box["x"] + box["width"] >= drawn["x"] + drawn["width"] - 1
        assert abs(box["y"] + box["height"] / 2 - drawn["y"] - drawn["height"] / 2) < 2
    assert tab.errors == []
    tab.context.close()


def test_a_factor_is_announced_with_its_lines(tab):
    (_, parts), *_ = told(PAGE)
    names = [button.get_attribute("aria-label") for button in tab.locator("button.factor").all()]
    assert names[0].startswith("from the solution back to the start: line ")
    # Counted in what the reader sees.
    for words, part in (("by hand", parts[0]), ("in the package", parts[1])):
        (code,) = [text for text in tab.locator("pre").all_inner_texts() if part in text]
        number = 1 + code.lstrip("\n")[: code.lstrip("\n").index(part)].count("\n")
        assert re.search(rf"line {number} {words}", names[0]), names[0]


def test_a_mouse_lights_for_as_long_as_it_points(tab):
    button = tab.locator("button.factor").first
    button.hover()
    assert len(tab.evaluate(LIT)) == 2
    assert "lit" in button.get_attribute("class")
    assert tab.locator(".factor-name").first.inner_text() == button.get_attribute("aria-label")
    tab.mouse.move(2, 2)
    assert tab.evaluate(LIT) == []
    assert tab.locator(".factor-name").first.inner_text() == ""


def test_a_line_lights_its_factors(tab):
    line = tab.locator(".computes", has_text="mean += (theta - phi)")
    line.hover()
    lit = tab.locator("button.factor.lit")
    assert [one.get_attribute("aria-label").split(":")[0] for one in lit.all()] == [
        "from the solution back to the start",
        "the mean over the tasks",
    ]
    tab.mouse.move(2, 2)
    assert lit.count() == 0


def test_of_formulas_only_the_factors_can_be_reached_by_the_keyboard(tab):
    formulas = tab.locator(".bd-article mjx-container")
    still = "all => all.filter((one) => one.tabIndex >= 0 && one.scrollWidth <= one.clientWidth).length"
    assert formulas.evaluate_all(still) == 0, "a stop at a formula that cannot be scrolled"
    tab.locator("button.factor").first.focus()
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.className") == "factor lit"
    assert "the inner steps" in tab.evaluate("document.activeElement.getAttribute('aria-label')")
    tab.keyboard.press("Escape")
    assert tab.evaluate(LIT) == []
    tab.keyboard.press("Shift+Tab")
    assert len(tab.evaluate(LIT)) == 2
    tab.locator("a").first.focus()
    assert tab.evaluate(LIT) == []


def test_a_finger_lights_until_it_taps_elsewhere(base, browser):
    tab = opened(browser, base, PAGE, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    tab.locator("button.factor").nth(1).tap()
    assert len(tab.evaluate(LIT)) == 5
    tab.locator(".bd-article h1").tap()
    assert tab.evaluate(LIT) == []
    tab.locator(".computes", has_text="inner.step()").tap()
    assert tab.locator("button.factor.lit").count() == 1
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert tab.errors == []
    tab.context.close()


def test_a_formula_that_is_scrolled_takes_its_buttons_along(base, browser):
    tab = opened(browser, base, PAGE, viewport={"width": 390, "height": 844})
    button, drawn = tab.locator("button.factor").nth(2), tab.locator("mjx-math .factor-2")
    button.focus()
    assert abs(button.bounding_box()["x"] - drawn.bounding_box()["x"]) < 4
    tab.set_viewport_size({"width": 700, "height": 844})
    tab.wait_for_timeout(200)
    assert abs(button.bounding_box()["x"] - drawn.bounding_box()["x"]) < 4
    tab.context.close()


def test_in_forced_colours_what_is_lit_has_an_outline(tab):
    tab.emulate_media(forced_colors="active")
    button = tab.locator("button.factor").first
    button.hover()
    for lit in (button, tab.locator(".computes.lit").first):
        assert lit.evaluate("one => getComputedStyle(one).outlineStyle") == "solid"
        # An opaque button would hide the formula below it.
        assert lit.evaluate("one => getComputedStyle(one).backgroundColor") == "rgba(0, 0, 0, 0)"


def test_on_paper_nothing_is_marked(tab):
    tab.locator("button.factor").first.focus()
    tab.emulate_media(media="print")
    assert not tab.locator("button.factor").first.is_visible()
    assert not tab.locator(".factor-name").first.is_visible()
    line = tab.locator(".computes").first
    assert line.evaluate("one => getComputedStyle(one).backgroundColor") == "rgba(0, 0, 0, 0)"


def test_nothing_fades_or_moves(tab):
    """So that nothing has to be taken away from a reader who has asked for less motion."""
    for what in ("button.factor", ".computes"):
        style = "one => [getComputedStyle(one).transitionDuration, getComputedStyle(one).animationName]"
        assert tab.locator(what).first.evaluate(style) == ["0s", "none"]


def test_without_scripts_the_page_is_as_it_was(built):
    text = (built / f"book/{PAGE}.html").read_text("utf-8")
    assert "<button" not in text.split("<article")[1].split("</article>")[0].replace("copybtn", "")
    assert r"\class{factor-0}{\theta - \phi}" in text


def test_a_part_that_is_not_found_once_ends_the_build(extension):
    with pytest.raises(extension.ExtensionError, match=r"p: expected 'x' once in the formula, found it 2 times"):
        extension.marked("p", "x + x", ["x"], 0)
    with pytest.raises(extension.ExtensionError, match=r"p: expected 'y' once in the code 'a = 1', found it 0 times"):
        extension.lines("p", "y", "a = 1\nb = 2")
    with pytest.raises(extension.ExtensionError, match="in the order of the formula"):
        extension.marked("p", "a b", ["b", "a"], 0)
    assert extension.marked("p", "a + b", ["a", "b"], 3) == r"\class{factor-3}{a} + \class{factor-4}{b}"
    assert extension.lines("p", "b(\n  c\n)", "a\nx = b(\n  c\n)\nd") == [2, 3, 4]


def test_every_page_that_is_told_of_exists():
    assert {f"book/{page}" for page in TOLD} <= set(pages())


def test_the_notebooks_hold_nothing_of_it():
    for page in TOLD:
        assert r"\\class" not in (ROOT / f"book/{page}.ipynb").read_text("utf-8")
