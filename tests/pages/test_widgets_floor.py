"""The figure of the noise's floor: its course against real meta-steps in PyTorch, its controls, what it says."""

import math
import random
from functools import cache

import pytest
import torch

from mamlbook.pages.figures import noise_floor
from shown import Shown, payload

FIRST = {"beta": 0.4, "tasks": 16, "used": 400}
BETAS = [0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]
BATCHES = [1, 2, 4, 8, 16, 32, 64]


@cache
def outer_step(beta: float, tasks: int) -> tuple[float, float]:
    """What an outer step keeps of theta, and its variance over optima of variance 1: MAML's own, by autograd."""

    def stepped(theta: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        own = theta.expand(tasks)
        (slope,) = torch.autograd.grad(((own - c) ** 2).sum() / 2, own, create_graph=True)
        after = ((own - 0.3 * slope - c) ** 2 / 2).mean()
        (meta,) = torch.autograd.grad(after, theta, create_graph=True)
        return theta - beta * meta

    at = torch.tensor(0.7, dtype=torch.float64, requires_grad=True), torch.linspace(-1, 1, tasks, dtype=torch.float64)
    keeps, hears = torch.autograd.functional.jacobian(stepped, at)
    return keeps.item(), (hears**2).sum().item()


def course(beta: float, tasks: int, used: int) -> tuple[float, float]:
    """The share of the first distance and the expected squared distance after all whole steps, one after the other."""
    keeps, noise = outer_step(beta, tasks)
    mean, variance = 3.0, 0.0
    for _ in range(used // tasks):
        mean, variance = keeps * mean, keeps**2 * variance + noise
    return mean / 3, mean * mean + variance


def settings(state: dict) -> dict[str, tuple[float, int]]:
    beta, tasks = state["beta"], state["tasks"]
    return {"batch": (beta, tasks), "same": (beta, 1), "ratio": (beta / tasks, 1)}


def assert_values(state: dict, values: dict):
    for name, (beta, tasks) in settings(state).items():
        found = values[name]
        left, distance = course(beta, tasks, state["used"])
        assert (found["tasks"], found["steps"]) == (tasks, state["used"] // tasks)
        assert found["beta"] == pytest.approx(beta)
        if distance < 1e300:
            assert found["left"] == pytest.approx(left, rel=1e-9, abs=1e-300)
            assert found["distance"] == pytest.approx(distance, rel=1e-9), (name, state)
        else:  # JSON has no word for infinity
            assert found["distance"] is None or found["distance"] > 1e299
        keeps, noise = outer_step(beta, tasks)
        if abs(keeps) < 1:  # the floor is the variance that a step does not change
            floor = found["floor"]
            assert keeps**2 * floor + noise == pytest.approx(floor, rel=1e-9)
        else:
            assert found["floor"] is None
    assert values["move"] == pytest.approx(1 - outer_step(state["beta"], 1)[0], rel=1e-9)


def assert_shown(shown: Shown, **expected):
    state = shown.ask("f.state")
    assert {name: state[name] for name in expected} == expected
    assert_values(state, shown.ask("f.values"))


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_first_picture_and_its_words():
    one = noise_floor()
    assert one.html != noise_floor(beta=0.2).html
    assert payload(one.html)["first"] == FIRST
    ends = [f"{course(*setting, 400)[1]:.2g}" for setting in settings(FIRST).values()]
    assert f"it is {ends[0]} with 16 tasks a step at the rate 0.4, {ends[1]} with one task at the same" in one.html
    assert f"{ends[2]} with one task at the rate 0.025." in one.html
    assert noise_floor(beta=6.4, tasks=1, used=1000).html  # that runs away


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"beta": 0.3}, "beta: expected one of 0.0125, .*, 6.4, got 0.3"),
        ({"beta": math.nan}, "beta: expected one of 0.0125, .*, 6.4, got nan"),
        ({"tasks": 3}, "tasks: expected one of 1, .*, 64, got 3"),
        ({"used": 1001}, "used: expected a whole number from 0 to 1000, got 1001"),
        ({"used": 2.5}, "used: expected a whole number from 0 to 1000, got 2.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        noise_floor(**arguments)


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_compute_equals_meta_steps_one_after_the_other(show):
    draw = random.Random(0)
    states = [
        {"beta": beta, "tasks": tasks, "used": used}
        for beta in BETAS
        for tasks in BATCHES
        for used in (draw.choice([0, 1, 15, 16, 1000]), draw.randint(0, 1000))
    ]
    with show(noise_floor()) as shown:
        for state, values in zip(states, shown.compute(states), strict=True):
            assert_values(state, values)


def test_the_distance_is_that_of_many_runs(show):
    generator = torch.Generator().manual_seed(0)
    with show(noise_floor()) as shown:
        for state in ({"beta": 0.4, "tasks": 16, "used": 160}, {"beta": 3.2, "tasks": 4, "used": 40}):
            theta = torch.full((40_000,), 3.0, dtype=torch.float64)
            for _ in range(state["used"] // state["tasks"]):
                c = torch.randn(40_000, state["tasks"], generator=generator, dtype=torch.float64)
                phi = theta[:, None] - 0.3 * (theta[:, None] - c)
                theta = theta - state["beta"] * (0.7 * (phi - c)).mean(1)
            (values,) = shown.compute([state])
            assert values["batch"]["distance"] == pytest.approx(theta.square().mean().item(), rel=0.04)


def test_the_ratio_decides_while_the_rate_is_small(show):
    ratios = [(0.1, 4), (0.4, 16), (1.6, 64)]
    with show(noise_floor()) as shown:
        found = shown.compute([{"beta": beta, "tasks": tasks, "used": 960} for beta, tasks in ratios])
    assert len({values["ratio"]["distance"] for values in found}) == 1
    off = [values["batch"]["floor"] / values["ratio"]["floor"] - 1 for values in found]
    assert off[0] < 0.03
    assert off == sorted(off)
    assert off[-1] > 0.5


def test_sliders_buttons_and_reset(show):
    with show(noise_floor()) as shown:
        assert_shown(shown, **FIRST)
        for beta, tasks in [(0, 6), (9, 0), (9, 6), (4, 2)]:
            shown.slide("beta", beta)
            shown.slide("tasks", tasks)
            assert_shown(shown, beta=BETAS[beta], tasks=BATCHES[tasks])
        shown.click("quarter")
        assert_shown(shown, beta=0.05, tasks=1)
        assert shown.figure.locator('button[data-name="quarter"]').is_disabled()
        for beta, tasks in ((0.2, 4), (0.8, 16), (3.2, 64)):
            shown.click("four")
            assert_shown(shown, beta=beta, tasks=tasks)
        assert shown.figure.locator('button[data-name="four"]').is_disabled()
        shown.click("reset")
        assert_shown(shown, **FIRST)
        inputs = shown.figure.locator('input[type="range"]')
        assert [node.input_value() for node in inputs.all()] == ["5", "4"]


def test_the_rule_follows_pointer_and_keyboard(show):
    with show(noise_floor()) as shown:
        shown.drag(0, 100, 0)
        moved = shown.ask("f.state.used")
        assert 480 < moved < 600
        assert_shown(shown)
        shown.press(0, "ArrowRight", "ArrowUp", "ArrowLeft", "Shift+ArrowLeft")
        assert shown.ask("f.state.used") == 10 * math.floor(moved / 10 + 0.5) - 90
        assert shown.handle().get_attribute("aria-valuetext") == f"{shown.ask('f.state.used')} tasks"
        for key, end in (("Home", 0), ("End", 1000)):
            shown.press(0, key)
            assert_shown(shown, used=end)
        box = shown.figure.locator(".mb-plot svg").bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
        assert 430 < shown.ask("f.state.used") < 560
        shown.drag(0, -3000, 0)
        assert_shown(shown, used=0)


def test_what_is_said_is_what_is_computed(show):
    with show(noise_floor()) as shown:
        assert "After 400 tasks, the meta-batch of 16 has made 25 outer steps" in shown.said()
        for beta, tasks in [(5, 4), (0, 6), (8, 3)]:
            shown.slide("beta", beta)
            shown.slide("tasks", tasks)
            values = shown.ask("f.values")
            numbers = shown.figure.locator(".mb-says .mb-number").all_inner_texts()
            three = [values[name] for name in ("batch", "same", "ratio")]
            expected = [one["distance"] for one in three] + [one["floor"] for one in three]
            assert [float(text) for text in numbers] == pytest.approx(expected, rel=0.05)
        shown.click("reset")
        assert "βh̄ = 0.196: the floor of the meta-batch lies 10 % above that of one task at β/B." in shown.said()
        assert "Almost only the ratio counts." in shown.said()
        shown.slide("beta", 8)
        assert "lies at 4.4 times that of one task at β/B. The ratio no longer decides alone." in shown.said()
        shown.slide("beta", 9)
        assert "βh̄ = 3.14 is not below 2" in shown.said()
        assert "At the rate β there is no floor. That of one task at β/B is" in shown.said()
        shown.slide("tasks", 0)
        assert "None of them has a floor." in shown.said()
        shown.press(0, "End")
        assert shown.said().count("over a million") == 3
        shown.slide("beta", 1)
        assert "the three curves are one" in shown.said()
        shown.press(0, "Home", "ArrowRight")
        shown.drag(0, -3000, 0)
        assert "After 0 tasks" in shown.said()


def test_a_state_that_is_put_back_is_shown(show):
    with show(noise_floor()) as shown:
        shown.slide("beta", 2)
        shown.press(0, "End")
        left = shown.ask("[f.state, f.values]")
        shown.click("reset")
        put_back = "(one, state) => { Object.assign(one.mamlbook.state, state); one.mamlbook.redraw(); }"
        shown.figure.evaluate(put_back, left[0])
        assert shown.ask("[f.state, f.values]") == left
