"""What all interactive figures are made of: data, words, theme, and one kit however many are on a page."""

import math
import re

import pytest

from figure_data import figure
from mamlbook.pages.figures import styling, two_tasks_figure
from mamlbook.pages.figures.widgets.base import widget
from shown import Shown, page_of, payload


def test_another_figure_has_another_id():
    ids = [re.search(r'id="(mamlbook-[^"]+)"', two_tasks_figure(alpha=alpha).html)[1] for alpha in (0.1, 0.2)]
    assert ids[0] != ids[1]


def test_data_survives_as_float64_and_cannot_end_its_script():
    numbers = [math.pi, 1 / 3, 5e-324, -1.7976931348623157e308]
    figure = widget("two_tasks", {"numbers": numbers, "text": "</script>"}, title="<t>", alt='"a"', fallback="<svg/>")
    data = payload(figure.html)
    assert data["numbers"] == numbers
    assert data["text"] == "</script>"
    assert '<p class="mb-title">&lt;t&gt;</p>' in figure.html
    assert 'alt="&quot;a&quot;"' in figure.html


def test_every_role_is_complete():
    assert styling.COLOURS.keys() == styling.DARK_COLOURS.keys() == styling.DASHES.keys() == styling.MARKERS.keys()
    assert styling.NEUTRAL.keys() == styling.DARK_NEUTRAL.keys()
    assert not styling.NEUTRAL.keys() & styling.COLOURS.keys()


def test_a_neutral_curve_looks_alike_in_both_themes_and_only_where_it_is_drawn():
    plain = widget("sine", {"roles": {"one": "maml"}}, title="t", alt="a", fallback="<svg/>").html
    own = widget("sine", {"roles": {"one": "second"}}, title="t", alt="a", fallback="<svg/>")
    colour, dash, marker = styling.NEUTRAL["second"]
    assert payload(own.html)["looks"]["second"] == {"dash": list(dash), "marker": marker}
    for value in (colour, styling.DARK_NEUTRAL["second"]):
        assert f"--mb-second:{value};" in own.html
    assert "mb-second" not in plain
    assert "--mb-third" not in own.html


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("nothing", {}, "kind: expected one of .*, got nothing"),
        ("sine", {"a": math.inf}, "data: expected finite numbers, got nan or infinity in a figure of kind sine"),
    ],
)
def test_what_is_no_figure_is_refused(kind, data, message):
    with pytest.raises(ValueError, match=message):
        widget(kind, data, title="", alt="", fallback="")


def test_several_figures_share_one_kit(show):
    same = two_tasks_figure()
    with show(same, same, figure("sine"), two_tasks_figure(alpha=0.1)) as shown:
        page = shown.page
        assert page.locator("figure[data-mounted]").count() == 4
        page.locator('figure[data-kind="two_tasks"]').nth(1).locator('input[data-name="steps"]').fill("7")
        steps = "[...document.querySelectorAll('figure[data-kind=two_tasks]')].map(f => f.mamlbook.state.steps)"
        assert page.evaluate(steps) == [1, 7, 1]
        ids = page.evaluate("[...document.querySelectorAll('figure[id], figure [id]')].map(node => node.id)")
        assert len(ids) == len(set(ids))


def test_only_one_name_is_global(show, tmp_path):
    names = "Object.getOwnPropertyNames(window)"
    with show(figure("sine"), two_tasks_figure()) as shown:
        with_figures = set(shown.page.evaluate(names))
        plain = tmp_path / "plain.html"
        plain.write_text(page_of(), "utf-8")
        shown.page.goto(plain.as_uri())
        assert with_figures - set(shown.page.evaluate(names)) == {"mamlbook"}


def test_still_picture_in_print_and_live_on_screen(show):
    with show(two_tasks_figure()) as shown:
        still, live = shown.figure.locator(".mb-fallback"), shown.figure.locator(".mb-live")
        assert live.is_visible()
        assert not still.is_visible()
        shown.page.emulate_media(media="print")
        assert still.is_visible()
        assert not live.is_visible()


def test_a_figure_that_cannot_start_keeps_its_picture(tabs, tmp_path):
    path = tmp_path / "broken.html"
    path.write_text(page_of(two_tasks_figure()).replace('{"first":', '{"fist":'), "utf-8")
    with Shown(tabs, path.as_uri(), "two_tasks") as shown:
        assert shown.figure.locator(".mb-fallback").is_visible()
        assert len(shown.complaints) == 1
        shown.complaints.clear()


def test_the_page_decides_the_theme(show):
    with show(two_tasks_figure(), color_scheme="dark") as shown:
        colour = "node => getComputedStyle(node).getPropertyValue('--mb-maml').trim()"
        assert shown.figure.evaluate(colour) == styling.DARK_COLOURS["maml"]
        shown.page.evaluate("document.documentElement.dataset.theme = 'light'")
        assert shown.figure.evaluate(colour) == styling.COLOURS["maml"]
        shown.page.evaluate("document.documentElement.dataset.theme = 'dark'")
        assert shown.figure.evaluate(colour) == styling.DARK_COLOURS["maml"]
