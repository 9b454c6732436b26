"""The figure of two tasks: its values against autograd, its start by pointer and keyboard."""

import pytest
import torch

from mamlbook.algorithms.linear_model import ClosedForm
from mamlbook.pages.figures import two_tasks_figure
from mamlbook.tasks.quadratic import Quadratics
from shown import Shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"h": [1.0]}, "h: expected two numbers, one a task, got 1"),
        ({"alpha": 0.7}, "alpha: expected 0 to 0.6, got 0.7"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        two_tasks_figure(**arguments)


def quadratic(state: dict) -> dict:
    """The two-task figure's values by gradient descent through autograd, minimisers by a linear equation."""
    theta = torch.tensor(state["theta"], dtype=torch.float64, requires_grad=True)
    phi, losses, adapted = [], [], []
    for h, c in zip(state["h"], state["c"], strict=True):
        at = theta
        for _ in range(state["steps"]):
            at = at - state["alpha"] * torch.autograd.grad(h / 2 * (at - c) ** 2, at, create_graph=True)[0]
        phi.append(at)
        losses.append(h / 2 * (theta - c) ** 2)
        adapted.append(h / 2 * (at - c) ** 2)
    found = {"phi": [at.item() for at in phi], "losses": [value.item() for value in losses]}
    found["adaptedLosses"] = [value.item() for value in adapted]
    for name, values in (("joint", losses), ("maml", adapted)):
        objective = (values[0] + values[1]) / 2
        (slope,) = torch.autograd.grad(objective, theta, create_graph=True)
        (curvature,) = torch.autograd.grad(slope, theta)
        found[name] = objective.item()
        # The objective is a parabola, so one Newton step is exact.
        found[f"{name}Minimiser"] = (theta - slope / curvature).item()
    return found


def assert_quadratic(shown: Shown):
    state, values = shown.ask("f.state"), shown.ask("f.values")
    for name, value in quadratic(state).items():
        assert values[name] == pytest.approx(value, rel=1e-12, abs=1e-12), (name, state)


def test_minimisers_are_the_packages_fixed_points(show):
    with show(two_tasks_figure()) as shown:
        for steps in (1, 4, 10):
            shown.slide("steps", steps)
            state = shown.ask("f.state")
            exact = ClosedForm(Quadratics(state["h"], state["c"]).all(), state["alpha"], steps)
            for method in ("joint", "maml"):
                expected = exact.fixed_point(method).item()
                assert shown.ask(f"f.values.{method}Minimiser") == pytest.approx(expected, rel=1e-12)


def test_values_equal_autograd(show):
    with show(two_tasks_figure()) as shown:
        assert shown.ask("f.values.mamlMinimiser") == pytest.approx(0.25, abs=1e-15)
        assert shown.ask("f.values.jointMinimiser") == pytest.approx(0.75, abs=1e-15)
        assert_quadratic(shown)
        for alpha, steps, h1, h2 in [
            (0.1, 3, 1, 3),
            (0, 5, 2, 3),
            (0.6, 10, 0.5, 2.5),
            (0.33, 0, 5, 0.25),
            (0.5, 4, 1, 4.75),
        ]:
            for name, value in (("alpha", alpha), ("steps", steps), ("h1", h1), ("h2", h2)):
                shown.slide(name, value)
            state = shown.ask("f.state")
            assert (state["alpha"], state["steps"], state["h"]) == (alpha, steps, [h1, h2])
            assert_quadratic(shown)


def test_the_start_follows_pointer_keyboard_and_buttons(show):
    with show(two_tasks_figure()) as shown:
        shown.drag(0, 80, 0)
        moved = shown.ask("f.state.theta")
        assert moved > 0.55
        assert_quadratic(shown)
        shown.press(0, "ArrowRight", "ArrowUp", "ArrowLeft", "Shift+ArrowLeft")
        theta = shown.ask("f.state.theta")
        assert theta == pytest.approx(round(moved, 2) - 0.09, abs=1e-9)
        assert shown.handle().get_attribute("aria-valuetext") == f"theta {theta:.2f}"
        shown.press(0, "Home")
        assert shown.ask("f.state.theta") == -0.6
        assert_quadratic(shown)
        for name, expected in (("joint", 0.75), ("maml", 0.25), ("reset", 0.5)):
            shown.click(name)
            assert shown.ask("f.state.theta") == pytest.approx(expected, abs=1e-12)
        plot = shown.figure.locator(".mb-plot svg").first.bounding_box()
        shown.page.mouse.click(plot["x"] + plot["width"] * 0.8, plot["y"] + plot["height"] * 0.3)
        assert shown.ask("f.state.theta") > 1
        text = shown.figure.locator('[aria-live="polite"]').inner_text()
        assert text.startswith(f"At θ = {shown.ask('f.state.theta'):.2f} the mean loss is")


def test_where_every_start_is_as_good(show):
    with show(two_tasks_figure(h=(2, 2), alpha=0.5)) as shown:
        assert shown.ask("f.values.mamlMinimiser") is None
        assert "the same for every start" in shown.said()
        shown.click("maml")
        assert shown.ask("f.state.theta") == 0.5


def test_the_book_shows_the_same_numbers(in_the_book):
    for shown in in_the_book("two_tasks"):
        for steps in (1, 5, 10):
            shown.slide("steps", steps)
            assert_quadratic(shown)
