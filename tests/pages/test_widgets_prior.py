"""The figure of the prior: its numbers against the package's own steps, integrals and simulation, and its controls."""

import math
import random

import pytest
import torch

from mamlbook import Data, Model, half_squared_error, linear, maml
from mamlbook.analysis import implied_prior, posterior
from mamlbook.pages.figures import prior_of_steps
from shown import MISFITS, Shown, payload

FIRST = {"theta": 0.0, "alpha": 0.05, "steps": 5, "shots": 5}
BUTTONS = {
    "short": {"theta": 0, "alpha": 0.05, "steps": 1, "shots": 5},
    "none": {"theta": 0, "alpha": 0.2, "steps": 1, "shots": 20},
}


def data() -> dict:
    return payload(prior_of_steps().html)


def support(shots: int) -> Data:
    given = data()
    return Data(*(torch.tensor(given[name][:shots], dtype=torch.float64).reshape(1, -1, 1) for name in "xy"))


def assert_values(state: dict, values: dict):
    points, theta = support(state["shots"]), torch.tensor([state["theta"]], dtype=torch.float64)
    learner = maml(Model(linear(theta), half_squared_error), state["alpha"], state["steps"])
    phi = learner.adapt(points).phi[0].item()
    assert values["phi"] == pytest.approx(phi, rel=1e-9, abs=1e-9), state
    exact = posterior(points, torch.zeros(1).double(), torch.eye(1).double(), 1.0)
    found = values["exact"]
    assert [found["mean"], found["variance"]] == pytest.approx([exact.mean.item(), exact.covariance.item()], rel=1e-10)
    try:
        prior = implied_prior(points.x, state["alpha"], state["steps"], 1.0)
    except ValueError:
        assert values["prior"] is values["believed"] is values["covered"] is None
        return
    assert values["prior"] == pytest.approx(prior.item(), rel=1e-8, abs=1e-12), state
    if values["prior"] < 1e6:
        assert values["believed"]["mean"] == pytest.approx(phi, rel=1e-8, abs=1e-8), state
    spread = posterior(points, theta, prior, 1.0).covariance.item() if prior < 1e6 else 1 / values["h"]
    assert values["believed"]["variance"] == pytest.approx(spread, rel=1e-5, abs=1e-12), state
    assert values["covered"] == pytest.approx(coverage(state, points, spread), abs=1e-8), state


def coverage(state: dict, points: Data, spread: float) -> float:
    """The share of tasks in the interval: what is left of c after the steps is Gaussian, with torch's own erf."""
    h = points.x.square().sum().item()
    left = (1 - state["alpha"] * h) ** state["steps"]
    deviation = math.sqrt(left**2 + (1 - left) ** 2 / h)
    normal = torch.distributions.Normal(left * state["theta"], torch.tensor(deviation, dtype=torch.float64))
    half = torch.tensor(1.959963984540054 * math.sqrt(spread), dtype=torch.float64)
    return (normal.cdf(half) - normal.cdf(-half)).item()


def assert_shown(shown: Shown, **expected):
    state = shown.ask("f.state")
    assert {name: state[name] for name in expected} == expected
    assert_values(state, shown.ask("f.values"))


def test_the_first_picture_and_its_words():
    one = prior_of_steps()
    assert one.html != prior_of_steps(steps=6).html
    assert payload(one.html)["first"] == FIRST
    assert "in 5 steps of size 0.05 to 0.51; the posterior of the tasks, from 5 points, is 0.80" in one.html
    assert "no prior with a width" in prior_of_steps(alpha=0.2, steps=1, shots=20).html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"theta": 3}, r"theta: expected -2\.2 to 2\.2, got 3"),
        ({"alpha": 0.3}, r"alpha: expected 0\.01 to 0\.25, got 0\.3"),
        ({"steps": 41}, "steps: expected a whole number from 0 to 40, got 41"),
        ({"shots": 0}, "shots: expected a whole number from 1 to 20, got 0"),
    ],
    ids=["theta", "alpha", "steps", "shots"],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        prior_of_steps(**arguments)


def test_compute_equals_the_package_all_over_the_sliders(show):
    draw, states = random.Random(0), [FIRST, *BUTTONS.values()]
    for _ in range(100):
        states.append(
            {
                "theta": draw.randint(-44, 44) / 20,
                "alpha": draw.randint(1, 25) / 100,
                "steps": draw.choice([0, 1, 2, 3, draw.randint(4, 40)]),
                "shots": draw.randint(1, 20),
            }
        )
    with show(prior_of_steps()) as shown:
        found = shown.compute(states)
    for state, values in zip(states, found, strict=True):
        assert_values(state, values)
        assert len(values["path"]) == 41
        assert values["path"][state["steps"]]["phi"] == values["phi"]
    assert 5 < sum(values["prior"] is None for values in found) < 60


def test_coverage_and_risk_are_those_of_drawn_tasks(show):
    states = [{**FIRST, "theta": theta, "steps": steps} for theta, steps in ((0.0, 1), (0.5, 12), (0.0, 40))]
    with show(prior_of_steps()) as shown:
        found = shown.compute(states)
    x = support(5).x[0]
    for state, values in zip(states, found, strict=True):
        generator = torch.Generator().manual_seed(0)
        c = torch.randn(400_000, 1, dtype=torch.float64, generator=generator)
        y = c * x.T + torch.randn(400_000, 5, dtype=torch.float64, generator=generator)
        phi = torch.full_like(c, state["theta"])
        for _ in range(state["steps"]):
            phi = phi - state["alpha"] * ((phi * x.T - y) * x.T).sum(1, keepdim=True)
        inside = ((phi - c).abs() < 1.959964 * values["believed"]["variance"] ** 0.5).double().mean().item()
        assert values["covered"] == pytest.approx(inside, abs=0.003)
        assert values["risk"] == pytest.approx((phi - c).square().mean().item(), rel=0.01)


def test_the_button_of_the_tasks_own_prior_stops_nearest_to_it(show):
    with show(prior_of_steps()) as shown:
        shown.click("best")
        best = shown.ask("f.state.steps")
        near = shown.compute([{**FIRST, "steps": steps} for steps in range(1, 41)])
        shares = [abs(math.log(values["prior"])) for values in near]
        assert abs(1 + shares.index(min(shares)) - best) <= 1
        assert "about right" in shown.said() or "too" in shown.said()
        assert_shown(shown)


def test_sliders_and_buttons(show):
    with show(prior_of_steps()) as shown:
        assert_shown(shown, **FIRST)
        for alpha, steps, shots in ((0.25, 3, 20), (0.02, 0, 1), (0.1, 40, 7)):
            for name, value in (("alpha", alpha), ("steps", steps), ("shots", shots)):
                shown.slide(name, value)
            assert_shown(shown, alpha=alpha, steps=steps, shots=shots)
        for name, state in {**BUTTONS, "reset": FIRST}.items():
            shown.click(name)
            assert_shown(shown, **state)
            for slider in ("alpha", "steps", "shots"):
                assert float(shown.figure.locator(f'input[data-name="{slider}"]').input_value()) == state[slider]
        shown.click("none")
        assert "No Gaussian prior" in shown.said()


def test_start_and_rule_follow_pointer_and_keyboard(show):
    with show(prior_of_steps()) as shown:
        shown.press(0, "ArrowUp", "ArrowUp", "ArrowRight", "Shift+ArrowDown")
        assert shown.ask("f.state.theta") == pytest.approx(-0.4, abs=1e-9)
        assert shown.handle().get_attribute("aria-label") == "Start theta"
        shown.drag(0, 0, -60)
        assert 0 < shown.ask("f.state.theta") < 2
        assert_shown(shown)
        shown.drag(0, 0, -3000)  # the start stays in the plot
        assert_shown(shown, theta=2.2)
        slider = shown.figure.locator('input[data-name="steps"]')
        slider.press("End")
        assert_shown(shown, steps=40)
        box = shown.figure.locator(".mb-plot svg").first.bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.2)
        assert 10 < shown.ask("f.state.steps") < 30
        assert_shown(shown)


@pytest.mark.parametrize("width", [900, 390])
def test_nothing_is_cut_off(show, width):
    with show(prior_of_steps(), viewport=(width, 800)) as shown:
        for name in (*BUTTONS, "best", "reset"):
            shown.click(name)
            shown.rest()
            assert shown.figure.evaluate(MISFITS) == [], name
