"""What every interactive figure owes its reader: it fits a phone, speaks without scripts, and shuts nobody out."""

import pytest
from test_widgets import starts
from test_widgets_cost import counted, timed
from test_widgets_diagnosis import failures
from test_widgets_diversity import measured

from mamlbook.pages.figures import (
    adaptation_pattern,
    cost_explorer,
    diversity_dial,
    failure_diagnosis,
    gradient_arrows,
    kink_figure,
    proximal_pull,
    sine_adaptation,
    two_tasks_figure,
    weights_figure,
)
from shown import assert_fits

FIGURES = {
    "arrows": gradient_arrows,
    "cost": lambda: cost_explorer(counted(), timed()),
    "diagnosis": lambda: failure_diagnosis(failures()),
    "diversity": lambda: diversity_dial(measured()),
    "kink": kink_figure,
    "pattern": lambda: adaptation_pattern(starts()["maml"]),
    "pull": proximal_pull,
    "sine": lambda: sine_adaptation(starts()),
    "two_tasks": two_tasks_figure,
    "weights": weights_figure,
}
every_figure = pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES.keys())


@every_figure
@pytest.mark.parametrize("width", [390, 320])
def test_the_figure_fits_a_phone(show, make, width):
    with show(make(), viewport={"width": width, "height": 800}) as shown:
        assert_fits(shown)
        assert not shown.complaints


@every_figure
def test_without_scripts_the_still_picture_speaks(show, make):
    with show(make(), java_script_enabled=False) as shown:
        picture = shown.figure.locator("img.mb-fallback")
        assert picture.bounding_box()["height"] > 200
        assert len(picture.get_attribute("alt")) > 60
        assert shown.figure.locator(".mb-note").is_visible()


@every_figure
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(show, make, theme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    with show(make(), color_scheme=theme) as shown:
        surface = shown.figure.evaluate("node => getComputedStyle(node).backgroundColor")
        assert surface == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 18, 18)"}[theme]
        shown.figure.locator(".mb-legend button").first.click()
        for button in shown.figure.locator(".mb-buttons button").all():
            button.click()
        found = axe.run(shown.page).response["violations"]
        assert [(rule["id"], [node["html"][:200] for node in rule["nodes"]]) for rule in found] == []
