"""The figure of a memory of solutions: its means against MOML of the package on every draw, its controls, its words."""

import itertools
import json
import math
import random

import pytest
import torch
from torch.nn.functional import mse_loss

from mamlbook import MOML, GradientDescent, MetaLearner, Model, linear
from mamlbook.pages.figures import memory_of_solutions
from mamlbook.tasks import Data, Tasks
from shown import Shown, payload

FIRST = {"rate": 0.1, "shots": 1, "beta": 0.5}
OPTIMA = torch.tensor([0.0, 1.0], dtype=torch.float64).reshape(2, 1, 1)


def meta_batch(support_x: torch.Tensor) -> Tasks:
    """Both tasks; the query points have x^2 = 1 in place of unlimited ones, whose mean of x^2 is 1."""
    one = torch.ones(2, 1, 1, dtype=torch.float64)
    return Tasks(Data(support_x, OPTIMA * support_x), Data(one, OPTIMA * one), torch.arange(2))


def trained(draws: tuple, rate: float, beta: float) -> torch.Tensor:
    """The start after every outer step on these support points of task 2, by MOML of the package."""
    model = Model(linear([1.5]).double(), lambda y_hat, y: mse_loss(y_hat, y) / 2)
    learner, path = MetaLearner(model, GradientDescent(0.5, 1), MOML(model, 2, rate)), [1.5]
    for squares in draws:
        x = torch.tensor([[1.0] * len(squares), squares], dtype=torch.float64).sqrt()[:, :, None]
        (gradient,) = learner.meta_gradient(meta_batch(x))
        model.theta[0].data -= beta * gradient
        learner.advance()
        path.append(model.theta[0].item())
    return torch.tensor(path, dtype=torch.float64)


def mean_of_trainings(rate: float, shots: int, beta: float, steps: int) -> list[float]:
    """The mean over every possible sequence of draws, which are equally likely."""
    draws = list(itertools.product((0.0, 2.0), repeat=shots))
    paths = [trained(sequence, rate, beta) for sequence in itertools.product(draws, repeat=steps)]
    return torch.stack(paths).mean(0).tolist()


def by_matrix(rate: float, shots: float, beta: float, steps: int) -> tuple[list[float], float]:
    """The mean course by powers of a matrix on (theta, u_1 - c_1, u_2 - c_2, 1), and its fixed point."""
    squares = [0.25, 0.25 + (0.25 / shots if math.isfinite(shots) else 0)]

    def matrix(part: float) -> torch.Tensor:
        m = torch.eye(4, dtype=torch.float64)
        for b, square in enumerate(squares):
            m[0] -= beta / 2 * torch.tensor([part * square, 0, 0, -part * square * b], dtype=torch.float64)
            m[0, 1 + b] -= beta / 2 * (1 - part) / 2
            m[1 + b] = torch.tensor([part / 2, 0, 0, -part / 2 * b], dtype=torch.float64)
            m[1 + b, 1 + b] = 1 - part
        return m

    after = matrix(1.0) @ torch.tensor([1.5, 0, 0, 1], dtype=torch.float64)
    path = [1.5]
    for step in range(steps):
        path.append((torch.linalg.matrix_power(matrix(rate), step) @ after)[0].item())
    rest = matrix(rate)[:3] - torch.eye(4, dtype=torch.float64)[:3]
    return path, torch.linalg.solve(rest[:, :3], -rest[:, 3])[0].item()


def assert_values(state: dict, values: dict):
    rate, shots, beta = state["rate"], state["shots"], state["beta"]
    cases = {"memory": (rate, shots), "maml": (1.0, shots), "exact": (1.0, math.inf)}
    for name, (part, points) in cases.items():
        found, (path, end) = values[name], by_matrix(part, points, beta, 150)
        assert found["course"] == pytest.approx(path, rel=1e-9, abs=1e-10), (name, state)
        assert found["end"] == pytest.approx(end, rel=1e-9), (name, state)
        assert found["weights"][1] / sum(found["weights"]) == pytest.approx(end, rel=1e-9)
        assert found["overshoot"] >= max(0, end - min(path)) - 1e-10
        there = found["arrival"]
        if there <= 150:
            assert all(abs(theta - end) < 0.02 for theta in path[there:])
            assert abs(path[there - 1] - end) >= 0.02
    # The bias of a memory on K points is that of MAML on K / rate points.
    assert values["memory"]["end"] == pytest.approx(by_matrix(1.0, values["equal"], beta, 1)[1], rel=1e-9)


def assert_shown(shown: Shown, **expected):
    state = shown.ask("f.state")
    assert state == FIRST | expected
    assert_values(state, shown.ask("f.values"))


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_first_picture_and_its_words():
    one = memory_of_solutions()
    assert payload(one.html)["first"] == FIRST
    assert one.html != memory_of_solutions(beta=0.2).html
    assert "MAML goes to 0.667" in one.html
    assert "θ goes down to 0.16 on its way to 0.524" in one.html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 0}, "rate: expected 0.01 to 1, got 0"),
        ({"rate": math.nan}, "rate: expected 0.01 to 1, got nan"),
        ({"beta": 1.5}, "beta: expected 0.05 to 1, got 1.5"),
        ({"shots": 0}, "shots: expected a whole number from 1 to 20, got 0"),
        ({"shots": 1.5}, "shots: expected a whole number from 1 to 20, got 1.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        memory_of_solutions(**arguments)


# ---- in the browser --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "shots", "beta", "steps"), [(0.1, 1, 0.5, 6), (1.0, 1, 0.5, 6), (0.3, 2, 1.0, 3), (0.01, 3, 0.05, 2)]
)
def test_the_mean_course_is_that_of_moml_over_every_draw(show, rate, shots, beta, steps):
    state = {"rate": rate, "shots": shots, "beta": beta}
    with show(memory_of_solutions()) as shown:
        found = shown.ask(f"window.mamlbook.memory.compute(f.data, {json.dumps(state)}).memory.course")
        mean = mean_of_trainings(rate, shots, beta, steps)
        assert found[: steps + 1] == pytest.approx(mean, rel=1e-10, abs=1e-12)


def test_compute_equals_the_powers_of_a_matrix(show):
    pick = random.Random(0)
    ends = itertools.product((0.01, 1), (1, 20), (0.05, 1))
    states = [dict(zip(FIRST, state, strict=True)) for state in ends]
    for _ in range(20):
        state = {"rate": pick.uniform(0.01, 1), "shots": pick.randrange(1, 21), "beta": pick.uniform(0.05, 1)}
        states.append(state)
    with show(memory_of_solutions()) as shown:
        found = shown.ask(f"{json.dumps(states)}.map((state) => window.mamlbook.memory.compute(f.data, state))")
        for state, values in zip(states, found, strict=True):
            assert_values(state, values)


def test_it_says_what_it_shows(show):
    with show(memory_of_solutions()) as shown:
        said = " ".join(shown.said().split())
        assert "With K = 1 and a memory of rate 0.1, θ ends at 0.524 on average; without a memory at 0.667" in said
        assert "task 2 has 1/4 + rate/(4K) = 0.275. MAML has this bias with K/rate = 10 points." in said
        assert "overshoots its end by 0.36, and is within 0.02 of its end from step 64 on; without one from" in said
        shown.slide("beta", 0.05)
        assert_shown(shown, beta=0.05)
        assert "the start does not overshoot" in shown.said()
        shown.slide("rate", 1)
        said = " ".join(shown.said().split())
        assert "A memory of rate 1 is MAML. With K = 1, θ ends at 0.667 on average, and with unlimited" in said
        assert "MAML has this bias" not in said
        assert_shown(shown, beta=0.05, rate=1)


def test_sliders_and_reset(show):
    with show(memory_of_solutions()) as shown:
        for rate, shots, beta in ((0.01, 1, 1), (1, 20, 0.05), (0.37, 4, 0.6)):
            for name, value in (("rate", rate), ("shots", shots), ("beta", beta)):
                shown.slide(name, value)
            assert_shown(shown, rate=rate, shots=shots, beta=beta)
        shown.figure.locator('input[data-name="rate"]').press("ArrowLeft")
        assert_shown(shown, rate=0.36, shots=4, beta=0.6)
        shown.click("reset")
        assert_shown(shown)
        inputs = shown.figure.locator('input[type="range"]')
        assert [node.input_value() for node in inputs.all()] == ["0.1", "1", "0.5"]


def test_the_rule_is_dragged_and_tapped(show):
    with show(memory_of_solutions()) as shown:
        rule = shown.figure.locator(".mb-handle .mb-dot")
        rule.scroll_into_view_if_needed()
        box, plot = rule.bounding_box(), shown.figure.locator(".mb-plot svg").nth(1).bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        shown.page.mouse.move(x, y)
        shown.page.mouse.down()
        shown.page.mouse.move(x + 100, y)
        moved = shown.ask("f.state.rate")
        assert 0.3 < moved < 0.6
        assert_shown(shown, rate=moved)
        shown.page.mouse.move(x - 2000, y)
        shown.page.mouse.up()
        assert_shown(shown, rate=0.01)
        assert shown.figure.locator('input[data-name="rate"]').evaluate("node => node === document.activeElement")
        shown.page.mouse.click(plot["x"] + plot["width"] * 0.8, plot["y"] + plot["height"] * 0.4)
        assert shown.ask("f.state.rate") > 0.6
        assert_shown(shown, rate=shown.ask("f.state.rate"))


def test_the_courses_stay_in_view_at_the_ends_of_the_sliders(show):
    inside = """figure => [...figure.querySelectorAll(".mb-plot svg")].every((svg) => {
        const box = svg.querySelector("clipPath rect").getBBox();
        return [...svg.querySelectorAll("path.mb-curve")].map((one) => one.getBBox())
            .every((one) => one.y >= box.y && one.y + one.height <= box.y + box.height);
    })"""
    with show(memory_of_solutions()) as shown:
        for rate, shots, beta in itertools.product((0.01, 1), (1, 20), (0.05, 1)):
            for name, value in (("rate", rate), ("shots", shots), ("beta", beta)):
                shown.slide(name, value)
            assert shown.figure.evaluate(inside), (rate, shots, beta)


def test_what_a_link_sets_is_shown_by_the_sliders(show):
    with show(memory_of_solutions()) as shown:
        shown.figure.evaluate(
            "node => { Object.assign(node.mamlbook.state, {rate: 0.4, shots: 3}); node.mamlbook.redraw(); }"
        )
        assert_shown(shown, rate=0.4, shots=3)
        inputs = shown.figure.locator('input[type="range"]')
        assert [node.input_value() for node in inputs.all()] == ["0.4", "3", "0.5"]
