"""The figure of four arrows: its arithmetic against PyTorch, its contours, its controls, its manners."""

import json
import math
import random

import numpy as np
import pytest
import torch

from mamlbook.algorithms.linear_model import ClosedForm
from mamlbook.pages.figures import gradient_arrows
from mamlbook.tasks.quadratic import Quadratics
from shown import Shown, payload

METHODS = ("joint", "reptile", "fomaml", "maml")


def vector(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def loss(task: dict, kappa: float, theta: torch.Tensor) -> torch.Tensor:
    """The loss in the coordinates of the valley, which a rotation matrix finds: (..., 2) to (...)."""
    a, b = task["axis"]
    turned = (theta - vector(task["c"])) @ vector([[a, -b], [b, a]])
    p, q = turned.unbind(-1)
    w = q + kappa * (torch.sqrt(1 + p**2) - 1)
    return 0.5 * task["flat"] * p**2 + 0.5 * task["steep"] * w**2


def descended(task: dict, state: dict, theta: torch.Tensor, factors: list | None = None) -> list[torch.Tensor]:
    """theta and its S successors, differentiable; the Hessian at every point that a step leaves goes to ``factors``."""
    path = [theta]
    for _ in range(state["steps"]):
        here = path[-1]
        (slope,) = torch.autograd.grad(loss(task, state["kappa"], here).sum(), here, create_graph=True)
        if factors is not None:
            rows = [torch.autograd.grad(part, here, retain_graph=True)[0] for part in slope]
            factors.append(torch.stack(rows).detach())
        path.append(here - state["alpha"] * slope)
    return path


def arrows_at(state: dict, theta: torch.Tensor) -> dict[str, torch.Tensor]:
    """Arrows and losses at many starts (..., 2) by PyTorch: MAML's through the steps, FOMAML's at a detached end."""
    tasks, kappa = state["tasks"], state["kappa"]
    paths = [descended(task, state, theta) for task in tasks]
    before = torch.stack([loss(task, kappa, theta) for task in tasks]).mean(0)
    after = torch.stack([loss(task, kappa, path[-1]) for task, path in zip(tasks, paths, strict=True)]).mean(0)
    ends = [path[-1].detach().clone().requires_grad_() for path in paths]
    apart = torch.stack([loss(task, kappa, end) for task, end in zip(tasks, ends, strict=True)]).mean(0)
    return {
        "joint": -torch.autograd.grad(before.sum(), theta, retain_graph=True)[0],
        "maml": -torch.autograd.grad(after.sum(), theta, retain_graph=True)[0],
        "fomaml": -torch.stack(torch.autograd.grad(apart.sum(), ends)).sum(0),
        "reptile": torch.stack([path[-1] - theta for path in paths]).mean(0).detach(),
        "before": before.detach(),
        "after": after.detach(),
    }


def by_autograd(state: dict) -> dict:
    """The figure's values by PyTorch in float64."""
    theta = vector(state["theta"]).requires_grad_()
    paths, found = [descended(task, state, theta) for task in state["tasks"]], arrows_at(state, theta)
    units = [torch.eye(2, dtype=torch.float64)[i] for i in (0, 1)]
    jacobians = [[torch.autograd.grad(path[-1], theta, u, retain_graph=True)[0] for u in units] for path in paths]
    return {
        "arrows": {method: found[method].tolist() for method in METHODS},
        "joint": found["before"].item(),
        "maml": found["after"].item(),
        "paths": [[point.tolist() for point in path] for path in paths],
        "jacobians": [torch.cat(rows).tolist() for rows in jacobians],
    }


def degrees(one, two) -> float:
    one, two = np.asarray(one), np.asarray(two)
    return math.degrees(math.acos(np.clip(one @ two / np.linalg.norm(one) / np.linalg.norm(two), -1, 1)))


def assert_values(state: dict, values: dict):
    expected = by_autograd(state)
    for method in METHODS:
        arrow = expected["arrows"][method]
        length = np.linalg.norm(arrow)
        # As exact as the arrow is long; where tasks all but cancel, as exact as their parts.
        np.testing.assert_allclose(values["arrows"][method], arrow, rtol=1e-9, atol=1e-9 * length + 1e-15)
        assert values["lengths"][method] == pytest.approx(length, rel=1e-9, abs=1e-15)
        if min(length, np.linalg.norm(expected["arrows"]["maml"])) < 1e-12:
            assert values["angles"][method] is None
        else:
            # Near 0 the arc cosine of the test loses half of its digits, the figure's arc tangent does not.
            turn = degrees(arrow, expected["arrows"]["maml"])
            assert values["angles"][method] == pytest.approx(turn, abs=1e-5)
    for name in ("joint", "maml"):
        assert values[name] == pytest.approx(expected[name], rel=1e-9, abs=1e-15)
    for name in ("paths", "jacobians"):
        for mine, theirs in zip(values[name], expected[name], strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-13)


def assert_shown(shown: Shown, **expected) -> dict:
    state, values = shown.ask("f.state"), shown.ask("f.values")
    for name, value in expected.items():
        assert state[name] == value, name
    assert_values(state, values)
    return values


def compute(shown: Shown, *states: dict) -> list[dict]:
    return shown.ask(f"{json.dumps(states)}.map(window.mamlbook.arrows.compute)")


def closed_form(state: dict) -> ClosedForm:
    """The book's formulas for the tasks of a state without bend."""
    bowls = []
    for task in state["tasks"]:
        a, b = task["axis"]
        axes = vector([[a, b], [-b, a]])
        bowls.append(axes.T @ torch.diag(vector([task["flat"], task["steep"]])) @ axes)
    curvatures, optima = torch.stack(bowls), vector([task["c"] for task in state["tasks"]])
    return ClosedForm(Quadratics((curvatures + curvatures.mT) / 2, optima).all(), state["alpha"], state["steps"])


def random_states(number: int) -> list[dict]:
    """States over the sliders' ranges and beyond the figure's own tasks; the first ones at the corners."""
    rng = random.Random(7)
    own = payload(gradient_arrows().html)["tasks"]
    corners = [(steps, kappa) for steps in (0, 1, 3, 10) for kappa in (0.0, 0.8)]
    states = []
    for n in range(number):
        turns = [rng.uniform(0, math.tau) for _ in range(2)]
        others = [
            {
                "c": [rng.uniform(-1.5, 1.5), rng.uniform(-1, 1)],
                "axis": [math.cos(turn), math.sin(turn)],
                "flat": rng.uniform(0.2, 1),
                "steep": rng.uniform(1, 3),
            }
            for turn in turns
        ]
        steps, kappa = corners[n] if n < len(corners) else (rng.randint(0, 10), rng.uniform(0, 1))
        theta = [rng.uniform(-2, 2), rng.uniform(-1.4, 1.4)]
        tasks = own if n % 2 else others
        states.append({"tasks": tasks, "theta": theta, "alpha": rng.uniform(0.01, 0.3), "steps": steps, "kappa": kappa})
    return states


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_first_picture():
    one = gradient_arrows()
    assert one.html != gradient_arrows(kappa=0.7).html
    first = {"theta": [0.4, -0.3], "alpha": 0.2, "steps": 3, "kappa": 0.8, "objective": "maml"}
    assert payload(one.html)["first"] == first


@pytest.mark.parametrize("arguments", [{"steps": 0}, {"alpha": 0}, {"objective": "joint", "kappa": 0}])
def test_every_setting_has_a_still_picture(arguments):
    assert "%23" in gradient_arrows(**arguments).html  # the colours of its lines
    assert ("over contours of the mean loss before" in gradient_arrows(**arguments).html) == ("objective" in arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0.31}, "alpha: expected 0 to 0.3, got 0.31"),
        ({"alpha": math.nan}, "alpha: expected 0 to 0.3, got nan"),
        ({"steps": 11}, "steps: expected 0 to 10, got 11"),
        ({"kappa": -0.1}, "kappa: expected 0 to 1, got -0.1"),
        ({"theta": (0, 1.5)}, "theta: expected -1.4 to 1.4, got 1.5"),
        ({"theta": (-3, 0)}, "theta: expected -2 to 2, got -3"),
        ({"theta": (0,)}, "theta: expected two numbers, got 1"),
        ({"objective": "fomaml"}, "objective: expected maml or joint, got fomaml"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        gradient_arrows(**arguments)


# ---- the arithmetic --------------------------------------------------------------------------------------------------


def test_compute_equals_autograd_through_every_number_of_steps(show):
    with show(gradient_arrows()) as shown:
        states = random_states(40)
        for state, values in zip(states, compute(shown, *states), strict=True):
            assert_values(state, values)


def test_unbent_valleys_have_the_closed_form(show):
    with show(gradient_arrows()) as shown:
        for state in random_states(16):
            state["kappa"] = 0.0
            (values,) = compute(shown, state)
            exact, theta = closed_form(state), vector(state["theta"])
            assert values["maml"] == pytest.approx(exact.loss(theta).item(), rel=1e-9)
            for method in METHODS:
                arrow = -exact.meta_gradient(method, theta)
                np.testing.assert_allclose(values["arrows"][method], arrow, rtol=1e-9, atol=1e-12)
            if state["steps"]:
                fixed = {**state, "theta": exact.fixed_point("maml").tolist()}
                assert compute(shown, fixed)[0]["lengths"]["maml"] < 1e-9


def test_one_factor_at_theta_is_another_arrow(show):
    """(I - alpha H(theta)) grad L(phi) is MAML's gradient for one step, and another vector for three."""
    with show(gradient_arrows()) as shown:
        for steps, same in [(1, True), (3, False), (10, False)]:
            shown.slide("steps", steps)
            state, values = shown.ask("f.state"), shown.ask("f.values")
            right, wrong = np.zeros(2), np.zeros(2)
            for task in state["tasks"]:
                theta = vector(state["theta"]).requires_grad_()
                hessians: list[torch.Tensor] = []
                end = descended(task, state, theta, hessians)[-1].detach().requires_grad_()
                (slope,) = torch.autograd.grad(loss(task, state["kappa"], end), end)
                factors = [torch.eye(2, dtype=torch.float64) - state["alpha"] * hessian for hessian in hessians]
                wrong -= (factors[0] @ slope).numpy() / 3
                for factor in reversed(factors):
                    slope = factor @ slope
                right -= slope.numpy() / 3
            np.testing.assert_allclose(values["arrows"]["maml"], right, rtol=1e-9)
            if same:
                np.testing.assert_allclose(wrong, right, rtol=1e-9)
            else:
                assert np.linalg.norm(wrong - right) > 0.2 * np.linalg.norm(right)
            if steps == 3:
                assert degrees(wrong, right) > 15


def test_by_default_the_four_arrows_differ(show):
    with show(gradient_arrows()) as shown:
        found = assert_shown(shown, steps=3, alpha=0.2, kappa=0.8)["arrows"]
        for i, one in enumerate(METHODS):
            for two in METHODS[:i]:
                assert degrees(found[one], found[two]) > 19, (one, two)


def test_no_setting_leaves_the_numbers(show):
    with show(gradient_arrows()) as shown:
        for theta in [(-2, -1.4), (2, -1.4), (-2, 1.4), (2, 1.4)]:
            state = {**shown.ask("f.state"), "theta": theta, "alpha": 0.3, "steps": 10, "kappa": 1}
            (values,) = compute(shown, state)
            assert np.isfinite([*values["lengths"].values(), *values["angles"].values()]).all()
        huge = {**shown.ask("f.state"), "theta": [1e300, 1e300]}
        assert compute(shown, huge)[0]["angles"]["maml"] is None
        shown.ask("(f.state.theta = [1e300, 1e300], f.redraw(), 0)")
        assert "no longer a number" in shown.said()
        assert "no direction" in shown.said()


# ---- contours --------------------------------------------------------------------------------------------------------


def assert_picture(shown: Shown):
    """The values at the corners of the cells are PyTorch's, and the contours lie where those values say."""
    state, picture = shown.ask("f.state"), shown.ask("f.values.picture")
    xs, ys, values = (np.array(picture[name]) for name in ("xs", "ys", "values"))
    grid = torch.stack(torch.meshgrid(vector(xs), vector(ys), indexing="xy"), -1).requires_grad_()
    at = {**state, "steps": state["steps"] if state["objective"] == "maml" else 0}
    tasks = [loss(task, state["kappa"], descended(task, at, grid)[-1]) for task in state["tasks"]]
    expected = torch.stack(tasks).mean(0).detach().numpy()
    values = values.reshape(len(ys), len(xs))
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-13)
    assert picture["levels"] == sorted(picture["levels"])
    cell = xs[1] - xs[0]
    for level in picture["levels"]:
        loops = shown.ask(f"window.mamlbook.arrows.contours(f.values.picture, {level})")
        points = np.concatenate([np.array(loop) for loop in loops])
        inside = (np.abs(points[:, 0]) <= 2 + 1e-9) & (np.abs(points[:, 1]) <= 1.4 + 1e-9)
        assert inside.sum() > 10
        column, row = ((points[inside] - [xs[0], ys[0]]) / cell).T
        i, j = np.clip(column.astype(int), 0, len(xs) - 2), np.clip(row.astype(int), 0, len(ys) - 2)
        a, b = column - i, row - j
        below, above = (values[k, i] * (1 - a) + values[k, i + 1] * a for k in (j, j + 1))
        np.testing.assert_allclose(below * (1 - b) + above * b, level, rtol=1e-6)
        for loop in loops:  # each closes, by steps of at most a cell
            gaps = np.linalg.norm(np.diff([*loop, loop[0]], axis=0), axis=1)
            assert gaps.max() <= 1.5 * cell
    paths = shown.figure.locator(".mb-layer-curves path[fill-rule]")
    assert paths.count() == len(picture["levels"])


def test_contours_follow_objective_and_sliders(show):
    with show(gradient_arrows()) as shown:
        assert_picture(shown)
        drawn = shown.figure.locator(".mb-layer-curves path[fill-rule]").nth(4)
        before = drawn.get_attribute("d")
        shown.press(0, "ArrowLeft")  # theta leaves the picture as it is
        assert drawn.get_attribute("d") == before
        for name, value in (("alpha", 0.3), ("steps", 7), ("kappa", 0.35)):
            shown.slide(name, value)
            assert drawn.get_attribute("d") != before
            before = drawn.get_attribute("d")
            assert_picture(shown)
        shown.figure.locator('input[data-name="joint"]').check()
        assert shown.ask("f.state.objective") == "joint"
        assert "loss before adapting, which the arrow of joint training" in shown.said()
        assert_picture(shown)
        assert drawn.get_attribute("fill") == "var(--mb-joint)"
        shown.slide("kappa", 0)
        assert_picture(shown)


def test_contours_part_two_hollows_at_a_saddle(show):
    values = [2, 2, 2, 2, 2, 0, 2, 2, 2, 2, 0, 2, 2, 2, 2, 2]
    picture = {"xs": [0, 1, 2, 3], "ys": [0, 1, 2, 3], "values": values}
    with show(gradient_arrows()) as shown:
        for level, loops in [(0.5, 2), (1.5, 1)]:  # the middle between the hollows is at 1
            found = shown.ask(f"window.mamlbook.arrows.contours({json.dumps(picture)}, {level})")
            assert len(found) == loops


def test_maml_and_joint_cross_their_own_contours_at_a_right_angle(show):
    """Each is the steepest descent of its objective: central differences of what the contours draw."""
    with show(gradient_arrows()) as shown:
        for which in ("maml", "joint"):
            slope = []
            for i in (0, 1):
                ends = []
                for sign in (1, -1):
                    theta = shown.ask("f.state.theta")
                    theta[i] += sign * 1e-5
                    ends.append(shown.ask(f'window.mamlbook.arrows.objective(f.state, "{which}", {theta})'))
                slope.append((ends[0] - ends[1]) / 2e-5)
            np.testing.assert_allclose(shown.ask(f"f.values.arrows.{which}"), -np.array(slope), rtol=1e-6)


# ---- pointer, keyboard, sliders, buttons -----------------------------------------------------------------------------


def test_the_start_follows_pointer_and_keyboard(show):
    with show(gradient_arrows()) as shown:
        shown.drag(0, -120, -60)
        moved = shown.ask("f.state.theta")
        assert moved[0] < 0.2
        assert moved[1] > -0.2
        assert_shown(shown)
        shown.press(0, "ArrowRight", "ArrowUp", "Shift+ArrowDown", "ArrowLeft", "ArrowLeft")
        x, y = shown.ask("f.state.theta")
        assert x == pytest.approx(round(moved[0] * 20) / 20 - 0.05, abs=1e-9)
        assert y == pytest.approx(round(moved[1] * 20) / 20 - 0.45, abs=1e-9)
        assert shown.handle().get_attribute("aria-valuetext") == f"theta {x:.2f}, {y:.2f}".replace("-", "−")
        assert shown.said().startswith(f"At θ = ({x:.2f}, {y:.2f}) the mean loss is".replace("-", "−"))
        assert_shown(shown)
        plot = shown.figure.locator(".mb-plot svg").bounding_box()
        shown.page.mouse.click(plot["x"] + plot["width"] * 0.9, plot["y"] + plot["height"] * 0.15)
        assert shown.ask("f.state.theta[0]") > 1.2
        assert_shown(shown)
        shown.drag(0, 3000, -3000)  # the start stays in the plot
        assert_shown(shown, theta=[2, 1.4])


def test_the_sliders_change_arrows_and_text(show):
    with show(gradient_arrows()) as shown:
        for steps, alpha, kappa in [(0, 0.2, 0.8), (1, 0.3, 0), (3, 0.13, 1), (10, 0.3, 0.5), (10, 0, 0.5)]:
            for name, value in (("steps", steps), ("alpha", alpha), ("kappa", kappa)):
                shown.slide(name, value)
            values = assert_shown(shown, steps=steps, alpha=alpha, kappa=kappa)
            visible = shown.figure.locator(".mb-arrow:visible")
            if steps * alpha == 0:
                assert values["angles"]["reptile"] is None
                assert visible.count() == 3
                assert "Without a step joint training, FOMAML and MAML are one arrow" in shown.said()
            else:
                assert visible.count() == 4
                for method in ("fomaml", "reptile", "joint"):
                    assert f"{values['angles'][method]:.0f}°" in shown.said()
        shown.click("reset")
        assert_shown(shown, steps=3, alpha=0.2, kappa=0.8, theta=[0.4, -0.3])
        ranges = shown.figure.locator('input[type="range"]').all()
        assert [node.input_value() for node in ranges] == ["0.2", "3", "0.8"]


def test_arrows_are_drawn_equally_long_in_their_directions(show):
    with show(gradient_arrows()) as shown:
        arrow = shown.ask("f.values.arrows")
        for method in METHODS:
            head = shown.figure.locator(f'.mb-arrow[data-method="{method}"] path').last
            x, y, turn = head.evaluate(
                "n => { const m = n.transform.baseVal.consolidate().matrix, h = n.ownerSVGElement"
                ".querySelector('.mb-handle').transform.baseVal.consolidate().matrix;"
                "return [m.e - h.e, h.f - m.f, Math.atan2(-m.b, m.a)]; }"
            )
            assert math.hypot(x, y) == pytest.approx(82, abs=3)
            assert math.atan2(y, x) == pytest.approx(math.atan2(*reversed(arrow[method])), abs=0.01)
            assert turn == pytest.approx(math.atan2(y, x), abs=0.01)


def test_the_legend_hides_arrows_trails_and_paths(show):
    with show(gradient_arrows(), reduced_motion="reduce") as shown:
        shown.click("follow")
        for label, method in [
            ("MAML", "maml"),
            ("FOMAML", "fomaml"),
            ("Reptile", "reptile"),
            ("Joint training", "joint"),
        ]:
            button = shown.figure.get_by_role("button", name=label, exact=True)
            arrow = shown.figure.locator(f'.mb-arrow[data-method="{method}"]')
            trails = shown.figure.locator(".mb-layer-curves path.mb-curve:visible")
            button.press("Enter")
            assert button.get_attribute("aria-pressed") == "false"
            assert not arrow.is_visible()
            assert trails.count() == 3
            shown.press(0, "ArrowUp")  # stays hidden
            assert not arrow.is_visible()
            button.click()
            assert arrow.is_visible()
            assert trails.count() == 4
        assert shown.figure.locator(".mb-path:visible").count() == 3
        shown.figure.locator(".mb-legend button", has_text="Inner paths").click()
        assert shown.figure.locator(".mb-path:visible").count() == 0
        assert shown.figure.locator(".mb-optimum:visible").count() == 3


def test_the_trails_are_gradient_descent_and_end_where_their_arrow_vanishes(show):
    with show(gradient_arrows(), reduced_motion="reduce") as shown:
        assert shown.ask("f.values.trails") is None
        shown.click("follow")
        state, values = shown.ask("f.state"), shown.ask("f.values")
        assert shown.figure.locator(".mb-layer-curves path.mb-curve:visible").count() == 4
        for method in METHODS:
            trail = vector(values["trails"][method])
            assert trail[0].tolist() == state["theta"]
            there = arrows_at(state, trail.clone().requires_grad_())
            length = there[method].norm(dim=1, keepdim=True)
            steps = there[method] * (0.05 / length).clamp(max=0.2)
            np.testing.assert_allclose(trail[1:], (trail + steps)[:-1], rtol=1e-9, atol=1e-12)
            moves = steps.norm(dim=1) > 1e-6  # until one step would be shorter, and no longer
            assert moves[:-1].all()
            assert not moves[-1]
            assert values["ends"][method] == pytest.approx(there["after"][-1].item(), rel=1e-9)
        assert values["ends"]["maml"] == min(values["ends"].values())
        assert f"the loss after 3 steps is {values['ends']['maml']:.3f} (MAML)" in " ".join(shown.said().split())
        shown.figure.locator('input[data-name="joint"]').check()
        ends = shown.ask("f.values.ends")
        assert ends["joint"] == min(ends.values())
        assert "Where the trails end, the loss before adapting is" in shown.said()


def test_trails_without_bend_end_at_the_fixed_points(show):
    with show(gradient_arrows(kappa=0, steps=2), reduced_motion="reduce") as shown:
        shown.click("follow")
        state = shown.ask("f.state")
        exact = closed_form(state)
        for method in METHODS:
            end = shown.ask(f"f.values.trails.{method}")[-1]
            np.testing.assert_allclose(end, exact.fixed_point(method), atol=1e-3)


def test_a_trail_that_still_moves_says_so(show):
    with show(gradient_arrows(alpha=0.3, steps=10), reduced_motion="reduce") as shown:
        shown.click("follow")
        lengths = {method: len(shown.ask(f"f.values.trails.{method}")) for method in METHODS}
        assert lengths["maml"] == lengths["fomaml"] == 601
        assert "After 600 steps FOMAML and MAML are still moving." in shown.said()
        assert max(lengths["joint"], lengths["reptile"]) < 601


FOLLOW = "figure.querySelector('button[data-name=follow]')"
# MAML's trail is drawn last.
PLACES = """figure => {
    const drawn = [...figure.querySelectorAll(".mb-layer-curves path.mb-curve")].at(-1);
    return drawn.getAttribute("d").split(/[ML]/).length - 1;
}"""


def test_the_trails_grow_and_follow_the_start(show):
    with show(gradient_arrows()) as shown:
        button = shown.figure.locator('button[data-name="follow"]')
        drawn = shown.figure.locator(".mb-layer-curves path.mb-curve").last
        # In one turn of the page's own loop, so that no frame passes before the trail is measured.
        began = shown.figure.evaluate(f"figure => {{ {FOLLOW}.click(); return ({PLACES})(figure); }}")
        assert button.inner_text() == "Hide the trails"
        whole = len(shown.ask("f.values.trails.maml"))
        assert began < whole
        shown.page.wait_for_function(f"places => ({PLACES})(document.querySelector('figure')) === places", arg=whole)
        shown.press(0, "ArrowUp")  # a change starts them anew, and draws them at once
        assert shown.ask("f.values.trails.maml[0]") == shown.ask("f.state.theta")
        assert shown.figure.evaluate(PLACES) == len(shown.ask("f.values.trails.maml"))
        button.click()
        assert button.inner_text() == "Follow the arrows"
        assert not drawn.is_visible()
        button.click()
        shown.click("reset")
        assert shown.ask("f.state.follow") is False
        assert not drawn.is_visible()


def test_a_change_completes_a_growing_trail(show):
    key = "new KeyboardEvent('keydown', { key: 'ArrowUp', bubbles: true, cancelable: true })"
    press = f"figure.querySelector('.mb-handle[role=slider]').dispatchEvent({key})"
    with show(gradient_arrows()) as shown:
        drawn = shown.figure.evaluate(f"figure => {{ {FOLLOW}.click(); {press}; return ({PLACES})(figure); }}")
        assert shown.ask("f.state.theta")[1] > -0.3
        assert drawn == len(shown.ask("f.values.trails.maml"))


def test_with_reduced_motion_the_trails_are_there_at_once(show):
    with show(gradient_arrows(), reduced_motion="reduce") as shown:
        drawn = shown.figure.evaluate(f"figure => {{ {FOLLOW}.click(); return ({PLACES})(figure); }}")
        assert drawn == len(shown.ask("f.values.trails.maml"))


# ---- manners ---------------------------------------------------------------------------------------------------------


def test_angles_are_what_they_look_like_on_a_phone(show):
    with show(gradient_arrows(), viewport=(320, 800)) as shown:
        across, up = (high - low for low, high in shown.ask("f.data.ranges"))
        box = shown.figure.locator(".mb-layer-curves").evaluate(
            "n => { const r = n.ownerSVGElement.querySelector('clipPath rect');"
            "return [r.width.baseVal.value, r.height.baseVal.value]; }"
        )
        assert box[0] / across == pytest.approx(box[1] / up, rel=1e-6)  # angles are what they look like


def test_two_figures_choose_their_contours_apart(show):
    with show(gradient_arrows(), gradient_arrows(objective="joint")) as shown:
        checked = "[...document.querySelectorAll('input[type=radio]:checked')].map(n => n.value)"
        assert shown.page.evaluate(checked) == ["maml", "joint"]
