"""The figure of weights: its starts against autograd, its controls by pointer and keyboard, its manners."""

import json
import math
import random

import pytest
import torch

from mamlbook.algorithms.linear_model import ClosedForm
from mamlbook.pages.figures import weights_figure
from mamlbook.tasks.quadratic import Quadratics
from shown import Shown, payload

METHODS = ("joint", "reptile", "fomaml", "maml", "imaml")
FIRST = {"h": [0.5, 4.0], "c": [-1.0, 2.0], "alpha": 0.1, "steps": 3, "lam": 1.0}
PRESETS = {
    "equal": {"h": [2, 2], "c": [-1, 2], "alpha": 0.1, "steps": 3, "lam": 1},
    "one-step": {"h": [1, 3], "c": [0, 1], "alpha": 0.25, "steps": 1, "lam": 1},
    "fomaml": {"h": [1, 3], "c": [0, 1], "alpha": 0.5, "steps": 1, "lam": 1},
    "inner": {"h": [0.5, 4], "c": [-1, 2], "alpha": 0.55, "steps": 3, "lam": 1},
}


# ---- the same starts by autograd, for many states at once: (states, tasks) -------------------------------------------


def gradient(value: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(value.sum(), at, create_graph=True)[0]


class Tasks:
    """The tasks of many states, and what autograd makes of their losses."""

    def __init__(self, states: list[dict]):
        self.h, self.c = (torch.tensor([state[name] for state in states], dtype=torch.float64) for name in "hc")
        names = ("alpha", "steps", "lam")
        numbers = torch.tensor([[state[name] for name in names] for state in states], dtype=torch.float64)
        self.alpha, self.steps, self.lam = numbers[..., None].unbind(1)

    def loss(self, phi: torch.Tensor) -> torch.Tensor:
        return self.h / 2 * (phi - self.c) ** 2

    def adapted(self, theta: torch.Tensor) -> torch.Tensor:
        """S steps of gradient descent, differentiable; who has done all its steps stays where it is."""
        phi = theta + 0
        for step in range(int(self.steps.max())):
            phi = torch.where(step < self.steps, phi - self.alpha * gradient(self.loss(phi), phi), phi)
        return phi

    def proximal(self, theta: torch.Tensor) -> torch.Tensor:
        """The minimum over phi of L(phi) + lam/2 (phi - theta)^2 by Newton's method, differentiable."""
        phi = theta + 0
        for _ in range(3):  # the first is exact but for rounding
            slope = gradient(self.loss(phi), phi)
            phi = phi - (slope + self.lam * (phi - theta)) / (gradient(slope, phi) + self.lam)
        return phi

    def mean_gradient(self, method: str, theta: float | torch.Tensor) -> torch.Tensor:
        """The mean over the tasks of the gradient that a method's outer loop follows: (states)."""
        start = (torch.zeros_like(self.h) + theta).requires_grad_()
        phi = self.proximal(start) if method == "imaml" else self.adapted(start)
        if method == "reptile":
            found = start - phi
        elif method == "fomaml":
            there = phi.detach().requires_grad_()
            found = gradient(self.loss(there), there)
        else:
            found = gradient(self.loss(start if method == "joint" else phi), start)
        return found.detach().mean(1)

    def mean_loss(self, theta: torch.Tensor) -> torch.Tensor:
        """The mean loss after adapting from a start (states,): (states,)."""
        start = theta[:, None].expand_as(self.h).clone().requires_grad_()
        return self.loss(self.adapted(start)).detach().mean(1)


def mean_gradient(method: str, state: dict, theta: float) -> float:
    return Tasks([state]).mean_gradient(method, theta).item()


def rounding(method: str, state: dict) -> float:
    """A bound on what rounding may do to the mean gradient, where phi is near an optimum by cancellation."""
    lefts = [abs(1 - state["alpha"] * h) ** state["steps"] for h in state["h"]]
    factors = lefts if method == "maml" else [1, 1]
    return 1e-13 * sum(max(h, 1) * (1 + n) * f for h, n, f in zip(state["h"], lefts, factors, strict=True))


def assert_values(states: list[dict], answers: list[dict]) -> int:
    """Each method's point is where its affine mean gradient is zero; returns how many were decided to 1e-8."""
    decided, tasks = 0, Tasks(states)
    for method in METHODS:
        zeros = tasks.mean_gradient(method, 0.0)
        slopes = tasks.mean_gradient(method, 1.0) - zeros
        starts = torch.tensor([values["methods"][method]["start"] or 0.0 for values in answers], dtype=torch.float64)
        rows = zip(states, answers, zeros.tolist(), slopes.tolist(), tasks.mean_loss(starts).tolist(), strict=True)
        for state, values, at_zero, slope, loss in rows:
            found, error = values["methods"][method], rounding(method, state)
            assert found["total"] / 2 == pytest.approx(slope, abs=2 * error), (method, state)
            if abs(slope) <= 4 * error:
                continue
            assert found["status"] == ("start" if slope > 0 else "away"), (method, state)
            bound = 4 * error * (1 + abs(at_zero / slope)) / abs(slope)
            decided += bound < 1e-8
            assert found["point"] == pytest.approx(-at_zero / slope, rel=1e-12, abs=bound), (method, state)
            assert found["start"] == (found["point"] if slope > 0 else None)
            if slope > 0:
                assert found["loss"] == pytest.approx(loss, rel=1e-9, abs=1e-12)
            else:
                assert found["loss"] is None
    return decided


def assert_shown(shown: Shown, **expected):
    state = shown.ask("f.state")
    assert {name: state[name] for name in expected} == expected
    assert_values([state], [shown.ask("f.values")])


def compute(shown: Shown, states: list[dict]) -> list[dict]:
    return json.loads(
        shown.page.evaluate("states => JSON.stringify(states.map(window.mamlbook.weights.compute))", states)
    )


def row_of(shown: Shown, method: str) -> str:
    return shown.figure.locator(f'[data-row="{method}"]').text_content()


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_first_picture_and_its_words():
    one = weights_figure()
    assert one.html != weights_figure(lam=2).html
    assert payload(one.html)["first"] == FIRST
    assert "joint training 1.67, Reptile 1.54, FOMAML 1.01, MAML 0.01, iMAML 0.26. Below" in one.html
    assert "FOMAML none, MAML 0.75" in weights_figure(0.5, 1, h=(1, 3), c=(0, 1)).html
    assert "Reptile none" in weights_figure(steps=0).html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.1}, "alpha: expected 0 to 1, got 1.1"),
        ({"alpha": math.nan}, "alpha: expected 0 to 1, got nan"),
        ({"steps": 11}, "steps: expected a whole number from 0 to 10, got 11"),
        ({"steps": 2.5}, "steps: expected a whole number from 0 to 10, got 2.5"),
        ({"lam": -1}, "lam: expected 0 to 10, got -1"),
        ({"h": (1, 2, 3)}, "h: expected two numbers, one a task, got 3"),
        ({"h": (1, 0)}, "h: expected 0.25 to 5, got 1, 0"),
        ({"c": (-3, 0)}, "c: expected -2 to 3, got -3, 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        weights_figure(**arguments)


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_compute_equals_autograd_all_over_the_sliders(show):
    draw, states = random.Random(0), [FIRST, *PRESETS.values()]
    for _ in range(150):
        states.append(
            {
                "h": [draw.randint(1, 20) / 4 for _ in range(2)],
                "c": [draw.randint(-40, 60) / 20 for _ in range(2)],
                "alpha": draw.randint(0, 100) / 100,
                "steps": draw.randint(0, 10),
                "lam": draw.randint(0, 100) / 10,
            }
        )
    with show(weights_figure()) as shown:
        decided = assert_values(states, compute(shown, states))
    assert decided > 0.8 * 5 * len(states)


def test_compute_equals_the_packages_closed_form(show):
    states = [{**FIRST, "steps": steps} for steps in range(1, 11)]
    with show(weights_figure()) as shown:
        for state, values in zip(states, compute(shown, states), strict=True):
            exact = ClosedForm(Quadratics(state["h"], state["c"]).all(), state["alpha"], state["steps"])
            for method in METHODS[:4]:
                expected = exact.fixed_point(method).item()
                assert values["methods"][method]["start"] == pytest.approx(expected, abs=1e-9)


def test_the_starts_of_the_book(show):
    with show(weights_figure()) as shown:
        (values,) = compute(shown, [PRESETS["one-step"]])
        starts = {method: values["methods"][method]["start"] for method in METHODS}
        expected = {"joint": 0.75, "reptile": 0.75, "fomaml": 0.5, "maml": 0.25, "imaml": 3 / 7}
        assert starts == pytest.approx(expected, abs=1e-14)
        (values,) = compute(shown, [PRESETS["equal"]])
        assert {round(found["start"], 12) for found in values["methods"].values()} == {0.5}
        states = [{**FIRST, "steps": steps} for steps in (1, 3, 8)]
        found = [values["methods"]["maml"]["start"] for values in compute(shown, states)]
        assert found == pytest.approx([1.28, 0.01, -0.98], abs=0.005)


def test_where_there_is_no_start(show):
    cases = [
        ({**FIRST, "steps": 0}, "reptile", "still"),
        ({**FIRST, "alpha": 0}, "reptile", "still"),
        ({**FIRST, "h": [2.5, 2.5], "alpha": 0.4}, "maml", "still"),  # one step solves both
        ({**FIRST, "h": [2.5, 2.5], "alpha": 0.4}, "fomaml", "still"),
        ({**FIRST, "lam": 0}, "imaml", "still"),  # the inner solution forgets the start
        ({**PRESETS["fomaml"], "alpha": 0.4}, "fomaml", "drifts"),  # 0.6 - 0.6
        ({**PRESETS["fomaml"], "alpha": 0.4, "c": [1, 1]}, "fomaml", "still"),
        (PRESETS["fomaml"], "fomaml", "away"),
        ({**FIRST, "alpha": 0.6, "steps": 2}, "reptile", "away"),  # 1 - 1.4^2 outweighs 1 - 0.7^2
    ]
    with show(weights_figure()) as shown:
        for (state, method, status), values in zip(cases, compute(shown, [case[0] for case in cases]), strict=True):
            found = values["methods"][method]
            assert (found["status"], found["start"], found["loss"]) == (status, None, None), (state, method)
            slope = mean_gradient(method, state, 1.0) - mean_gradient(method, state, 0.0)
            assert slope < 0 if status == "away" else slope == pytest.approx(0, abs=1e-14)
            if status != "away":
                moves = abs(mean_gradient(method, state, 0.0)) > 1e-14
                assert moves == (status == "drifts")


@pytest.mark.parametrize("beta", [0.01, 0.1, 0.5, 1.5])
def test_the_outer_loop_itself_runs_away_or_arrives(show, beta):
    state = PRESETS["fomaml"]
    with show(weights_figure()) as shown:
        (values,) = compute(shown, [state])
    for method in ("fomaml", "maml"):
        point, theta = values["methods"][method]["point"], 0.2
        first = abs(theta - point)
        for _ in range(20):
            theta -= beta * mean_gradient(method, state, theta)
        assert (abs(theta - point) > first) == (method == "fomaml")


def test_sliders_and_buttons(show):
    with show(weights_figure()) as shown:
        assert_shown(shown, **FIRST)
        assert shown.said().startswith("MAML’s start 0.01 serves task 1, the flatter one, which has 66% of the weight.")
        for alpha, steps, lam, h1, h2 in [(0.3, 7, 4, 1, 2.5), (1, 2, 0.5, 0.25, 5), (0.75, 1, 9.9, 5, 1.5)]:
            for name, value in (("alpha", alpha), ("steps", steps), ("lam", lam), ("h1", h1), ("h2", h2)):
                shown.slide(name, value)
            assert_shown(shown, alpha=alpha, steps=steps, lam=lam, h=[h1, h2])
        for name, state in {**PRESETS, "reset": FIRST}.items():
            shown.click(name)
            assert_shown(shown, **state)
            values = {"alpha": state["alpha"], "steps": state["steps"], "h1": state["h"][0], "lam": state["lam"]}
            for slider, value in values.items():
                assert float(shown.figure.locator(f'input[data-name="{slider}"]').input_value()) == value


def test_the_spoken_losses_are_the_values(show):
    with show(weights_figure()) as shown:
        for name in ("one-step", "fomaml", "inner"):
            shown.click(name)
            losses = [found["loss"] for found in shown.ask("f.values.methods").values()]
            numbers = [float(text) for text in shown.figure.locator(".mb-says .mb-number").all_inner_texts()]
            assert numbers == pytest.approx([loss for loss in losses if loss is not None], rel=0.05)
            assert ("No start: FOMAML." in shown.said()) == (None in losses)


def test_what_is_out_of_the_ordinary_is_said(show):
    with show(weights_figure()) as shown:
        assert "diverges" not in shown.said()
        shown.click("fomaml")
        sentence = "sum to −1.00, below zero: its outer loop runs away from 1.50 and diverges at every outer rate."
        assert sentence in shown.said()
        assert row_of(shown, "fomaml") == "diverges at every outer rate"
        shown.slide("alpha", 0.4)
        assert "FOMAML’s weights cancel" in shown.said()
        assert row_of(shown, "fomaml") == "drifts for ever"
        shown.slide("alpha", 0.39)
        assert "FOMAML’s start is outside the two optima, because task 2, overshot by its inner loop," in shown.said()
        assert row_of(shown, "fomaml").endswith(", off the scale")
        shown.click("inner")
        assert "The inner loop of task 2 diverges: αh = 2.20 is above 2." in shown.said()
        assert "MAML’s start is dragged to the optimum of task 2" in shown.said()
        shown.slide("alpha", 0.5)  # αh = 2 keeps its distance
        assert "The inner loop" not in shown.said()
        shown.slide("steps", 0)
        assert "Reptile does not move: its inner loop goes nowhere." in shown.said()
        assert row_of(shown, "reptile") == "does not move"
        shown.slide("lam", 0)
        assert "iMAML does not move: its outer gradient is zero everywhere." in shown.said()
        for name, value in (("h1", 2.5), ("h2", 2.5), ("alpha", 0.4), ("steps", 1)):
            shown.slide(name, value)
        assert shown.said().startswith("One step solves both tasks from anywhere")


def test_dragging_to_the_unstable_optimum_is_what_more_steps_do(show):
    states = [{**PRESETS["inner"], "steps": steps} for steps in range(11)]
    with show(weights_figure()) as shown:
        distances = [abs(values["methods"]["maml"]["start"] - 2) for values in compute(shown, states)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-3


def test_optima_follow_pointer_and_keyboard(show):
    with show(weights_figure()) as shown:
        shown.drag(1, -120, 0)
        moved = shown.ask("f.state.c")
        assert moved[0] == -1
        assert 0.5 < moved[1] < 1.8
        assert_shown(shown)
        shown.press(0, "ArrowRight", "ArrowUp", "ArrowLeft", "Shift+ArrowRight")
        assert shown.ask("f.state.c[0]") == pytest.approx(-0.45, abs=1e-9)
        assert shown.handle(0).get_attribute("aria-valuetext") == "optimum −0.45"
        assert shown.handle(0).get_attribute("aria-label") == "Optimum of task 1"
        assert_shown(shown)
        for key, end in (("Home", -2), ("End", 3)):
            shown.press(1, key)
            assert shown.ask("f.state.c[1]") == end
            assert_shown(shown)
        shown.drag(0, -3000, 0)  # an optimum stays where its start can be seen
        assert shown.ask("f.state.c[0]") == -2
        shown.click("reset")
        assert_shown(shown, **FIRST)


def test_the_rule_at_the_number_of_steps_follows_the_pointer(show):
    with show(weights_figure()) as shown:
        picture = shown.figure.locator(".mb-plot svg").nth(1)
        rule = picture.locator(".mb-handle")
        assert rule.get_attribute("aria-hidden") == "true"
        dot = rule.locator(".mb-dot").bounding_box()
        x, y = dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2
        shown.page.mouse.move(x, y)
        shown.page.mouse.down()
        shown.page.mouse.move(x + 150, y)
        shown.page.mouse.up()
        steps = shown.ask("f.state.steps")
        assert steps in (4, 5, 6)
        slider = shown.figure.locator('input[data-name="steps"]')
        assert slider.input_value() == str(steps)
        assert shown.page.evaluate("document.activeElement.dataset.name") == "steps"
        slider.press("ArrowRight")
        assert_shown(shown, steps=steps + 1)
        box = picture.bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] * 0.96, box["y"] + box["height"] * 0.2)
        assert shown.ask("f.state.steps") == 10
        assert_shown(shown)


def test_marks_stand_where_the_starts_are(show):
    with show(weights_figure()) as shown:
        line = shown.figure.locator(".mb-plot svg").first
        dots = [line.locator(".mb-handle .mb-dot").nth(i).bounding_box() for i in (0, 1)]
        low, high = (box["x"] + box["width"] / 2 for box in dots)
        for i, method in enumerate(METHODS):
            box = line.locator(".mb-layer-marks path").nth(i).bounding_box()
            theta = -1 + 3 * (box["x"] + box["width"] / 2 - low) / (high - low)
            start = shown.ask(f"f.values.methods.{method}.start")
            assert theta == pytest.approx(start, abs=0.02)
            assert row_of(shown, method) == f"{start:.2f}"


def test_the_lower_plot_has_a_gap_where_there_is_no_start(show):
    with show(weights_figure()) as shown:
        shown.click("fomaml")
        below = shown.figure.locator(".mb-plot svg").nth(1)
        fomaml = below.locator(".mb-layer-curves > g").nth(METHODS.index("fomaml"))
        # Odd numbers of steps leave task 2 with a negative weight: no line, and an empty mark.
        assert fomaml.locator(".mb-curve").get_attribute("d").count("L") == 0
        assert fomaml.locator("path.mb-trail-start").count() == 5
        maml = below.locator(".mb-layer-curves > g").nth(METHODS.index("maml"))
        assert maml.locator(".mb-curve").get_attribute("d").count("L") == 10


def test_the_legend_hides_the_row_of_a_method(show):
    with show(weights_figure()) as shown:
        shown.figure.locator(".mb-legend button", has_text="Reptile").click()
        assert not shown.figure.locator('[data-row="reptile"]').is_visible()
        assert shown.figure.locator('[data-row="maml"]').is_visible()
