"""The figure of the pull: its solutions and gradients against autograd, its controls by pointer and keyboard."""

import functools
import json
import math
import random
import re

import pytest
import torch

from mamlbook.pages.figures import proximal_pull
from shown import MISFITS, Shown, payload

FIRST = {"h": [1.0, 3.0], "c": [0.0, 1.0], "theta": 0.6, "lam": 1.0, "alpha": 0.05, "steps": 10}
PRESETS = {
    "all": {"lam": 0.01, "alpha": 0.25, "steps": 100},
    "nobody": {"lam": 100, "alpha": 0.01, "steps": 100},
    "early": {"lam": 0.1, "alpha": 0.05, "steps": 3},
    "strong": {"lam": 10**1.7, "alpha": 0.05, "steps": 6},
}


# ---- the same numbers by autograd, for many states at once: (states, tasks) ------------------------------------------


def stacked(states: list[dict], name: str) -> torch.Tensor:
    """A number of every state, or one for each of its tasks, with an axis for the tasks."""
    values = torch.tensor([state[name] for state in states], dtype=torch.float64)
    return values if values.ndim == 2 else values[:, None]


def gradient(value: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(value.sum(), at, create_graph=True)[0]


class Tasks:
    """The tasks of many states, and what autograd makes of their losses."""

    def __init__(self, states: list[dict]):
        self.h, self.c, self.lam, self.alpha, self.steps = (
            stacked(states, name) for name in ("h", "c", "lam", "alpha", "steps")
        )

    def loss(self, phi: torch.Tensor) -> torch.Tensor:
        return self.h / 2 * (phi - self.c) ** 2

    def stepped(self, theta: torch.Tensor, *, pull: bool = True) -> list[torch.Tensor]:
        """theta and what every step makes of it, differentiable; who has done all its steps stays where it is."""
        path = [theta + 0]
        for step in range(int(self.steps.max())):
            phi = path[-1]
            slope = gradient(self.loss(phi), phi)
            if pull:
                slope = slope + gradient(self.lam / 2 * (phi - theta) ** 2, phi)
            path.append(torch.where(step < self.steps, phi - self.alpha * slope, phi))
        return path

    def solution(self, theta: torch.Tensor) -> torch.Tensor:
        """The minimum over phi of the loss with the pull by Newton's method, differentiable with respect to theta."""
        phi = theta + 0
        for _ in range(3):  # the first is exact but for rounding
            slope = gradient(self.loss(phi), phi)
            phi = phi - (slope + self.lam * (phi - theta)) / (gradient(slope, phi) + self.lam)
        return phi

    def implicit(self, phi: torch.Tensor) -> torch.Tensor:
        """The implicit gradient (1 + H / lam)^-1 L'(phi), as iMAML takes it at a phi that is given."""
        at = phi.detach().requires_grad_()
        slope = gradient(self.loss(at), at)
        return slope / (1 + gradient(slope, at) / self.lam)

    def at(self, theta: float | torch.Tensor) -> dict[str, torch.Tensor]:
        """Every value of the figure that belongs to a start, task by task."""
        start = (torch.zeros_like(self.h) + theta).requires_grad_()
        pulled, path = self.solution(start), self.stepped(start)
        found = {"pulled": pulled, "solved": gradient(self.loss(pulled), start), "phi": path[-1]}
        found |= {"exact": gradient(self.loss(path[-1]), start), "implicit": self.implicit(path[-1])}
        return {name: value.detach() for name, value in found.items()} | {"paths": torch.stack(path, -1).detach()}


@functools.cache
def _by_autograd(text: str) -> list[dict]:
    states = json.loads(text)
    tasks = Tasks(states)
    found, zero, one = tasks.at(stacked(states, "theta")), tasks.at(0.0), tasks.at(1.0)
    # The weight of a task is the slope in theta of its meta-gradient, which is affine.
    found |= {f"{name} weights": one[name] - zero[name] for name in ("solved", "implicit", "exact")}
    return [{name: value[n].tolist() for name, value in found.items()} for n in range(len(states))]


def by_autograd(*states: dict) -> list[dict]:
    """The values of every state."""
    return _by_autograd(json.dumps(states))


def growth(state: dict) -> float:
    """How much the steps may amplify rounding: the largest factor of a distance, 1 where all shrink."""
    return max(1, *(abs(1 - state["alpha"] * (h + state["lam"])) ** state["steps"] for h in state["h"]))


def end(found: list[float], c: list[float]) -> float | None:
    """Where descent with these weights ends."""
    return sum(w * at for w, at in zip(found, c, strict=True)) / sum(found) if sum(found) > 0 else None


def assert_values(state: dict, values: dict, found: dict):
    """All values but MAML's, to 1e-11 of the scale of the numbers that they come from."""
    near = 1e-11 * growth(state)
    for name in ("pulled", "solved", "phi", "implicit"):
        assert values[name] == pytest.approx(found[name], rel=1e-11, abs=near), (name, state)
    assert values["exact"] == pytest.approx(found["exact"], rel=1e-11, abs=near * growth(state)), state
    for path, expected in zip(values["paths"], found["paths"], strict=True):
        assert path == pytest.approx(expected[: len(path)], rel=1e-11, abs=near), state
        assert len(path) == state["steps"] + 1
    for name in ("implicit", "exact"):
        mean = sum(found[name]) / 2
        assert values[f"{name}Mean"] == pytest.approx(mean, rel=1e-11, abs=near * growth(state))
    by_slope = found["solved weights"]
    assert values["weights"] == pytest.approx(by_slope, rel=1e-9, abs=1e-14)
    assert values["share"] == pytest.approx(by_slope[0] / sum(by_slope), rel=1e-9)
    assert values["start"] == pytest.approx(end(by_slope, state["c"]), abs=1e-9)
    for task, h in enumerate(state["h"]):
        # The steps settle where a first-order recursion does.
        assert values["settles"][task] == (-1 + 1e-12 < 1 - state["alpha"] * (h + state["lam"]) < 1)
        if abs(found["exact"][task]) > 1e-6 * growth(state) ** 2:
            ratio = found["implicit"][task] / found["exact"][task]
            assert values["ratios"][task] == pytest.approx(ratio, rel=1e-8), state


def assert_ends(state: dict, values: dict, found: dict) -> int:
    """Where the outer loops of S steps end; returns how many were decided."""
    decided = 0
    for name in ("implicit", "exact"):
        by_slope = found[f"{name} weights"]
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
    assert_values(state, shown.ask("f.values"), *by_autograd(state))


def compute(shown: Shown, states: list[dict]) -> list[dict]:
    call = "states => JSON.stringify(states.map(window.mamlbook.pull.compute))"
    return json.loads(shown.page.evaluate(call, states))


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_first_picture_and_its_words():
    one = proximal_pull()
    assert one.html != proximal_pull(lam=2).html
    assert payload(one.html)["first"] == FIRST
    assert "where 10 steps lead, 0.40 and 0.87; the solutions under a pull of strength 1 are 0.30 and 0.90." in one.html
    assert "goes from 75% at the pull 0.01 to 26% at 100; at 1 it is 57%." in one.html
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
    expected = by_autograd(*states)
    for state, values, true in zip(states, found, expected, strict=True):
        assert_values(state, values, true)
    assert sum(map(assert_ends, states, found, expected)) > 1.5 * len(states)
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


def without_pull(states: list[dict], theta: float) -> list[list[float]]:
    """The gradient of each task's loss after its steps without a pull, through the steps."""
    tasks = Tasks(states)
    start = (torch.zeros_like(tasks.h) + theta).requires_grad_()
    return gradient(tasks.loss(tasks.stepped(start, pull=False)[-1]), start).tolist()


def test_the_first_steps_are_those_of_joint_training_and_of_maml(show):
    states = [{**FIRST, "lam": lam, "alpha": 0.1, "steps": steps} for lam in (0.1, 1, 5) for steps in (0, 1)]
    with show(proximal_pull()) as shown:
        for values, slopes in zip(compute(shown, states), without_pull(states, FIRST["theta"]), strict=True):
            assert values["exact"] == pytest.approx(slopes, abs=1e-14)


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
        plain = [{**state, "c": [0.0, 0.0], "steps": steps} for state, (_, steps) in zip(states, cases, strict=True)]
        answers = zip(cases, compute(shown, states), without_pull(plain, 1.0), strict=True)
        for (_, steps), values, found in answers:
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
            shown.click(name)
            assert_shown(shown, **{name: value for name, value in state.items() if name != "lam"})
            assert shown.ask("f.state.lam") == pytest.approx(state["lam"], rel=1e-12)
            for slider in ("alpha", "steps", "lam"):
                shows = float(shown.figure.locator(f'input[data-name="{slider}"]').input_value())
                assert shows == pytest.approx(math.log10(state["lam"]) if slider == "lam" else state[slider], abs=1e-9)


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


def test_at_the_fixed_point_the_meta_gradient_is_zero(show):
    with show(proximal_pull()) as shown:
        for name, value in (("alpha", 0.2), ("steps", 100)):
            shown.slide(name, value)
        shown.click("start")
        assert shown.ask("f.state.theta") == pytest.approx(3 / 7, abs=1e-12)
        assert "is 0 by the implicit formula and 0 through the steps" in shown.said()
        assert_shown(shown)


# ---- in the browser: words and pictures ------------------------------------------------------------------------------


def test_what_is_said_is_what_is_computed(show):
    with show(proximal_pull()) as shown:
        assert "keep 50% of the distance to the optimum in task 1 and 25% in task 2. Task 1 has 57%" in shown.said()
        assert "35% of the way to φ* is left in task 1 and 11% in task 2" in shown.said()
        assert "finds 74% of the slope in task 1 and 76% in task 2." in shown.said()
        for name in ("reset", *PRESETS):
            shown.click(name)
            numbers = shown.figure.locator(".mb-says .mb-number").all_inner_texts()
            share, start, implicit, exact = (float(text.strip("%").replace("−", "-")) for text in numbers)
            values = shown.ask("f.values")
            assert share == pytest.approx(100 * values["share"], abs=0.5)
            assert start == pytest.approx(values["start"], abs=0.005)
            assert implicit == pytest.approx(values["implicitMean"], rel=0.005)
            assert exact == pytest.approx(values["exactMean"], rel=0.005)


def test_what_is_out_of_the_ordinary_is_said(show):
    with show(proximal_pull()) as shown:
        assert "never settle:" not in shown.said()
        shown.click("strong")
        assert "The steps in both tasks never settle: α(h + λ) = 2.66 is not below 2." in shown.said()
        assert "less than one step" in shown.said()
        shown.slide("lam", 1.58)
        assert "The steps in task 2 never settle: α(h + λ) = 2.05 is not below 2." in shown.said()
        shown.click("early")
        assert shown.ask("f.values.implicitMean") > 0 > shown.ask("f.values.exactMean")
        assert "Here even the sign of the mean is wrong." in shown.said()
        shown.slide("steps", 1)
        assert "(that of MAML: the first step does not feel the pull)" in shown.said()
        shown.slide("steps", 0)
        assert "Before any step" in shown.said()
        assert "(that of joint training)" in shown.said()
        for name in ("all", "nobody"):
            shown.click(name)
            assert "the two agree within 1% in each task" in shown.said()
        # Overshooting more and more, an odd number of steps turns the weight of task 2 around.
        for name, value in (("lam", 1.6), ("alpha", 0.15), ("steps", 3)):
            shown.slide(name, value)
        assert shown.ask("f.values.ends.implicit") is None
        assert "An outer loop that follows the formula runs away;" in shown.said()


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


def test_the_legend_hides_a_task_in_both_plots(show):
    with show(proximal_pull()) as shown:
        rings = shown.figure.locator(".mb-plot svg").first.locator("path.mb-trail-start:visible")
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


def test_the_plots_stand_side_by_side_where_there_is_room(show):
    with show(proximal_pull(h=(4, 0.25))) as shown:
        for width in (900, 640, 390, 320):
            shown.page.set_viewport_size({"width": width, "height": 800})
            shown.rest()
            boxes = [shown.figure.locator(".mb-plot").nth(i).bounding_box() for i in (0, 1)]
            assert (boxes[0]["y"] == boxes[1]["y"]) == (width == 900)
            assert shown.figure.evaluate(MISFITS) == []
