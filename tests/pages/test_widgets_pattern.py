"""The figure of patterns: its steps against the package's, its work against the package's count, its grid by hand."""

import functools
import json
import math
import random

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

from mamlbook import GradientDescent, Model, Transform, fomaml, mlp
from mamlbook.analysis.costs import cost
from mamlbook.pages import load_theta, recall_weights
from mamlbook.pages.figures import adaptation_pattern
from mamlbook.tasks.base import Data, Tasks
from mamlbook.tasks.sinusoid import split
from shown import MISFITS, Shown, payload

LAYERS = ("linear1", "linear2", "head")
STEPS = 5
T, F = True, False
PRESETS = {
    "all": [[T, T, T]] * STEPS,
    "head": [[F, F, T]] * STEPS,
    "body": [[T, T, F]] * STEPS,
    "none": [[F, F, F]] * STEPS,
    "staircase": [[F, F, T], [F, T, T], [T, T, T], [T, T, T], [T, T, T]],
}


def start() -> tuple:
    return recall_weights("sinusoid-maml")


@functools.cache
def figure(**changes):
    return adaptation_pattern(start(), **changes)


def some_masks(number: int, steps: int = STEPS) -> list[list[list[bool]]]:
    draw = random.Random(0)
    return [[[draw.random() < 0.5 for _ in LAYERS] for _ in range(steps)] for _ in range(number)]


class Pattern(Transform):
    """Of the package's inner gradients, those that a mask leaves: the layers that adapt at a step."""

    def __init__(self, mask):
        self.mask = mask

    def adapts(self, model, step):
        return [self.mask[step][LAYERS.index(name.split(".")[0])] for name in model.names]

    def __call__(self, gradients, place):
        return gradients


@functools.cache
def model() -> Model:
    """The network with the decimals that the figure carries, read as float64."""
    net = mlp(1, 40, 40, 1).double()
    shown = payload(figure().html)["start"]
    theta = [torch.tensor(v, dtype=torch.float64).view_as(p) for v, p in zip(shown, net.parameters(), strict=True)]
    return Model(load_theta(net, theta), mse_loss)


def tasks_of(wave: dict) -> Tasks:
    """The wave as a task: its support points, and 101 points of all of it as the query set."""
    x = torch.tensor([*wave["places"], *np.linspace(-5, 5, 101)], dtype=torch.float64).view(1, -1, 1)
    return split(x, wave["amplitude"] * torch.sin(x - wave["phase"]), len(wave["places"]))


def expected(wave: dict, mask: list, alpha: float) -> dict:
    """What the package's gradient descent makes of the start, after every step."""
    return _expected(json.dumps(wave), json.dumps(mask), alpha)


@functools.cache
def _expected(wave: str, mask: str, alpha: float) -> dict:
    net, tasks, mask = model(), tasks_of(json.loads(wave)), json.loads(mask)
    found = list(GradientDescent(alpha, len(mask), Pattern(mask)).path(net, tasks.support, unroll=0))

    def errors(data: Data) -> list[float]:
        return [net.losses(at.predict(at.phi, data.x), data.y).item() for at in found]

    outputs = [at.predict(at.phi, tasks.query.x).flatten().tolist() for at in found]
    phis = [[p.flatten().tolist() for p in at.phi] for at in found]
    return {"phis": phis, "outputs": outputs, "support": errors(tasks.support), "query": errors(tasks.query)}


def close(shown: list, true: list) -> None:
    np.testing.assert_allclose(np.array(shown, dtype=float), np.array(true), rtol=1e-9, atol=1e-11)


def assert_values(values: dict, wave: dict, mask: list, alpha: float = 0.01) -> None:
    true = expected(wave, mask, alpha)
    for name in ("outputs", "support", "query"):
        close(values[name], true[name])
    for shown_phi, phi in zip(values["phis"], true["phis"], strict=True):
        for one, two in zip(shown_phi, phi, strict=True):
            close(one, two)
    every = expected(wave, [[True] * len(LAYERS)] * len(mask), alpha)
    for name in ("outputs", "support", "query"):
        close(values["every"][name], every[name])


def assert_shown(shown: Shown, **state) -> None:
    """The figure is in this state, and shows what the package finds there."""
    now = shown.ask("f.state")
    assert {name: now[name] for name in state} == state
    assert_values(shown.ask("f.values"), shown.ask("f.data.waves")[now["wave"]], now["mask"])


def compute(shown: Shown, states: list[dict]) -> list[dict]:
    code = """(element, states) => JSON.stringify(
      states.map((state) => window.mamlbook.pattern.compute(element.mamlbook.data, state)),
      (k, v) => ArrayBuffer.isView(v) ? Array.from(v) : v)"""
    return json.loads(shown.figure.evaluate(code, states))


def named(shown: Shown, name: str):
    return shown.figure.locator(f'[data-name="{name}"]')


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_another_seed_is_another_figure():
    one = figure()
    assert one.html != figure(seed=1).html
    assert len(one.html) < 90_000


def test_the_data_are_the_weights_the_presets_and_waves_of_the_paper():
    data = payload(figure(preset="staircase").html)
    for array, tensor in zip(data["start"], start(), strict=True):
        np.testing.assert_array_equal(np.array(array, dtype=np.float32), tensor.numpy().ravel())
    assert {preset["name"]: preset["mask"] for preset in data["presets"]} == PRESETS
    assert data["first"] == {"wave": 0, "step": STEPS, "mask": PRESETS["staircase"]}
    for wave in data["waves"]:
        assert 0.1 <= wave["amplitude"] <= 5
        assert 0 <= wave["phase"] <= math.pi
        assert max(map(abs, wave["places"])) <= 5
        assert len(wave["places"]) == 10


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("all", "every layer adapts"),
        ("none", "nothing adapts"),
        ("body", "the head at none"),
        ("head", "the head adapts"),
    ],
)
def test_the_still_picture_says_the_errors(preset, words):
    html = figure(preset=preset).html
    data = payload(html)
    query = expected(data["waves"][0], PRESETS[preset], 0.01)["query"]
    assert f"from {query[0]:.2g} to {query[-1]:.2g}, and to " in html
    assert words in html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0}, "alpha: expected a rate above 0 and at most 0.1, got 0"),
        ({"alpha": math.nan}, "alpha: expected a rate above 0 and at most 0.1, got nan"),
        ({"steps": 7}, "steps: expected a whole number from 1 to 6, got 7"),
        ({"steps": 0}, "steps: expected a whole number from 1 to 6, got 0"),
        ({"shots": 21}, "shots: expected a whole number from 1 to 20, got 21"),
        ({"shots": 2.5}, "shots: expected a whole number from 1 to 20, got 2.5"),
        ({"preset": "stairs"}, "preset: expected one of all, head, body, none, staircase, got stairs"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        figure(**arguments)


def test_a_wrong_start_is_named():
    with pytest.raises(ValueError, match=r"start: expected 6 parameters of shapes .*, got 5"):
        adaptation_pattern(start()[:5])
    with pytest.raises(ValueError, match=r"start\[1\]: expected finite numbers"):
        adaptation_pattern([start()[0], torch.full((40,), math.nan), *start()[2:]])


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_steps_equal_the_packages_at_many_patterns(show):
    masks = [*PRESETS.values(), *some_masks(19)]
    states = [{"wave": number % 8, "mask": mask} for number, mask in enumerate(masks)]
    with show(figure()) as shown:
        waves = shown.ask("f.data.waves")
        for state, values in zip(states, compute(shown, states), strict=True):
            assert_values(values, waves[state["wave"]], state["mask"])


def test_what_does_not_adapt_stays_exactly(show):
    masks = some_masks(10)
    with show(figure()) as shown:
        for mask, values in zip(masks, compute(shown, [{"wave": 2, "mask": mask} for mask in masks]), strict=True):
            for s, adapts in enumerate(mask):
                before, after = values["phis"][s], values["phis"][s + 1]
                assert [one == two for one, two in zip(before, after, strict=True)] == [
                    not adapts[number // 2] for number in range(6)
                ]


@pytest.mark.parametrize(("steps", "shots"), [(5, 10), (3, 4)])
def test_work_equals_the_packages_count(show, steps, shots):
    masks = [[adapts] * steps for adapts in ([T, T, T], [F, F, T], [T, T, F], [T, F, F], [F, F, F])]
    masks += some_masks(10, steps)
    with show(figure(steps=steps, shots=shots)) as shown:
        tasks = tasks_of(shown.ask("f.data.waves[3]"))
        rest = cost(fomaml(model(), 0.01, 0), tasks).operations
        for mask, values in zip(masks, compute(shown, [{"wave": 3, "mask": mask} for mask in masks]), strict=True):
            counted = cost(fomaml(model(), 0.01, steps, Pattern(mask)), tasks).operations - rest
            # An operation is a multiplication or an addition.
            assert 2 * values["work"]["total"] == counted == 2 * sum(values["work"]["steps"])
            assert values["work"]["one"] == shots * (40 + 1600 + 40 + 2 * (40 + 1600 + 40) - 40)


def test_squares_and_presets_follow_the_pointer(show):
    with show(figure()) as shown:
        assert_shown(shown, **payload(figure().html)["first"])
        mask = [row[:] for row in PRESETS["head"]]
        for layer, step in [("linear1", 1), ("head", 1), ("linear2", 4), ("linear1", 5), ("head", 1)]:
            named(shown, f"{layer}-{step}").click()
            column = mask[step - 1]
            column[LAYERS.index(layer)] = not column[LAYERS.index(layer)]
            assert_shown(shown, mask=mask)
        for name, preset in PRESETS.items():
            named(shown, name).click()
            assert_shown(shown, mask=preset, wave=0, step=STEPS)
            pressed = [other for other in PRESETS if named(shown, other).get_attribute("aria-pressed") == "true"]
            assert pressed == [name]
        named(shown, "head-2").click()
        assert [named(shown, other).get_attribute("aria-pressed") for other in PRESETS] == ["false"] * 5
        # A preset is not changed by what the reader did to its squares.
        named(shown, "staircase").click()
        assert_shown(shown, mask=PRESETS["staircase"])
        named(shown, "reset").click()
        assert_shown(shown, mask=PRESETS["head"])


def test_names_switch_whole_lines(show):
    low, none = [T, F, F], [F, F, F]
    with show(figure(preset="none")) as shown:
        for name, mask in [
            ("layer-linear1", [low] * STEPS),
            ("step-2", [low, [T, T, T], *[low] * 3]),
            ("step-2", [low, none, *[low] * 3]),
            ("layer-linear1", [low] * STEPS),  # off only where all are on
            ("layer-linear1", [none] * STEPS),
            ("layer-head", PRESETS["head"]),
        ]:
            named(shown, name).click()
            assert_shown(shown, mask=mask)
        assert named(shown, "step-4").get_attribute("aria-label") == "Switch every layer at step 4"
        assert named(shown, "layer-head").get_attribute("aria-label") == "Switch head at every step"


def test_the_grid_follows_the_keyboard(show):
    focused = "document.activeElement.dataset.name"
    with show(figure(preset="none")) as shown:
        page = shown.page
        stops = shown.figure.locator('[role="grid"] button[tabindex="0"]')
        assert stops.count() == 1
        named(shown, "staircase").focus()
        page.keyboard.press("Tab")
        assert page.evaluate(focused) == "head-1"
        page.keyboard.press("Space")
        assert_shown(shown, mask=[[F, F, T], *[[F, F, F]] * 4])
        for key, place in [
            ("ArrowDown", "linear2-1"),
            ("ArrowRight", "linear2-2"),
            ("ArrowDown", "linear1-2"),
            ("ArrowDown", "linear1-2"),  # the end of the grid
            ("End", "linear1-5"),
            ("ArrowRight", "linear1-5"),
        ]:
            page.keyboard.press(key)
            assert page.evaluate(focused) == place
        page.keyboard.press("Enter")
        assert_shown(shown, mask=[[F, F, T], *[[F, F, F]] * 3, [T, F, F]])
        for key in ("ArrowUp", "ArrowUp", "ArrowUp"):
            page.keyboard.press(key)
        assert page.evaluate(focused) == "step-5"
        page.keyboard.press("Space")
        assert_shown(shown, mask=[[F, F, T], *[[F, F, F]] * 3, [T, T, T]])
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Home")
        assert page.evaluate(focused) == "layer-head"
        page.keyboard.press("ArrowUp")  # no button in the corner
        assert page.evaluate(focused) == "layer-head"
        assert stops.count() == 1
        page.keyboard.press("Tab")  # one stop, and on
        assert page.evaluate("document.activeElement.closest('[role=grid]')") is None


def test_every_square_says_layer_step_and_state(show):
    stays = "stays, the gradient does not reach it"
    with show(figure(preset="body")) as shown:
        named(shown, "linear1-3").click()
        named(shown, "linear2-3").click()
        named(shown, "head-3").click()
        for step in range(1, STEPS + 1):
            says = ("stays, the gradient passes through", "adapts", "adapts") if step != 3 else ("adapts", stays, stays)
            for layer, state in zip(("head", "linear2", "linear1"), says, strict=True):
                square = named(shown, f"{layer}-{step}")
                assert square.get_attribute("aria-label") == f"{layer}, step {step}: {state}"
                assert square.get_attribute("aria-pressed") == ("true" if state == "adapts" else "false")
        saved = shown.figure.locator('[role="row"]').last.locator('[role="gridcell"]').all_inner_texts()
        assert saved == ["0.8%", "0.8%", "66%", "0.8%", "0.8%"]


def test_waves_and_steps_by_slider_and_pointer(show):
    with show(figure(preset="all")) as shown:
        for wave, step in [(7, 0), (4, 3), (1, 5)]:
            shown.slide("wave", wave)
            shown.slide("step", step)
            assert_shown(shown, wave=wave, step=step, mask=PRESETS["all"])
            dots = shown.figure.locator(".mb-plot").first.locator(".mb-layer-marks circle")
            assert dots.count() == 10
        course = shown.figure.locator(".mb-plot svg").last.bounding_box()
        shown.page.mouse.click(course["x"] + course["width"] * 0.5, course["y"] + course["height"] * 0.4)
        assert shown.ask("f.state.step") in (2, 3)
        assert named(shown, "step").input_value() == str(shown.ask("f.state.step"))


def test_the_figure_says_errors_and_work(show):
    with show(figure()) as shown:
        data = shown.ask("f.data")
        head, every = (expected(data["waves"][0], PRESETS[name], 0.01) for name in ("head", "all"))
        assert shown.said().startswith("After 5 steps with this pattern, the mean squared error is ")
        numbers = [float(text) for text in shown.figure.locator(".mb-says .mb-number").all_inner_texts()]
        assert numbers == pytest.approx([head["query"][-1], head["support"][-1]], rel=0.05)
        assert f"With every layer adapting: {every['query'][-1]:.2g} and {every['support'][-1]:.2g}." in shown.said()
        assert "The 5 steps take 86,000 multiplications instead of 250,000: 66% saved." in shown.said()
        named(shown, "all").click()
        assert shown.said().startswith("After 5 steps that adapt every layer")
        assert "With every layer adapting" not in shown.said()
        assert "The 5 steps take 250,000 multiplications." in shown.said()
        named(shown, "step-2").click()
        assert "Nothing adapts at step 2, which leaves the curve as it is." in shown.said()
        named(shown, "none").click()
        assert "Nothing adapts, so every wave gets the same curve." in shown.said()
        shown.slide("step", 0)
        assert shown.said().startswith("Before any step, the mean squared error is ")


def test_curves_lie_where_their_outputs_are(show):
    every, start_curve, bold = 0, 2, 3
    with show(figure()) as shown:
        curves = shown.figure.locator(".mb-plot").first.locator(".mb-curve")

        def line(number: int) -> str:
            return curves.nth(number).get_attribute("d")

        assert len({line(every), line(start_curve), line(bold)}) == 3
        shown.slide("step", 0)
        assert line(bold) == line(start_curve) == line(every)
        shown.slide("step", 4)
        named(shown, "all").click()
        assert line(bold) == line(every) != line(start_curve)
        named(shown, "none").click()
        assert line(bold) == line(start_curve) != line(every)


def test_a_rate_that_diverges_is_said(show):
    big = [4 * p for p in start()]
    with show(adaptation_pattern(big, alpha=0.1, preset="all")) as shown:
        assert "no longer a number" in shown.said() or "over a million" in shown.said()


def test_the_squares_are_large_enough_for_a_finger_on_a_phone(show):
    with show(figure(steps=6), viewport=(320, 800)) as shown:
        assert shown.figure.evaluate(MISFITS) == []
        boxes = [square.bounding_box() for square in shown.figure.locator(".mb-cell").all()]
        assert len(boxes) == 18
        assert min(min(box["width"], box["height"]) for box in boxes) >= 24
