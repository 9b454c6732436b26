"""What every interactive figure owes its reader: it fits a phone, speaks without scripts, and shuts nobody out."""

import io
import re
from urllib.parse import unquote

import pytest
from PIL import Image

from figure_data import MAKERS, figure
from mamlbook.pages.figures.widgets.base import Widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture
from shown import MISFITS

WORDS = {"comparison", "guide", "quiz", "verdicts"}  # made of words: no sliders, no legend, no picture
every_figure = pytest.mark.parametrize("kind", MAKERS)
every_drawing = pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind not in WORDS])
WIDTHS = [900, 640, 390, 320]

# How many drawn things can be seen: what is hidden takes no room.
DRAWN = "figure => [...figure.querySelectorAll('.mb-plot svg *')].filter((n) => n.getClientRects().length).length"
# Of every button of the legend: whether it was on, whether it is after a click, and what can be seen before and after.
LEGEND = f"""figure => [...figure.querySelectorAll(".mb-legend button")].map((button) => {{
    const on = () => button.getAttribute("aria-pressed") === "true", seen = () => ({DRAWN})(figure);
    const before = [on(), seen()];
    button.click();
    const after = [on(), seen()];
    button.click();
    return [before, after, [on(), seen()]];
}})"""


@every_figure
def test_the_same_arguments_give_the_same_bytes(kind):
    one, two = figure(kind), MAKERS[kind]()
    assert one._repr_html_() == two._repr_html_() == one.html
    assert repr(one) == f"Interactive figure: {one.title}"
    assert len(one.html) < 150_000


@every_figure
def test_the_figure_fits_its_page_whatever_is_chosen(show, kind):
    with show(figure(kind), reduced_motion="reduce") as shown:
        for width in WIDTHS:
            shown.page.set_viewport_size({"width": width, "height": 800})
            shown.rest()
            assert shown.figure.evaluate(MISFITS) == [], width
        assert shown.page.evaluate("innerWidth") == WIDTHS[-1]


@every_figure
def test_a_figure_looks_the_same_whatever_comes_after_it(show, kind):
    # Every figure brings the style sheet that all share, and so the last one on a page brings it after the others' own.
    after = figure("kink" if kind != "kink" else "cost")
    heights = []
    for figures in ([figure(kind)], [figure(kind), after]):
        with show(*figures) as shown:
            shown.rest()
            heights.append(shown.figure.bounding_box()["height"])
    assert heights[0] == heights[1]


# A page that treats keys as JupyterLab does: what reaches the document is a command, and nothing else happens.
NOTEBOOK = """() => {
    window.commands = [];
    document.addEventListener("keydown", (event) => { window.commands.push(event.key); event.preventDefault(); });
}"""


@every_figure
def test_what_is_typed_into_a_figure_is_no_command_of_the_notebook(show, kind):
    with show(figure(kind)) as shown:
        shown.page.evaluate(NOTEBOOK)
        for slider in shown.figure.locator('input[type="range"]').all()[:1]:
            slider.fill(slider.get_attribute("min"))
            before = slider.input_value()
            slider.press("ArrowRight")
            assert slider.input_value() != before
        controls = shown.figure.locator('input, select, button:visible:enabled, [role="slider"]')
        for control in controls.all()[:6]:
            for key in ("ArrowLeft", "Home", "d", "1", "Shift+ArrowLeft"):
                control.press(key)
        assert shown.page.evaluate("commands") == []
        for key in ("Control+s", "Shift+Enter"):
            controls.first.press(key)
        assert shown.page.evaluate("commands") == ["Control", "s", "Enter"]


@every_drawing
def test_the_legend_hides_and_shows_by_pointer_and_keyboard(show, kind):
    with show(figure(kind)) as shown:
        for before, after, again in shown.figure.evaluate(LEGEND):
            assert before == again
            assert before[0] != after[0]
            assert (after[1] < before[1]) == before[0]
        button = shown.figure.locator(".mb-legend button").first
        seen = shown.figure.evaluate(DRAWN)
        button.click()
        assert shown.figure.evaluate(DRAWN) != seen
        button.press("Enter")
        assert shown.figure.evaluate(DRAWN) == seen


@pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind not in {*WORDS, "drawing"}])  # that one is a sheet
def test_the_words_stand_below_plot_and_controls(show, kind):
    # They grow and shrink; above a slider they would push it away from under the finger.
    with show(figure(kind)) as shown:
        ends = "all => Math.max(...all.map((node) => node.getBoundingClientRect().bottom))"
        held = shown.figure.locator(".mb-plot, input[type=range]:visible")
        assert shown.figure.locator(".mb-says").bounding_box()["y"] >= held.evaluate_all(ends) - 1


@every_figure
def test_in_forced_colours_a_slider_has_its_track_and_a_choice_its_border(show, kind):
    with show(figure(kind)) as shown:
        shown.page.emulate_media(forced_colors="active", color_scheme="dark")
        for slider in shown.figure.locator("input[type=range]:visible").all()[:1]:
            box = slider.bounding_box()
            last = {**box, "x": box["x"] + 0.8 * box["width"], "width": 0.2 * box["width"]}
            darkest, brightest = Image.open(io.BytesIO(shown.page.screenshot(clip=last))).convert("L").getextrema()
            assert brightest - darkest > 60, "no track"
        pressed = shown.figure.locator('button[aria-pressed="true"]:visible')
        if pressed.count():
            style = "node => { const s = getComputedStyle(node); return [s.borderTopStyle, s.borderTopWidth]; }"
            assert pressed.first.evaluate(style) == ["double", "3px"]


@every_figure
def test_without_scripts_the_still_form_speaks(show, kind):
    with show(figure(kind), scripts=False) as shown:
        still = shown.figure.locator(".mb-fallback")
        assert still.bounding_box()["height"] > 200
        assert len(still.inner_text() if kind in WORDS else still.get_attribute("alt")) > 60
        assert shown.figure.locator(".mb-note").is_visible()


# Words that run into one another because only a style sheet keeps them apart.
GLUED = r"""still => {
    const inline = (node) => getComputedStyle(node).display.startsWith("inline");
    const line = (node) => (inline(node) ? line(node.parentNode) : node);
    const walker = document.createTreeWalker(still, NodeFilter.SHOW_TEXT), glued = [];
    for (let before = walker.nextNode(), now; (now = walker.nextNode()); before = now) {
        const together = line(before.parentNode) === line(now.parentNode);
        if (together && /\w$/.test(before.data) && /^\w/.test(now.data)) glued.push(before.data + now.data);
    }
    return glued;
}"""
# Letters of a picture that are cut at its edges.
CUT = """figure => {
    const page = figure.querySelector("svg").getBoundingClientRect();
    const boxes = [...figure.querySelectorAll("text")].map((node) => [node.textContent, node.getBoundingClientRect()]);
    return boxes.filter(([, box]) => box.left < page.left - 1 || box.right > page.right + 1).map(([words]) => words);
}"""


@pytest.mark.parametrize("kind", sorted(WORDS))
def test_the_still_form_reads_well_where_a_viewer_drops_the_style_sheet(show, kind):
    html = re.sub(r"<(style|script).*?</\1>", "", figure(kind).html, flags=re.DOTALL)
    with show(Widget("bare", html), scripts=False) as shown:
        still = shown.figure.locator(".mb-fallback")
        assert still.evaluate(GLUED) == []
        still.evaluate("still => { still.innerHTML = '<p>one<b>two</b></p><p>three</p>four <b>five</b>'; }")
        assert still.evaluate(GLUED) == ["onetwo"]


@every_drawing
def test_no_letters_of_the_still_picture_are_cut(show, kind):
    picture = unquote(re.search(r'src="data:image/svg\+xml,([^"]*)"', figure(kind).html)[1])
    with show(bare(picture)) as shown:
        assert shown.figure.evaluate(CUT) == []


def test_small_and_large_numbers_at_an_axis_have_room(show):
    panels = [Panel((0, 1), (1e-6, 1e6), (0, 1), ticks, "error", 200, log=True) for ticks in ([1e-4, 1], [1, 1e5])]
    with show(bare(still_picture(panels, {"maml": "MAML"}, "x"))) as shown:
        assert shown.figure.evaluate(CUT) == []


def bare(html: str) -> Widget:
    """HTML in the place of a figure, with nothing around it."""
    return Widget("bare", f'<figure data-kind="bare">{html}</figure>')


@every_figure
def test_axe_finds_nothing_serious_in_light_and_dark(show, kind):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with show(figure(kind)) as shown:
        for button in shown.figure.locator(".mb-legend button").all()[:1]:
            button.click()
        for button in shown.figure.locator(".mb-buttons button:visible:enabled").all():
            button.click()
        for theme, surface in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(18, 18, 18)")):
            shown.page.emulate_media(color_scheme=theme)
            shown.rest()
            assert shown.figure.evaluate("node => getComputedStyle(node).backgroundColor") == surface
            found = axe.run(shown.page).response["violations"]
            assert [(theme, rule["id"], [n["html"][:200] for n in rule["nodes"]]) for rule in found] == []
