"""The figure of a tuned rate: its slopes against real steps in PyTorch, its controls, what it says."""

import math
import random

import pytest
import torch

from mamlbook.pages.figures import rate_slopes
from shown import Shown, payload

FIRST = {"alpha": 0.5, "steps": 80, "low": 0.1}
ENDS = 0.1, 2.5


def final(alpha: torch.Tensor, steps: int, low: float) -> torch.Tensor:
    """The loss after real steps at every rate, by the gradients of the loss itself."""
    h = torch.linspace(low, 1, 20, dtype=torch.float64)
    phi = torch.full((*alpha.shape, 20), 20**-0.5, dtype=torch.float64, requires_grad=True)
    for _ in range(steps):
        (gradient,) = torch.autograd.grad((h * phi**2).sum() / 2, phi, create_graph=True)
        phi = phi - alpha[..., None] * gradient
    return (h * phi**2).sum(-1) / 2


def slopes(alphas: list[float], steps: int, low: float) -> tuple[list[float], list[float]]:
    """The slopes of F and of log F / S at several rates by back-propagation through the steps."""
    alpha = torch.tensor(alphas, dtype=torch.float64, requires_grad=True)
    loss = final(alpha, steps, low)
    (raw,) = torch.autograd.grad(loss.sum(), alpha, retain_graph=True)
    (logarithm,) = torch.autograd.grad(loss.log().sum() / steps, alpha)
    return raw.tolist(), logarithm.tolist()


def assert_values(state: dict, values: dict):
    alpha, steps, low = (state[name] for name in ("alpha", "steps", "low"))
    start, after = final(torch.tensor([0.0, alpha], dtype=torch.float64), steps, low).tolist()
    assert values["kept"] == pytest.approx(after / start, rel=1e-10)
    best = values["best"]
    (left, right), _ = slopes([best * (1 - 1e-9), best * (1 + 1e-9)], steps, low)
    assert left < 0 < right
    raw, logarithm = slopes([alpha, *ENDS], steps, low)
    # Near the minimum a slope is a difference of larger terms.
    near = max(1, 1e-2 / abs(alpha - best)) * 1e-10
    assert values["slope"] == pytest.approx(raw[0], rel=near)
    assert values["logSlope"] == pytest.approx(logarithm[0], rel=near)
    for name, found in (("loss", raw), ("logarithm", logarithm)):
        needed = [(place - best) / slope for place, slope in zip((alpha, *ENDS), found, strict=True)]
        assert values["needed"][name] == pytest.approx(needed[0], rel=10 * near)
        assert values["apart"][name] == pytest.approx(needed[1] / needed[2], rel=1e-9)
    h = torch.linspace(low, 1, 20, dtype=torch.float64)
    assert values["h"] == pytest.approx(h.tolist(), abs=1e-15)
    own = (torch.ones(20).double() - alpha * h).abs()
    assert values["parts"] == pytest.approx((own ** (2 * steps)).tolist(), rel=1e-10, abs=1e-300)
    assert values["overshoot"] == sum(alpha * one > 1 + 1e-12 for one in h.tolist())
    assert values["grow"] == (own > 1 + 1e-12).sum().item()


def assert_shown(shown: Shown, **expected):
    state = shown.ask("f.state")
    assert {name: state[name] for name in expected} == expected
    assert_values(state, shown.ask("f.values"))


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_first_picture_and_its_words():
    one = rate_slopes()
    assert one.html != rate_slopes(steps=3).html
    assert payload(one.html)["first"] == FIRST
    raw, logarithm = slopes([*ENDS], 80, 0.1)
    sizes = [f"{abs(one):.2g} and {abs(two):.2g}" for one, two in (raw, logarithm)]
    assert f"the slope of F has the sizes {sizes[0]}, that of log F / S {sizes[1]}." in one.html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 3.1}, "alpha: expected 0 to 3, got 3.1"),
        ({"alpha": math.nan}, "alpha: expected 0 to 3, got nan"),
        ({"low": 0.01}, "low: expected 0.05 to 0.3, got 0.01"),
        ({"steps": 4}, "steps: expected one of 1, 2, 3, 5, 10, 20, 40, 80, got 4"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        rate_slopes(**arguments)


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_compute_equals_back_propagation_through_the_steps(show):
    draw, lows = random.Random(0), [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]
    states = [
        {"alpha": alpha, "steps": steps, "low": draw.choice(lows)}
        for steps in (1, 2, 3, 5, 10, 20, 40, 80)
        for alpha in (0, 1, 2, 3, *(draw.randint(0, 300) / 100 for _ in range(6)))
    ]
    with show(rate_slopes()) as shown:
        for state, values in zip(states, shown.compute(states), strict=True):
            assert_values(state, values)


def test_the_longer_the_loop_the_further_apart_on_f_alone(show):
    with show(rate_slopes()) as shown:
        found = shown.compute([{**FIRST, "steps": steps} for steps in (1, 3, 10, 20, 40, 80)])
    apart = [max(one["apart"]["loss"], 1 / one["apart"]["loss"]) for one in found[1:]]
    assert apart == sorted(apart)
    assert apart[-1] > 1e30
    assert all(0.1 < one["apart"]["logarithm"] < 10 for one in found)


def test_sliders_buttons_and_reset(show):
    with show(rate_slopes()) as shown:
        assert_shown(shown, **FIRST)
        for place, steps, low in [(2, 3, 0.3), (0, 1, 0.05), (7, 80, 0.2)]:
            shown.slide("steps", place)
            shown.slide("low", low)
            assert_shown(shown, alpha=0.5, steps=steps, low=low)
        for name, alpha in (("to-2.5", 2.5), ("to-0.1", 0.1)):
            shown.click(name)
            assert_shown(shown, alpha=alpha)
        shown.click("best")
        assert shown.ask("f.state.alpha") == shown.ask("f.values.best")
        assert "This is the best rate" in shown.said()
        shown.click("reset")
        assert_shown(shown, **FIRST)
        inputs = shown.figure.locator('input[type="range"]')
        assert [node.input_value() for node in inputs.all()] == ["7", "0.1"]


def test_the_rate_follows_pointer_and_keyboard(show):
    with show(rate_slopes()) as shown:
        shown.drag(0, 60, 0)
        moved = shown.ask("f.state.alpha")
        assert 0.7 < moved < 1.3
        assert_shown(shown)
        shown.press(0, "ArrowRight", "ArrowUp", "ArrowLeft", "Shift+ArrowRight")
        assert shown.ask("f.state.alpha") == pytest.approx(round(moved, 2) + 0.11, abs=1e-9)
        assert shown.handle().get_attribute("aria-valuetext") == f"alpha {shown.ask('f.state.alpha'):.2f}"
        for key, end in (("Home", 0), ("End", 3)):
            shown.press(0, key)
            assert_shown(shown, alpha=end)
        # The right plot has the same rule, and a place to click.
        box = shown.figure.locator(".mb-plot svg").nth(1).bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
        assert 1.2 < shown.ask("f.state.alpha") < 1.6
        assert_shown(shown)
        shown.drag(0, 3000, 0)
        assert_shown(shown, alpha=3)


def test_what_is_said_is_what_is_computed(show):
    with show(rate_slopes()) as shown:
        assert "At α = 0.50 the loss after 80 steps is 2.5 · 10⁻⁶ of the loss before." in shown.said().replace(
            "\xa0", " "
        )
        assert "No direction overshoots its minimum." in shown.said()
        assert "To reach the best rate, 1.80, in one outer step" in shown.said()
        shown.click("to-2.5")
        assert "13 of 20 directions overshoot; 5 of them, with αh above 2, grow at every step." in shown.said()
        shown.slide("steps", 2)
        values = shown.ask("f.values")
        numbers = shown.figure.locator(".mb-says .mb-number").all_inner_texts()
        expected = [values["kept"], values["needed"]["loss"], values["needed"]["logarithm"]]
        assert [float(text) for text in numbers] == pytest.approx(expected, rel=0.03)
        assert "after 3 steps" in shown.said()
        shown.slide("steps", 0)
        assert "after 1 step is" in shown.said()


def test_a_state_that_is_put_back_is_shown(show):
    with show(rate_slopes()) as shown:
        shown.slide("steps", 4)
        shown.press(0, "End")
        left = shown.ask("[f.state, f.values]")
        shown.click("reset")
        shown.figure.evaluate(
            "(one, state) => { Object.assign(one.mamlbook.state, state); one.mamlbook.redraw(); }", left[0]
        )
        assert shown.ask("[f.state, f.values]") == left
