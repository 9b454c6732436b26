"""The figure of a start that follows moving tasks: its arithmetic against PyTorch, its controls, what it says."""

import json
import math
import random

import pytest
import torch

from mamlbook import Model, linear, maml
from mamlbook.pages.figures import moving_target
from mamlbook.tasks.quadratic import Quadratics, half_squared_error
from shown import Shown, payload

FIRST = {"v": 0.01, "noise": 0.5, "q": 0.02, "draw": 0}


def weights(q: float, steps: int) -> torch.Tensor:
    """How much every meta-batch, a column, counts in the start after every outer step, a row."""
    ago = torch.arange(steps)[:, None] - torch.arange(steps)
    return torch.where(ago >= 0, q * (1 - q) ** ago.clamp(min=0).double(), 0.0)


def error(v: float, noise: float, q: torch.Tensor) -> torch.Tensor:
    return (v * (1 - q) / q) ** 2 + q / (2 - q) * noise**2


def by_weights(data: dict, state: dict) -> dict:
    """The figure's values from the start as a weighted mean of meta-batches, instead of step by step."""
    v, noise, q, steps = state["v"], state["noise"], state["q"], data["steps"]
    targets = v * torch.arange(1, steps + 1).double()
    batches = targets + noise * torch.tensor(data["xi"][state["draw"]], dtype=torch.float64)
    w = weights(q, steps)
    ages = torch.arange(20_000).double()  # 0.99 to this power is nothing
    counts = q * (1 - q) ** ages
    age, variance = (counts * ages).sum(), noise**2 * (counts**2).sum()
    return {
        "targets": [0, *targets.tolist()],
        "batches": [None, *batches.tolist()],
        "starts": [0, *(w @ batches).tolist()],
        "means": [0, *(w @ targets).tolist()],
        "deviations": [0, *(noise * w.square().sum(1).sqrt()).tolist()],
        "age": age.item(),
        "count": 1 / counts.square().sum().item(),
        "lag": (v * age).item(),
        "square": (v * age).square().item(),
        "variance": variance.item(),
        "error": ((v * age).square() + variance).item(),
        "left": (1 - q) ** steps,
    }


def assert_values(data: dict, state: dict, values: dict):
    for name, value in by_weights(data, state).items():
        if name == "batches":
            assert values[name][0] is None
            value, found = value[1:], values[name][1:]
        else:
            found = values[name]
        assert found == pytest.approx(value, rel=1e-10, abs=1e-12), (name, state)
    v, noise = state["v"], state["noise"]
    if v == 0:
        assert values["best"] == values["least"] == 0
        return
    best = torch.tensor(values["best"], dtype=torch.float64, requires_grad=True)
    least = error(v, noise, best)
    (slope,) = torch.autograd.grad(least, best)
    assert abs(slope) < 1e-9 * least / best.detach()
    assert values["least"] == pytest.approx(least.item(), rel=1e-12)
    assert values["least"] <= error(v, noise, torch.linspace(1e-4, 1, 20_001).double()).min() * (1 + 1e-12)


def assert_shown(shown: Shown, **expected):
    state = shown.ask("f.state")
    assert state == FIRST | expected
    assert_values(shown.ask("f.data"), state, shown.ask("f.values"))


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_first_picture_and_its_words():
    one = moving_target()
    data = payload(one.html)
    assert data["first"] == FIRST
    assert one.html != moving_target(v=0.02).html
    assert "they are 0.24, 0.0025 and 0.24; the least sum, 0.021, is near q = 0.11" in one.html
    assert [len(data["xi"]), len(data["xi"][0])] == [5, data["steps"]]
    xi = torch.tensor(data["xi"])
    assert abs(xi.mean()) < 0.1
    assert xi.std() == pytest.approx(1, abs=0.1)
    # A share that the slider does not have goes to the nearest that it has.
    assert payload(moving_target(q=0.109).html)["first"]["q"] == 0.11


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"v": -0.01}, "v: expected 0 to 0.05, got -0.01"),
        ({"v": math.nan}, "v: expected 0 to 0.05, got nan"),
        ({"noise": 0}, "noise: expected 0.1 to 1, got 0"),
        ({"q": 0}, "q: expected 0.01 to 1, got 0"),
        ({"q": 1.5}, "q: expected 0.01 to 1, got 1.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        moving_target(**arguments)


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_compute_equals_the_weighted_mean(show):
    pick = random.Random(0)
    with show(moving_target()) as shown:
        data = shown.ask("f.data")
        states = [
            {"v": v, "noise": noise, "q": q, "draw": 1} for v in (0, 0.05) for noise in (0.1, 1) for q in (0.01, 1)
        ]
        for _ in range(40):
            state = {"v": pick.uniform(0, 0.05), "noise": pick.uniform(0.1, 1), "q": 10 ** pick.uniform(-2, 0)}
            states.append(state | {"draw": pick.randrange(5)})
        found = shown.ask(f"{json.dumps(states)}.map((state) => window.mamlbook.drift.compute(f.data, state))")
        for state, values in zip(states, found, strict=True):
            assert_values(data, state, values)


def test_the_start_is_the_one_that_maml_trains(show):
    # Bowls of curvature 1, one inner step of 0.3 and the outer rate q / 0.7^2, by the package.
    with show(moving_target(q=0.1)) as shown:
        values, bowl = shown.ask("f.values"), Model(linear([0.0]), half_squared_error)
        learner, path = maml(bowl.double(), alpha=0.3, steps=1), []
        for optimum in values["batches"][1:]:
            (gradient,) = learner.meta_gradient(Quadratics([1.0], [optimum]).all())
            bowl.theta[0].data -= shown.ask("f.state.q") / 0.7**2 * gradient
            path.append(bowl.theta[0].item())
        assert values["starts"][1:] == pytest.approx(path, rel=1e-9, abs=1e-12)


def test_it_says_what_it_shows(show):
    with show(moving_target()) as shown:
        said = shown.said()
        assert "At q = 0.02 the start is a weighted mean" in said
        assert "49 steps old on average. Since then the target has moved by 49 · 0.01: the start lags by 0.49." in said
        assert "a plain mean of 99 meta-batches. Mean squared error: lag² 0.24 + noise 0.00253 = 0.243." in said
        assert "The least error, 0.0211, is at q = 0.11. Here it is 12 times as large, because the start is too" in said
        assert "it lags by 0.466 on average" in said
        shown.click("best")
        assert_shown(shown, q=0.11)
        assert "Here it is as good as that." in shown.said()
        shown.slide("q", shown.ask("f.data.shares").index(0.15))
        assert "Here it is 11% more, because the start follows the noise." in shown.said()
        shown.slide("q", shown.ask("f.data.shares").index(1))
        assert "the newest meta-batch alone: it does not lag. It has the noise of one meta-batch." in " ".join(
            shown.said().split()
        )
        shown.click("reset")
        shown.slide("v", 0)
        assert "The tasks stay, so it does not lag." in shown.said()
        assert "the smaller q, the smaller the error" in shown.said()
        shown.click("best")
        assert_shown(shown, v=0, q=0.01)


def test_sliders_buttons_and_reset(show):
    with show(moving_target()) as shown:
        for name, value in (("v", 0.05), ("noise", 0.1)):
            shown.slide(name, value)
        assert_shown(shown, v=0.05, noise=0.1)
        for draw in (1, 2, 3, 4, 0, 1):
            shown.click("draw")
            assert_shown(shown, v=0.05, noise=0.1, draw=draw)
        shown.slide("q", 0)
        assert_shown(shown, v=0.05, noise=0.1, draw=1, q=0.01)
        shown.figure.locator('input[data-name="q"]').press("ArrowRight")
        assert_shown(shown, v=0.05, noise=0.1, draw=1, q=0.011)
        shown.click("reset")
        assert_shown(shown)
        place = shown.ask("f.data.shares").index(0.02)
        inputs = shown.figure.locator('input[type="range"]')
        assert [node.input_value() for node in inputs.all()] == [str(place), "0.01", "0.5"]


def test_the_rule_is_dragged_and_tapped(show):
    with show(moving_target()) as shown:
        rule = shown.figure.locator(".mb-handle .mb-dot")
        rule.scroll_into_view_if_needed()
        box, plot = rule.bounding_box(), shown.figure.locator(".mb-plot svg").nth(1).bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        shown.page.mouse.move(x, y)
        shown.page.mouse.down()
        shown.page.mouse.move(x + 80, y)
        shown.page.mouse.up()
        moved = shown.ask("f.state.q")
        assert 0.04 < moved < 0.2
        assert_shown(shown, q=moved)
        assert shown.figure.locator('input[data-name="q"]').evaluate("node => node === document.activeElement")
        shown.page.mouse.click(plot["x"] + plot["width"] * 0.8, plot["y"] + plot["height"] * 0.3)
        assert shown.ask("f.state.q") > moved
        assert_shown(shown, q=shown.ask("f.state.q"))


def test_the_errors_stay_in_view_at_the_ends_of_the_sliders(show):
    inside = """figure => [...figure.querySelectorAll(".mb-plot svg")].every((svg) => {
        const box = svg.querySelector("clipPath rect").getBBox();
        return [...svg.querySelectorAll("path.mb-curve")].every((one) => one.getBBox().y >= box.y - 1);
    })"""
    with show(moving_target()) as shown:
        for v in (0, 0.001, 0.05):
            for noise in (0.1, 1):
                shown.slide("v", v)
                shown.slide("noise", noise)
                assert shown.figure.evaluate(inside), (v, noise)


def test_what_a_link_sets_is_shown_by_the_sliders(show):
    with show(moving_target()) as shown:
        shown.figure.evaluate(
            "node => { Object.assign(node.mamlbook.state, {v: 0.03, q: 0.25, draw: 2}); node.mamlbook.redraw(); }"
        )
        assert_shown(shown, v=0.03, q=0.25, draw=2)
        assert shown.figure.locator('input[data-name="v"]').input_value() == "0.03"
