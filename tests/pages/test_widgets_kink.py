"""The figure of a kink: its arithmetic against PyTorch, its controls by pointer and keyboard, its manners."""

import math

import pytest
import torch

from mamlbook.pages.figures import kink_figure
from shown import Shown, payload


def objective(w: torch.Tensor, alpha: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """L(w), the adapted weight and F(w) of the model relu(w) x at x = y = 1, by autograd through the step."""
    loss = (torch.relu(w) - 1) ** 2 / 2
    (gradient,) = torch.autograd.grad(loss, w, create_graph=True)
    adapted = w - alpha * gradient
    return loss, adapted, (torch.relu(adapted) - 1) ** 2 / 2


def weight(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def by_autograd(state: dict) -> dict:
    """The figure's values by PyTorch in float64."""
    alpha, at, h = state["alpha"], state["w"], state["h"]
    w = weight(at)
    loss, adapted, maml = objective(w, alpha)
    (slope,) = torch.autograd.grad(maml, w)
    heights = [objective(weight(end), alpha)[2].item() for end in (at - h, at + h)]
    found = {"loss": loss.item(), "adapted": adapted.item(), "maml": maml.item(), "slope": slope.item()}
    return {**found, "heights": heights, "difference": (heights[1] - heights[0]) / (2 * h)}


def assert_values(state: dict, values: dict):
    for name, value in by_autograd(state).items():
        assert values[name] == pytest.approx(value, rel=1e-12, abs=1e-12), (name, state)
    assert values["straddles"] == (state["w"] - state["h"] <= 0 < state["w"] + state["h"])
    if not values["straddles"]:
        assert values["difference"] == pytest.approx(values["slope"], abs=1e-12)


def assert_shown(shown: Shown, **expected):
    state = shown.ask("f.state")
    assert {name: state[name] for name in expected} == expected
    assert_values(state, shown.ask("f.values"))


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_first_picture_and_its_words():
    one = kink_figure()
    assert one.html != kink_figure(alpha=0.4).html
    assert payload(one.html)["first"] == {"alpha": 0.5, "w": 0.4, "h": 0.1}
    assert "starts again at 0.125 beyond it" in one.html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.1}, "alpha: expected 0 to 1, got 1.1"),
        ({"alpha": -0.1}, "alpha: expected 0 to 1, got -0.1"),
        ({"alpha": math.nan}, "alpha: expected 0 to 1, got nan"),
        ({"w": 1.7}, "w: expected -0.6 to 1.6, got 1.7"),
        ({"w": -math.inf}, "w: expected -0.6 to 1.6, got -inf"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        kink_figure(**arguments)


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_compute_equals_autograd_and_central_differences(show):
    with show(kink_figure()) as shown:
        for alpha in (0, 0.3, 0.5, 1):
            for w, h in [
                (-0.6, 0.5),
                (-0.05, 0.1),
                (0, 0.01),
                (0.05, 0.05),
                (0.4, 0.1),
                (0.3, 0.4),
                (1, 0.2),
                (1.6, 0.5),
            ]:
                state = {"alpha": alpha, "w": w, "h": h}
                call = f"[{{alpha: {alpha}, w: {w}, h: {h}}}].map(window.mamlbook.kink.compute)[0]"
                assert_values(state, shown.ask(call))


def test_the_sliders_change_the_slopes_and_the_text(show):
    with show(kink_figure()) as shown:
        assert_shown(shown, alpha=0.5, w=0.4, h=0.1)
        assert "F is 0.045" in shown.said()
        assert "slope is −0.150 by differentiation and −0.150 by finite difference" in shown.said()
        assert "the two slopes agree" in shown.said()
        shown.slide("h", 0.5)
        assert_shown(shown, alpha=0.5, w=0.4, h=0.5)
        assert "−0.150 by differentiation and −0.499 by finite difference" in shown.said()
        assert "is mostly the jump of F there, by −0.375, which differentiation never sees" in shown.said()
        for alpha, h in [(1, 0.41), (0.25, 0.01), (0, 0.45)]:
            shown.slide("alpha", alpha)
            shown.slide("h", h)
            assert_shown(shown, alpha=alpha, w=0.4, h=h)
        assert "a kink but no jump" in shown.said()
        shown.click("reset")
        assert_shown(shown, alpha=0.5, w=0.4, h=0.1)
        inputs = shown.figure.locator('input[type="range"]')
        assert [node.input_value() for node in inputs.all()] == ["0.1", "0.5"]


def test_the_weight_follows_pointer_and_keyboard(show):
    with show(kink_figure()) as shown:
        shown.drag(0, -80, 0)
        moved = shown.ask("f.state.w")
        assert 0 < moved < 0.3
        assert_shown(shown)
        shown.press(0, "ArrowRight", "ArrowUp", "ArrowLeft", "Shift+ArrowLeft")
        w = shown.ask("f.state.w")
        assert w == pytest.approx(round(moved, 2) - 0.09, abs=1e-9)
        assert shown.handle().get_attribute("aria-valuetext") == f"θ {w:.2f}".replace("-", "−")
        assert_shown(shown)
        for key, end in (("Home", -0.6), ("End", 1.6)):
            shown.press(0, key)
            assert_shown(shown, w=end)
        plot = shown.figure.locator(".mb-plot svg").bounding_box()
        shown.page.mouse.click(plot["x"] + plot["width"] * 0.2, plot["y"] + plot["height"] * 0.3)
        assert shown.ask("f.state.w") < 0
        assert_shown(shown)
        shown.drag(0, -3000, 0)  # the weight stays in the plot
        assert_shown(shown, w=-0.6)


def test_the_button_leads_to_the_jump(show):
    with show(kink_figure()) as shown:
        for h in (0.01, 0.02, 0.03, 0.14, 0.5):
            shown.click("reset")
            shown.slide("h", h)
            shown.click("jump")
            assert shown.ask("f.state.w") > 0
            assert shown.ask("f.values.straddles")
            assert_shown(shown, h=h)


def test_the_jump_is_drawn_open_and_filled(show):
    with show(kink_figure()) as shown:
        open_circle = shown.figure.locator(".mb-layer-marks circle.mb-trail-start")
        filled = shown.figure.locator(".mb-layer-marks circle.mb-marker")
        height = open_circle.bounding_box()["y"] - filled.bounding_box()["y"]
        shown.slide("alpha", 1)
        full = open_circle.bounding_box()["y"] - filled.bounding_box()["y"]
        assert height / full == pytest.approx(0.375 / 0.5, abs=0.01)
        shown.slide("alpha", 0)
        assert not open_circle.is_visible()
        shown.slide("alpha", 0.5)
        shown.figure.locator(".mb-legend button", has_text="MAML").click()
        assert not open_circle.is_visible()
