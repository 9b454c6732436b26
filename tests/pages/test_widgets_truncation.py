"""The figure of truncation: its numbers against autograd through cut paths and the package's own, and its controls."""

import math
import random

import pytest
import torch
from torch import nn

from mamlbook import Exact, FirstOrder, GradientDescent, MetaLearner, Model, Truncated
from mamlbook.pages.figures import truncated_steps
from mamlbook.tasks.base import Data, Tasks
from shown import MISFITS, Shown, payload

FIRST = {"theta": 2.8, "lam": 3.0, "alpha": 0.05, "last": 10}
STEPS = 40


def loss(phi: torch.Tensor) -> torch.Tensor:
    return 0.3 * phi**2 + (1 - torch.cos(2 * phi)) / 2


def through(state: dict, lam: float, last: int) -> tuple[float, list[float]]:
    """d phi^S / d theta by autograd, the way before the last steps held constant, and the path."""
    theta = torch.tensor(state["theta"], dtype=torch.float64, requires_grad=True)
    phi, path = theta, [state["theta"]]
    for s in range(STEPS):
        if s == STEPS - last:
            phi = theta + (phi - theta).detach()
        (slope,) = torch.autograd.grad(loss(phi), phi, create_graph=True)
        phi = phi - state["alpha"] * (slope + lam * (phi - theta))
        path.append(phi.item())
    if last == 0:
        phi = theta + (phi - theta).detach()
    return torch.autograd.grad(phi, theta)[0].item(), path


def assert_values(state: dict, values: dict, every: bool = False):
    for name, lam in (("pulled", state["lam"]), ("free", 0.0)):
        found = values[name]
        exact, path = through(state, lam, STEPS)
        assert found["path"] == pytest.approx(path, rel=1e-12)
        for last in range(STEPS + 1) if every else {state["last"], 1, STEPS - 1}:
            truncated, _ = through(state, lam, last)
            assert found["jacobians"][last] == pytest.approx(truncated, rel=1e-10), (state, name, last)
            distance = abs(truncated - exact) / abs(exact)
            assert found["distances"][last] == pytest.approx(distance, rel=1e-10, abs=1e-10), (state, name, last)
        assert found["distance"] == found["distances"][state["last"]]
    free, (exact, _), (kept, _) = values["free"], through(state, 0.0, STEPS), through(state, 0.0, state["last"])
    assert free["kept"] == pytest.approx(kept, rel=1e-10)
    assert free["left"] == pytest.approx(exact / kept, rel=1e-10)


def assert_shown(shown: Shown, **expected):
    state = shown.ask("f.state")
    assert {name: state[name] for name in expected} == expected
    assert_values(state, shown.ask("f.values"))


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_first_picture_and_its_words():
    one = truncated_steps()
    assert one.html != truncated_steps(last=9).html
    assert payload(one.html)["first"] == FIRST
    assert "without a pull 0.89 for one step and 1.7 for 10, with the pull of 3 0.38 and 0.039" in one.html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"theta": 4.1}, r"theta: expected 0\.2 to 4, got 4\.1"),
        ({"lam": -1}, "lam: expected 0 to 5, got -1"),
        ({"alpha": math.nan}, r"alpha: expected 0\.01 to 0\.08, got nan"),
        ({"last": 41}, "last: expected a whole number from 0 to 40, got 41"),
        ({"last": 1.5}, r"last: expected a whole number from 0 to 40, got 1\.5"),
    ],
    ids=["theta", "lam", "alpha", "last", "half a step"],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        truncated_steps(**arguments)


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_compute_equals_autograd_all_over_the_sliders(show):
    draw = random.Random(0)
    ends = [
        {"theta": t, "lam": p, "alpha": a, "last": k} for t in (0.2, 4) for p, a, k in ((0, 0.08, 0), (5, 0.01, 40))
    ]
    states = [FIRST, *ends]
    for _ in range(40):
        states.append(
            {
                "theta": draw.randint(4, 80) / 20,
                "lam": draw.choice([0, draw.randint(1, 20) / 4]),
                "alpha": draw.randint(2, 16) / 200,
                "last": draw.choice([0, 1, 39, 40, draw.randint(2, 38)]),
            }
        )
    with show(truncated_steps()) as shown:
        found = shown.compute(states)
    for number, (state, values) in enumerate(zip(states, found, strict=True)):
        assert_values(state, values, every=number < 5)
    assert {values["free"]["nearer"] for values in found} == {True, False}


class Weight(nn.Module):
    """One weight, which is its own output."""

    def __init__(self, start: float):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([start], dtype=torch.float64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * torch.ones_like(x)


def test_the_packages_truncated_gradients_are_as_far_off(show):
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    tasks = Tasks(Data(one, one), Data(one, one), torch.arange(1))
    state = {**FIRST, "lam": 1.0}
    with show(truncated_steps()) as shown:
        (values,) = shown.compute([state])
    model = Model(Weight(state["theta"]), lambda y_hat, y: loss(y_hat).mean())
    for name, lam in (("pulled", 1.0), ("free", 0.0)):

        def gradient(way, lam=lam):
            learner = MetaLearner(model, GradientDescent(state["alpha"], STEPS, lam=lam), way)
            return learner.meta_gradient(tasks)[0].item()

        exact = gradient(Exact())
        for last, way in ((0, FirstOrder()), (1, Truncated(1)), (10, Truncated(10)), (39, Truncated(39))):
            distance = abs(gradient(way) / exact - 1)
            assert values[name]["distances"][last] == pytest.approx(distance, rel=1e-9, abs=1e-9), (name, last)


def test_the_worst_number_of_steps_back_is_where_the_path_enters_the_band(show):
    with show(truncated_steps()) as shown:
        low, high = payload(truncated_steps().html)["band"]
        free = shown.ask("f.values.free")
        inside = [low < phi < high for phi in free["path"][:-1]]
        assert inside == sorted(inside)  # outside at first, then inside
        worst = free["distances"].index(max(free["distances"]))
        assert worst == sum(inside) == 18
        for bound in (low, high):
            phi = torch.tensor(bound, dtype=torch.float64)
            assert torch.func.grad(torch.func.grad(loss))(phi).item() == pytest.approx(0, abs=1e-12)


def test_what_is_said(show):
    with show(truncated_steps()) as shown:
        said = shown.said()
        assert "Back through 10 of 40 steps the gradient is off by 0.039 with the pull of 3 and by 1.7 without." in said
        assert "the last 10 steps multiply the gradient by 1.5; the 30 before, left out, by 0.37" in said
        assert "With the pull each further step back brings the gradient nearer." in said
        assert "going back through 18 steps is worst, off by 2.0, and through none off by 0.78" in said
        assert "needs 10 iterates in memory instead of 40" in said
        shown.slide("lam", 0)
        assert "is off by 1.7 without a pull." in shown.said()
        assert "With the pull" not in shown.said()
        shown.slide("last", 0)
        assert "as in FOMAML" in shown.said()
        shown.slide("last", 40)
        assert "is off by 0 without a pull" in shown.said()
        assert "this is MAML’s gradient" in shown.said()
        assert "in memory" not in shown.said()
        shown.slide("last", 1)
        assert "the last step multiplies the gradient" in shown.said()
        shown.slide("last", 39)
        assert "the one before, left out, by" in shown.said()


def test_sliders_and_reset(show):
    with show(truncated_steps()) as shown:
        assert_shown(shown, **FIRST)
        for last, lam, alpha in ((0, 0, 0.08), (40, 5, 0.01), (7, 0.25, 0.065)):
            for name, value in (("last", last), ("lam", lam), ("alpha", alpha)):
                shown.slide(name, value)
            assert_shown(shown, last=last, lam=lam, alpha=alpha)
        shown.press(0, "ArrowUp")
        shown.click("reset")
        assert_shown(shown, **FIRST)
        for name in ("last", "lam", "alpha"):
            assert float(shown.figure.locator(f'input[data-name="{name}"]').input_value()) == FIRST[name]


def test_start_and_rule_follow_pointer_and_keyboard(show):
    with show(truncated_steps()) as shown:
        shown.press(0, "ArrowUp", "ArrowUp", "ArrowRight", "Shift+ArrowDown")
        assert shown.ask("f.state.theta") == pytest.approx(2.4, abs=1e-9)
        assert shown.handle().get_attribute("aria-label") == "Start θ"
        assert shown.handle().get_attribute("aria-valuetext") == "θ 2.40"
        shown.drag(0, 0, -60)
        assert 2.5 < shown.ask("f.state.theta") < 4
        assert_shown(shown)
        shown.drag(0, 0, -3000)  # the start stays in the plot
        assert_shown(shown, theta=4)
        box = shown.figure.locator(".mb-plot svg").last.bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.2)
        last = shown.ask("f.state.last")
        assert 12 < last < 28
        rule = shown.figure.locator(".mb-plot").last.locator(".mb-handle .mb-dot").bounding_box()
        x, y = rule["x"] + rule["width"] / 2, rule["y"] + rule["height"] / 2
        shown.page.mouse.move(x, y)
        shown.page.mouse.down()
        shown.page.mouse.move(x + 50, y)
        shown.page.mouse.up()
        assert last < shown.ask("f.state.last") < 40
        assert_shown(shown)
        assert shown.figure.locator('input[data-name="last"]').input_value() == str(shown.ask("f.state.last"))


def test_full_marks_are_the_steps_that_are_differentiated(show):
    with show(truncated_steps()) as shown:
        for last in (0, 13, 40):
            shown.slide("last", last)
            marks = shown.figure.locator(".mb-plot").first.locator(".mb-layer-marks path")
            fills = marks.evaluate_all("all => all.map((node) => node.getAttribute('fill'))")
            assert len(fills) == 2 * STEPS
            assert sum("surface" not in fill for fill in fills) == 2 * last


def test_a_state_from_an_address_is_drawn(show):
    with show(truncated_steps()) as shown:
        shown.figure.evaluate(
            "f => { Object.assign(f.mamlbook.state, { theta: 3.3, last: 25 }); f.mamlbook.redraw(); }"
        )
        assert_shown(shown, theta=3.3, last=25)
        assert "Back through 25 of 40" in shown.said()


@pytest.mark.parametrize("width", [900, 390])
def test_nothing_is_cut_off_at_the_ends_of_the_sliders(show, width):
    with show(truncated_steps(), viewport=(width, 800)) as shown:
        for alpha, lam, keys in ((0.08, 0, "Shift+ArrowDown"), (0.01, 5, "Shift+ArrowUp")):
            shown.slide("alpha", alpha)
            shown.slide("lam", lam)
            shown.press(0, *[keys] * 9)
            assert_shown(shown)
            plot = shown.figure.locator(".mb-plot").last
            assert plot.locator(".mb-layer-axes text").count() < 20
            shown.rest()
            wrong = (
                "f => [...f.querySelectorAll('.mb-plot text')].filter((n) => n.getBoundingClientRect().left < 0).length"
            )
            assert shown.figure.evaluate(wrong) == 0
        assert shown.figure.evaluate(MISFITS) == []
