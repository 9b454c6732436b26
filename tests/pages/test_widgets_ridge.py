"""The figure of the solved head: its numbers against the package's solver and autograd, and its controls."""

import random

import pytest
import torch
from torch.nn.functional import mse_loss

from figure_data import figure, starts
from mamlbook import Data, FeatureKernel, GradientDescent, KernelRidge, Model, head, keep, mlp
from mamlbook.pages import load_theta
from mamlbook.pages.figures import solved_head
from shown import MISFITS, Shown, payload

FIRST = {"lam": 0.05, "steps": 10}
GRID = torch.linspace(-5, 5, 201, dtype=torch.float64).view(1, -1, 1)


def network() -> torch.nn.Module:
    """The network as the figure has it: its decimals read as float64."""
    net = mlp(1, 40, 40, 1).double()
    shapes = [p.shape for p in net.parameters()]
    given = payload(figure("ridge").html)["start"]
    return load_theta(
        net, tuple(torch.tensor(p, dtype=torch.float64).view(s) for p, s in zip(given, shapes, strict=True))
    )


def on(points: list) -> Data:
    return Data(*torch.tensor(points, dtype=torch.float64)[None].split(1, dim=-1))


def by_autograd(points: list, lam: float, alpha: float, steps: int) -> torch.Tensor:
    """Gradient descent on mean squared error plus ``lam`` times the squared way of the head: (201,)."""
    net = network().requires_grad_(False)
    (x, y), features, last = on(points), net[:-1], net[-1]
    z, start = features(x[0]), [p.clone() for p in last.parameters()]
    now = [p.clone().requires_grad_() for p in start]
    for _ in range(steps):
        error = ((z @ now[0].T + now[1] - y[0]) ** 2).mean()
        away = sum((a - b).square().sum() for a, b in zip(now, start, strict=True))
        slopes = torch.autograd.grad(error + lam * away, now)
        now = [(p - alpha * g).detach().requires_grad_() for p, g in zip(now, slopes, strict=True)]
    return (features(GRID[0]) @ now[0].T + now[1]).flatten().detach()


def assert_values(state: dict, values: dict):
    model, support, lam = Model(network(), mse_loss), on(state["points"]), state["lam"]
    z, everywhere = (torch.cat([network()[:-1](x[0]), torch.ones(len(x[0]), 1).double()], 1) for x in (support.x, GRID))
    z, everywhere, before = z.detach(), everywhere.detach(), network()(support.x[0]).detach()
    # Least squares on the points and, for each weight, one example that pulls it to the start.
    pulls = (lam * len(z)) ** 0.5 * torch.eye(41, dtype=torch.float64)
    right = torch.cat([support.y[0] - before, torch.zeros(41, 1, dtype=torch.float64)])
    w = torch.linalg.lstsq(torch.cat([z, pulls]), right).solution
    outputs = (network()(GRID[0]).detach() + everywhere @ w).flatten()
    found = torch.tensor(values["solved"]["outputs"], dtype=torch.float64)
    assert (found - outputs).abs().max() < 1e-9, state
    error = mse_loss(before + z @ w, support.y[0]).item()
    assert values["solved"]["points"] == pytest.approx(error, rel=1e-9, abs=1e-12)
    solved = KernelRidge(FeatureKernel(), lam)(model, support, unroll=0)
    assert (found - solved.predict(solved.phi, GRID).flatten()).abs().max() < 1e-6, state  # it inverts the kernel
    truth = state["amplitude"] * torch.sin(GRID.flatten() - state["phase"])
    assert values["solved"]["wave"] == pytest.approx(mse_loss(outputs, truth).item(), rel=1e-9)
    # The step is one over the largest curvature of the objective in the head, its bias included.
    curvature = torch.linalg.eigvalsh(2 * z.T @ z / len(z) + 2 * lam * torch.eye(41).double())[-1].item()
    assert values["alpha"] * curvature == pytest.approx(1, rel=1e-9)
    if state["steps"] <= 200:
        slow = by_autograd(state["points"], lam, values["alpha"], state["steps"])
        found = torch.tensor(values["steps"]["outputs"], dtype=torch.float64)
        assert (found - slow).abs().max() < 1e-9, state
        assert values["steps"]["wave"] == pytest.approx(mse_loss(slow, truth).item(), rel=1e-9)
        assert values["gap"] == pytest.approx((slow - outputs).abs().max().item(), rel=1e-6, abs=1e-9)
    start = model(tuple(p.detach()[None] for p in model.theta), GRID).flatten().detach()
    assert torch.tensor(values["start"]["outputs"], dtype=torch.float64).sub(start).abs().max() < 1e-12


def assert_shown(shown: Shown, **expected):
    state = shown.ask("f.state")
    assert {name: state[name] for name in expected} == expected
    assert_values(state, shown.ask("f.values"))


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_first_picture_and_its_words():
    one = figure("ridge")
    assert one.html != solved_head(starts()["maml"], lam=0.1).html
    assert payload(one.html)["first"] == {**FIRST, "number": 10, "amplitude": 3.5, "phase": 0.8}
    assert "10 points on it. With λ = 0.05 the solved head has an error of" in one.html


def test_the_words_of_the_still_picture_are_those_of_the_live_one(show):
    with show(figure("ridge")) as shown:
        values = shown.ask("f.values")
        alt = shown.figure.locator("img.mb-fallback").get_attribute("alt")
    for value in (values["solved"]["points"], values["steps"]["points"], values["start"]["points"]):
        assert f"{value:.2g}" in alt
    apart = float(alt.rsplit("up to ", 1)[1].removesuffix(" apart."))
    assert apart == pytest.approx(values["gap"], rel=0.06)  # of 101 places and two digits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lam": 0.03}, r"lam: expected one of 1e-06, 2e-06, .*, 100, got 0\.03"),
        ({"steps": 3}, "steps: expected one of 0, 1, 2, 5, .*, 10000, got 3"),
        ({"points": 21}, "points: expected a whole number from 1 to 20, got 21"),
        ({"amplitude": 6}, r"amplitude: expected 0\.1 to 5, got 6"),
        ({"phase": -1}, r"phase: expected 0 to 3\.14, got -1"),
        ({"start": []}, "start: expected 6 parameters"),
    ],
    ids=["lam", "steps", "points", "amplitude", "phase", "start"],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        solved_head(**{"start": starts()["maml"], **arguments})


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_compute_equals_the_package_and_autograd(show):
    draw, given, states = random.Random(0), payload(figure("ridge").html), []
    for number in range(40):
        points = [[draw.uniform(-5, 5), draw.uniform(-5.5, 5.5)] for _ in range(draw.choice([1, 2, 5, 10, 20]))]
        if number % 8 == 0:
            points.append([points[0][0], -points[0][1]])  # one place, two heights
            points = points[-20:]
        states.append(
            {
                "points": points,
                "lam": draw.choice([1e-6, 100, *given["ridges"]]),
                "steps": draw.choice([0, 1, *given["stops"][:9]]),
                "amplitude": draw.uniform(0.1, 5),
                "phase": draw.uniform(0, 3),
            }
        )
    with show(figure("ridge")) as shown:
        found = shown.compute(states)
    for state, values in zip(states, found, strict=True):
        assert_values(state, values)


def test_many_steps_arrive_where_the_solution_is_at_once(show):
    base = {"amplitude": 3.5, "phase": 0.8}
    points = [[x, 3.5 * torch.sin(torch.tensor(x - 0.8)).item()] for x in (-4, -2, 0, 1.5, 3, 4.5)]
    states = [{**base, "points": points, "lam": lam, "steps": 10000} for lam in (1e-6, 1e-3, 0.05, 1.0, 100.0)]
    with show(figure("ridge")) as shown:
        found = shown.compute(states)
    model = Model(network(), mse_loss)
    descent = GradientDescent(found[3]["alpha"], 1000, keep(head), lam=2.0)  # of this book's pull, with its half
    phi = descent(model, on(points), unroll=0).phi
    assert (
        torch.tensor(found[3]["solved"]["outputs"], dtype=torch.float64).sub(model(phi, GRID).flatten()).abs().max()
        < 1e-9
    )
    enough = [values["enough"] or 0 if values["enough"] is not None else 1e9 for values in found]
    assert enough == sorted(enough, reverse=True)
    assert enough[0] > 10 * enough[2]
    assert found[2]["gap"] < 1e-6
    assert [values["solved"]["points"] for values in found] == sorted(v["solved"]["points"] for v in found)


def test_what_is_said(show):
    with show(figure("ridge")) as shown:
        values, said = shown.ask("f.values"), shown.said()
        assert "Solved with λ = 0.05, the error is " in said
        assert "After 10 steps on the head: " in said
        assert f"{values['enough']:,} steps come within 0.01 of the solution everywhere; " in said
        shown.slide("steps", 0)
        assert "Without a step, at the start: " in shown.said()
        shown.slide("steps", 1)
        assert "After 1 step on the head: " in shown.said()
        shown.slide("lam", 0)
        assert "Solved with λ = 0.000001" in shown.said()
        assert "even 10,000 steps do not come within 0.01" in shown.said()
        on_start = "f => { const s = f.mamlbook.state, v = f.mamlbook.values.start.outputs;"
        on_start += " s.points = [[0, v[100]]]; s.lam = 1; f.mamlbook.redraw(); }"
        shown.figure.evaluate(on_start)
        assert "the start itself is within 0.01" in shown.said()


def test_sliders_and_reset(show):
    with show(figure("ridge")) as shown:
        assert_shown(shown, **FIRST)
        given = payload(figure("ridge").html)
        for lam, steps, points in ((0, 13, 20), (24, 1, 1), (9, 7, 4)):
            for name, value in (("lam", lam), ("steps", steps), ("points", points)):
                shown.slide(name, value)
            assert_shown(shown, lam=given["ridges"][lam], steps=given["stops"][steps])
            assert len(shown.ask("f.state.points")) == points
        shown.drag(0, 10, 40)
        shown.click("reset")
        assert_shown(shown, **FIRST)
        state = shown.ask("f.state")
        assert [x for x, _ in state["points"]] == given["places"][:10]
        for name, value in (("lam", 14), ("steps", 4), ("points", 10)):
            assert shown.figure.locator(f'input[data-name="{name}"]').input_value() == str(value)


def test_points_follow_pointer_and_keyboard(show):
    with show(figure("ridge")) as shown:
        before = shown.ask("f.state.points[0]")
        shown.drag(0, 30, -40)
        after = shown.ask("f.state.points[0]")
        assert after[0] > before[0]
        assert after[1] > before[1]
        assert_shown(shown)
        shown.press(0, "ArrowLeft", "ArrowUp", "Shift+ArrowDown")
        assert shown.ask("f.state.points[0][0]") == pytest.approx(round(after[0], 1) - 0.1, abs=0.051)
        shown.press(0, "Delete")
        assert len(shown.ask("f.state.points")) == 9
        assert shown.figure.locator('input[data-name="points"]').input_value() == "9"
        box = shown.figure.locator(".mb-plot svg").bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.12)
        assert len(shown.ask("f.state.points")) == 10
        assert_shown(shown)


def test_a_state_from_an_address_is_drawn(show):
    with show(figure("ridge")) as shown:
        shown.figure.evaluate(
            "f => { Object.assign(f.mamlbook.state, { lam: 2, steps: 50, points: [[1, 2]] }); f.mamlbook.redraw(); }"
        )
        assert_shown(shown, lam=2, steps=50, points=[[1, 2]])
        assert shown.figure.locator(".mb-handle").count() == 1


@pytest.mark.parametrize("width", [900, 390])
def test_nothing_is_cut_off(show, width):
    with show(figure("ridge"), viewport=(width, 800)) as shown:
        shown.slide("lam", 0)
        shown.slide("steps", 13)
        shown.rest()
        assert shown.figure.evaluate(MISFITS) == []
