"""The figure of the pull: its solutions and gradients against autograd, its controls by pointer and keyboard."""

import json
import math
import random
import re

import pytest
import torch

from mamlbook.pages.figures import proximal_pull
from shown import Shown, assert_fits, payload

FIRST = {"h": [1.0, 3.0], "c": [0.0, 1.0], "theta": 0.6, "lam": 1.0, "alpha": 0.05, "steps": 10}
PRESETS = {
    "all": {"lam": 0.01, "alpha": 0.25, "steps": 100},
    "nobody": {"lam": 100, "alpha": 0.01, "steps": 100},
    "early": {"lam": 0.1, "alpha": 0.05, "steps": 3},
    "strong": {"lam": 10**1.7, "alpha": 0.05, "steps": 6},
}


# ---- the same numbers by autograd ------------------------------------------------------------------------------------


def leaf(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def gradient(value: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(value, at, create_graph=True)[0]


def loss(h: float, c: float, phi: torch.Tensor) -> torch.Tensor:
    return h / 2 * (phi - c) ** 2


def stepped(h: float, c: float, theta: torch.Tensor, state: dict) -> list[torch.Tensor]:
    """The start and the results of S gradient steps on the loss with the pull, differentiable with respect to theta."""
    path = [theta + 0]
    for _ in range(state["steps"]):
        phi = path[-1]
        pulled = state["lam"] / 2 * (phi - theta) ** 2
        path.append(phi - state["alpha"] * (gradient(loss(h, c, phi), phi) + gradient(pulled, phi)))
    return path


def plain(h: float, c: float, theta: torch.Tensor, alpha: float, steps: int) -> torch.Tensor:
    """S gradient steps without a pull."""
    for _ in range(steps):
        theta = theta - alpha * gradient(loss(h, c, theta), theta)
    return theta


def solution(h: float, c: float, theta: torch.Tensor, lam: float) -> torch.Tensor:
    """The minimum over phi of the loss with the pull by Newton's method, differentiable with respect to theta."""
    phi = theta + 0
    for _ in range(3):  # the first is exact but for rounding
        slope = gradient(loss(h, c, phi), phi)
        phi = phi - (slope + lam * (phi - theta)) / (gradient(slope, phi) + lam)
    return phi


def by_formula(h: float, c: float, phi: float, lam: float) -> float:
    """The implicit gradient (1 + H / lam)^-1 L'(phi), as iMAML takes it at a phi that is given."""
    at = leaf(phi)
    slope = gradient(loss(h, c, at), at)
    return (slope / (1 + gradient(slope, at) / lam)).item()


def by_autograd(state: dict, theta: float) -> dict:
    """Every value of the figure that belongs to a start, task by task."""
    found = {name: [] for name in ("pulled", "solved", "paths", "phi", "exact", "implicit")}
    for h, c in zip(state["h"], state["c"], strict=True):
        start = leaf(theta)
        pulled = solution(h, c, start, state["lam"])
        found["pulled"].append(pulled.item())
        found["solved"].append(gradient(loss(h, c, pulled), start).item())
        path = stepped(h, c, start, state)
        found["paths"].append([phi.item() for phi in path])
        found["phi"].append(path[-1].item())
        found["exact"].append(gradient(loss(h, c, path[-1]), start).item())
        found["implicit"].append(by_formula(h, c, path[-1].item(), state["lam"]))
    return found


def weights(state: dict, name: str) -> list[float]:
    """The weight of each task: the slope in theta of its meta-gradient, which is affine."""
    zero, one = by_autograd(state, 0.0)[name], by_autograd(state, 1.0)[name]
    return [after - before for before, after in zip(zero, one, strict=True)]


def growth(state: dict) -> float:
    """How much the steps may amplify rounding: the largest factor of a distance, 1 where all shrink."""
    return max(1, *(abs(1 - state["alpha"] * (h + state["lam"])) ** state["steps"] for h in state["h"]))


def end(found: list[float], c: list[float]) -> float | None:
    """Where descent with these weights ends."""
    return sum(w * at for w, at in zip(found, c, strict=True)) / sum(found) if sum(found) > 0 else None


def assert_values(state: dict, values: dict):
    """All values but MAML's, to 1e-11 of the scale of the numbers that they come from."""
    near = 1e-11 * growth(state)
    found = by_autograd(state, state["theta"])
    for name in ("pulled", "solved", "phi", "implicit"):
        assert values[name] == pytest.approx(found[name], rel=1e-11, abs=near), (name, state)
    assert values["exact"] == pytest.approx(found["exact"], rel=1e-11, abs=near * growth(state)), state
    for path, expected in zip(values["paths"], found["paths"], strict=True):
        assert path == pytest.approx(expected, rel=1e-11, abs=near), state
    for name in ("implicit", "exact"):
        mean = sum(found[name]) / 2
        assert values[f"{name}Mean"] == pytest.approx(mean, rel=1e-11, abs=near * growth(state))
    by_slope = weights(state, "solved")
    assert values["weights"] == pytest.approx(by_slope, rel=1e-9, abs=1e-14)
    assert values["share"] == pytest.approx(by_slope[0] / sum(by_slope), rel=1e-9)
    assert values["start"] == pytest.approx(end(by_slope, state["c"]), abs=1e-9)
    for task, h in enumerate(state["h"]):
        # The steps settle where a first-order recursion does.
        assert values["settles"][task] == (-1 + 1e-12 < 1 - state["alpha"] * (h + state["lam"]) < 1)
        if abs(found["exact"][task]) > 1e-6 * growth(state) ** 2:
            ratio = found["implicit"][task] / found["exact"][task]
            assert values["ratios"][task] == pytest.approx(ratio, rel=1e-8), state


def assert_ends(state: dict, values: dict) -> int:
    """Where the outer loops of S steps end; returns how many were decided."""
    decided = 0
    for name in ("implicit", "exact"):
        by_slope = weights(state, name)
        if abs(sum(by_slope)) < 1e-9 * sum(map(abs, by_slope)) or growth(state) > 1e4:
            continue
        expected = end(by_slope, state["c"])
        if expected is None:
            assert values["ends"][name] is None, state
        else:
            assert values["ends"][name] == pytest.approx(expected, rel=1e-7, abs=1e-7), state
        decided += 1
    return decided


def assert_shown(shown: Shown, **expected):
    state = shown.ask("f.state")
    assert {name: state[name] for name in expected} == expected
    assert_values(state, shown.ask("f.values"))


def compute(shown: Shown, states: list[dict]) -> list[dict]:
    call = "states => JSON.stringify(states.map(window.mamlbook.pull.compute))"
    return json.loads(shown.page.evaluate(call, states))


def said(shown: Shown) -> str:
    return shown.figure.locator('[aria-live="polite"]').inner_text()


def click(shown: Shown, name: str):
    shown.figure.locator(f'button[data-name="{name}"]').click()


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_same_arguments_give_the_same_bytes():
    one, two = proximal_pull(), proximal_pull()
    assert one.html == two.html != proximal_pull(lam=2).html
    assert repr(one) == f"Interactive figure: {one.title}"
    assert payload(one.html)["first"] == FIRST
    assert "where 10 steps lead, 0.40 and 0.87; the solutions under a pull of strength 1 are 0.30 and 0.90." in one.html
    assert "goes from 75% at the pull 0.01 to 26% at 100; at 1 it is 57%." in one.html
    assert len(one.html) < 150_000
    assert proximal_pull(h=(4, 4), alpha=0.25).html  # MAML's one step solves both, and gives neither a weight


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0.26}, "alpha: expected 0.01 to 0.25, got 0.26"),
        ({"alpha": math.nan}, "alpha: expected 0.01 to 0.25, got nan"),
        ({"steps": 101}, "steps: expected a whole number from 0 to 100, got 101"),
        ({"steps": 2.5}, "steps: expected a whole number from 0 to 100, got 2.5"),
        ({"lam": 0}, "lam: expected 0.01 to 100, got 0"),
        ({"theta": 1.5}, "theta: expected -0.4 to 1.4, got 1.5"),
        ({"h": (1, 2, 3)}, "h: expected two numbers, one a task, got 3"),
        ({"h": (1, 4.5)}, "h: expected 0.25 to 4, got 1, 4.5"),
        ({"c": (-1, 0)}, "c: expected -0.4 to 1.4, got -1, 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        proximal_pull(**arguments)


# ---- in the browser: the arithmetic ----------------------------------------------------------------------------------


def test_compute_equals_autograd_all_over_the_sliders(show):
    draw, states = random.Random(0), [FIRST, *({**FIRST, **preset} for preset in PRESETS.values())]
    for _ in range(120):
        states.append(
            {
                "h": [draw.randint(1, 16) / 4 for _ in range(2)],
                "c": [draw.randint(-8, 28) / 20 for _ in range(2)],
                "theta": draw.randint(-40, 140) / 100,
                "lam": 10 ** (draw.randint(-200, 200) / 100),
                "alpha": draw.randint(1, 25) / 100,
                "steps": draw.choice([0, 1, 2, 3, draw.randint(4, 100)]),
            }
        )
    with show(proximal_pull()) as shown:
        found = compute(shown, states)
    for state, values in zip(states, found, strict=True):
        assert_values(state, values)
    assert sum(map(assert_ends, states, found)) > 1.5 * len(states)
    assert sum(not all(values["settles"]) for values in found) > 10


def test_the_formula_and_the_steps_agree_once_phi_is_stationary(show):
    stops = [0, 1, 2, 5, 10, 20, 50, 100]
    with show(proximal_pull()) as shown:
        found = compute(shown, [{**FIRST, "alpha": 0.2, "steps": steps} for steps in stops])
    off = [max(abs(1 - ratio) for ratio in values["ratios"]) for values in found]
    assert off == sorted(off, reverse=True)
    assert off[0] > 0.5
    assert off[-1] < 1e-12
    for name in ("implicit", "exact"):
        assert found[-1][name] == pytest.approx(found[-1]["solved"], rel=1e-12)


def test_the_first_steps_are_those_of_joint_training_and_of_maml(show):
    states = [{**FIRST, "lam": lam, "alpha": 0.1, "steps": steps} for lam in (0.1, 1, 5) for steps in (0, 1)]
    with show(proximal_pull()) as shown:
        for state, values in zip(states, compute(shown, states), strict=True):
            for h, c, slope in zip(state["h"], state["c"], values["exact"], strict=True):
                start = leaf(state["theta"])
                adapted = plain(h, c, start, state["alpha"], state["steps"])  # no pull in it
                assert slope == pytest.approx(gradient(loss(h, c, adapted), start).item(), abs=1e-14)


def test_the_limits_of_the_pull(show):
    for h in ([1.0, 3.0], [4.0, 0.5]):
        with show(proximal_pull()) as shown:
            small, large, equal = compute(
                shown, [{**FIRST, "h": h, "lam": lam} for lam in (1e-7, 1e7, math.prod(h) ** 0.5)]
            )
        assert small["share"] == pytest.approx(h[1] / sum(h), abs=1e-6)  # as 1/h
        assert large["share"] == pytest.approx(h[0] / sum(h), abs=1e-6)  # as h
        assert equal["share"] == pytest.approx(0.5, abs=1e-12)


def test_mamls_share_at_the_matching_number_of_steps(show):
    cases = [(0.05, 10), (0.25, 1), (0.01, 100), (0.2, 7)]
    states = [{**FIRST, "h": [0.75, 3], "alpha": alpha, "lam": 1 / (alpha * steps)} for alpha, steps in cases]
    with show(proximal_pull()) as shown:
        for state, (alpha, steps), values in zip(states, cases, compute(shown, states), strict=True):
            found = []
            for h in state["h"]:
                start = leaf(1.0)
                found.append(gradient(loss(h, 0.0, plain(h, 0.0, start, alpha, steps)), start).item())
            assert values["maml"]["steps"] == pytest.approx(steps, rel=1e-12)
            assert values["maml"]["share"] == pytest.approx(found[0] / sum(found), rel=1e-10)
        # A strong pull asks for less than one step; and one step may solve both tasks.
        strong, solved = compute(shown, [{**FIRST, "lam": 50}, {**FIRST, "h": [4, 4], "alpha": 0.25}])
        assert strong["maml"]["share"] is solved["maml"]["share"] is None
        # On a shallow bowl both go equally far: what they keep differs in second order only.
        for h in (0.1, 0.01):
            (values,) = compute(shown, [{**FIRST, "h": [h, h], "alpha": 0.01, "lam": 1}])
            assert abs(values["kept"][0] - (1 - 0.01 * h) ** 100) < h**2


# ---- in the browser: the controls ------------------------------------------------------------------------------------


def test_sliders_and_buttons(show):
    with show(proximal_pull()) as shown:
        assert_shown(shown, **FIRST)
        for log, steps, h2, alpha in [(-0.5, 3, 0.25, 0.25), (1.24, 40, 4, 0.02), (2, 100, 1, 0.25), (-2, 0, 2.5, 0.1)]:
            for name, value in (("lam", log), ("steps", steps), ("h2", h2), ("alpha", alpha)):
                shown.slide(name, value)
            assert_shown(shown, steps=steps, h=[1, h2], alpha=alpha)
            assert shown.ask("f.state.lam") == pytest.approx(10**log, rel=1e-12)
        for name, state in {**PRESETS, "reset": FIRST}.items():
            click(shown, name)
            assert_shown(shown, **{name: value for name, value in state.items() if name != "lam"})
            assert shown.ask("f.state.lam") == pytest.approx(state["lam"], rel=1e-12)
            for slider in ("alpha", "steps", "lam"):
                shows = float(shown.figure.locator(f'input[data-name="{slider}"]').input_value())
                assert shows == pytest.approx(math.log10(state["lam"]) if slider == "lam" else state[slider], abs=1e-9)
        assert not shown.complaints


def test_sliders_answer_to_the_keyboard(show):
    with show(proximal_pull()) as shown:
        slider = shown.figure.locator('input[data-name="lam"]')
        for _ in range(3):
            slider.press("ArrowRight")
        assert shown.ask("f.state.lam") == pytest.approx(10**0.03, rel=1e-12)
        slider.press("Home")
        assert shown.ask("f.state.lam") == pytest.approx(0.01, rel=1e-12)
        assert slider.get_attribute("aria-valuetext") == "0.01"
        assert_shown(shown)
        shown.figure.locator('input[data-name="steps"]').press("End")
        shown.figure.locator('input[data-name="h2"]').press("ArrowLeft")
        shown.figure.locator('input[data-name="alpha"]').press("ArrowRight")
        assert_shown(shown, steps=100, h=[1, 2.75], alpha=0.06)


def test_the_start_follows_pointer_and_keyboard(show):
    with show(proximal_pull()) as shown:
        shown.drag(0, 60, 0)
        moved = shown.ask("f.state.theta")
        assert 0.7 < moved < 1.2
        assert_shown(shown)
        shown.press(0, "ArrowRight", "ArrowUp", "ArrowLeft", "Shift+ArrowLeft")
        assert shown.ask("f.state.theta") == pytest.approx(round(moved, 2) - 0.09, abs=1e-9)
        assert shown.handle().get_attribute("aria-label") == "Start theta"
        assert shown.handle().get_attribute("aria-valuetext") == f"theta {shown.ask('f.state.theta'):.2f}"
        assert_shown(shown)
        for key, theta in (("Home", -0.4), ("End", 1.4)):
            shown.press(0, key)
            assert_shown(shown, theta=theta)
        box = shown.figure.locator(".mb-plot svg").first.bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] * 0.3, box["y"] + box["height"] * 0.3)
        assert -0.2 < shown.ask("f.state.theta") < 0.3
        assert_shown(shown)
        shown.drag(0, -3000, 0)  # the start stays in the plot
        assert_shown(shown, theta=-0.4)
        assert not shown.complaints


def test_the_rule_at_the_pull_follows_the_pointer(show):
    with show(proximal_pull()) as shown:
        picture = shown.figure.locator(".mb-plot svg").nth(1)
        rule, slider = picture.locator(".mb-handle"), shown.figure.locator('input[data-name="lam"]')
        assert rule.get_attribute("aria-hidden") == "true"
        dot = rule.locator(".mb-dot").bounding_box()
        x, y = dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2
        shown.page.mouse.move(x, y)
        shown.page.mouse.down()
        shown.page.mouse.move(x + 80, y)
        shown.page.mouse.up()
        log = math.log10(shown.ask("f.state.lam"))
        assert 0.7 < log < 1.2
        assert float(slider.input_value()) == pytest.approx(log, abs=1e-9)
        assert shown.page.evaluate("document.activeElement.dataset.name") == "lam"
        slider.press("ArrowRight")
        assert math.log10(shown.ask("f.state.lam")) == pytest.approx(log + 0.01, abs=1e-9)
        box = picture.bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.6)
        assert shown.ask("f.state.lam") < 0.2
        assert_shown(shown)
        assert not shown.complaints


def test_at_the_fixed_point_the_meta_gradient_is_zero(show):
    with show(proximal_pull()) as shown:
        for name, value in (("alpha", 0.2), ("steps", 100)):
            shown.slide(name, value)
        click(shown, "start")
        assert shown.ask("f.state.theta") == pytest.approx(3 / 7, abs=1e-12)
        assert "is 0 by the implicit formula and 0 through the steps" in said(shown)
        assert_shown(shown)


# ---- in the browser: words and pictures ------------------------------------------------------------------------------


def test_what_is_said_is_what_is_computed(show):
    with show(proximal_pull()) as shown:
        assert "keep 50% of the distance to the optimum in task 1 and 25% in task 2. Task 1 has 57%" in said(shown)
        assert "35% of the way to φ* is left in task 1 and 11% in task 2" in said(shown)
        assert "finds 74% of the slope in task 1 and 76% in task 2." in said(shown)
        for name in ("reset", *PRESETS):
            click(shown, name)
            numbers = shown.figure.locator(".mb-says .mb-number").all_inner_texts()
            share, start, implicit, exact = (float(text.strip("%").replace("−", "-")) for text in numbers)
            values = shown.ask("f.values")
            assert share == pytest.approx(100 * values["share"], abs=0.5)
            assert start == pytest.approx(values["start"], abs=0.005)
            assert implicit == pytest.approx(values["implicitMean"], rel=0.005)
            assert exact == pytest.approx(values["exactMean"], rel=0.005)


def test_what_is_out_of_the_ordinary_is_said(show):
    with show(proximal_pull()) as shown:
        assert "never settle:" not in said(shown)
        click(shown, "strong")
        assert "The steps in both tasks never settle: α(h + λ) = 2.66 is not below 2." in said(shown)
        assert "less than one step" in said(shown)
        shown.slide("lam", 1.58)
        assert "The steps in task 2 never settle: α(h + λ) = 2.05 is not below 2." in said(shown)
        click(shown, "early")
        assert shown.ask("f.values.implicitMean") > 0 > shown.ask("f.values.exactMean")
        assert "Here even the sign of the mean is wrong." in said(shown)
        shown.slide("steps", 1)
        assert "(that of MAML: the first step does not feel the pull)" in said(shown)
        shown.slide("steps", 0)
        assert "Before any step" in said(shown)
        assert "(that of joint training)" in said(shown)
        for name in ("all", "nobody"):
            click(shown, name)
            assert "the two agree within 1% in each task" in said(shown)
        # Overshooting more and more, an odd number of steps turns the weight of task 2 around.
        for name, value in (("lam", 1.6), ("alpha", 0.15), ("steps", 3)):
            shown.slide(name, value)
        assert shown.ask("f.values.ends.implicit") is None
        assert "An outer loop that follows the formula runs away;" in said(shown)
        assert not shown.complaints


def place(locator) -> tuple[float, float]:
    """Where a drawn thing is translated to."""
    x, y = re.match(r"translate\(([-\d.]+) ([-\d.]+)\)", locator.get_attribute("transform")).groups()
    return float(x), float(y)


def middle(locator) -> tuple[float, float]:
    box = locator.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_marks_stand_where_the_solutions_are(show):
    with show(proximal_pull()) as shown:
        bowls = shown.figure.locator(".mb-plot svg").first
        zero = middle(bowls.locator(".mb-handle .mb-dot"))[0]
        shown.press(0, "End")
        high = middle(bowls.locator(".mb-handle .mb-dot"))[0]
        shown.slide("steps", 1)
        unit, rings = (high - zero) / 0.8, bowls.locator("path.mb-trail-start")
        for task, pulled in enumerate(shown.ask("f.values.pulled")):
            # Task 2's ring is a square and task 1's a circle; both are symmetric around their places.
            assert 0.6 + (middle(rings.nth(task))[0] - zero) / unit == pytest.approx(pulled, abs=0.01)


def test_the_mark_on_the_line_of_weights_is_the_share(show):
    with show(proximal_pull()) as shown:
        weights_plot = shown.figure.locator(".mb-plot svg").nth(1)
        view = weights_plot.evaluate("node => node.viewBox.baseVal.height")
        mark = weights_plot.locator(".mb-layer-marks > g > path.mb-marker").first
        for log in (-2, -0.3, 0.24, 1.5):
            shown.slide("lam", log)
            share = (view - 38 - place(mark)[1]) / (view - 38 - 24)
            assert share == pytest.approx(shown.ask("f.values.share"), abs=1e-9)


def test_the_legend_shows_and_hides(show):
    with show(proximal_pull()) as shown:
        bowls, weights_plot = (shown.figure.locator(".mb-plot svg").nth(i) for i in (0, 1))
        visible = bowls.locator(".mb-layer-curves > g:visible")
        assert visible.count() == 4  # two bowls, the pull, one bowl with the pull
        for words, number in [("Task 2 + pull", 5), ("Pull", 4), ("Task 1 + pull", 3)]:
            shown.figure.locator(".mb-legend button", has_text=words).first.click()
            assert visible.count() == number
        shown.figure.locator(".mb-legend button", has_text="MAML, αS").press("Enter")
        assert weights_plot.locator(".mb-layer-curves > g:visible").count() == 1
        rings = bowls.locator("path.mb-trail-start:visible")
        assert rings.count() == 2
        shown.figure.locator(".mb-legend button", has_text="Task 1").first.click()
        assert rings.count() == 1


def test_pulls_that_are_too_strong_are_hatched(show):
    with show(proximal_pull()) as shown:
        plot = shown.figure.locator(".mb-plot svg").nth(1)
        hatch, rule = plot.locator(".mb-layer-curves > rect"), plot.locator(".mb-handle")
        for alpha, h2 in [(0.05, 3), (0.25, 4), (0.1, 0.25)]:
            shown.slide("alpha", alpha)
            shown.slide("h2", h2)
            limit = 2 / alpha - max(1, h2)
            log = round(math.log10(limit), 2)
            shown.slide("lam", log)
            assert float(hatch.get_attribute("x")) == pytest.approx(place(rule)[0], abs=0.6)
        shown.slide("alpha", 0.01)
        assert float(hatch.get_attribute("width")) == pytest.approx(0, abs=1e-9)


# ---- manners ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [900, 640, 390, 320])
@pytest.mark.parametrize("h", [(1, 3), (4, 0.25)])
def test_the_figure_fits_its_page(show, width, h):
    with show(proximal_pull(h=h), viewport={"width": width, "height": 800}) as shown:
        for name in ["reset", *PRESETS]:
            click(shown, name)
            # No letter is cut at the edge of a drawing.
            cut = """[...document.querySelectorAll('.mb-plot text')].filter(node => node.textContent).filter(node => {
              const box = node.getBBox(), wide = node.ownerSVGElement.viewBox.baseVal.width;
              return node.checkVisibility() && (box.x < -1 || box.x + box.width > wide + 1);
            }).map(node => node.textContent)"""
            assert shown.page.evaluate(cut) == []
            assert_fits(shown)
        boxes = [shown.figure.locator(".mb-plot").nth(i).bounding_box() for i in (0, 1)]
        assert (boxes[0]["y"] == boxes[1]["y"]) == (width == 900)
