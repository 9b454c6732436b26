"""The figure of whole meta-trainings: what it computes against PyTorch, and that a reader can go along them."""

import functools
import json
import math
import re

import numpy as np
import pytest
import torch
from torch.nn.functional import linear, relu

from experiments import through_training as experiment
from figure_data import MAKERS, through_training
from mamlbook.pages import recall, recall_weights
from mamlbook.pages.figures import training_scrubber
from mamlbook.stored import load_theta
from shown import Shown, payload

NAMES, SHAPES = ("maml", "joint"), ((40, 1), (40,), (40, 40), (40,), (1, 40), (1,))
GRID = np.linspace(-5, 5, 101)


@functools.cache
def figure():
    return MAKERS["scrubber"]()


# ---- an oracle of PyTorch's own functions, in float64 ----------------------------------------------------------------


def network(phi: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The outputs of 1-40-40-1 whose weights stand in a row."""
    parts = phi.split([math.prod(shape) for shape in SHAPES])
    w1, b1, w2, b2, w3, b3 = (part.view(shape) for part, shape in zip(parts, SHAPES, strict=True))
    return linear(relu(linear(relu(linear(x, w1, b1)), w2, b2)), w3, b3)[:, 0]


def expected(phi: list, support: list, query: list, alpha: float, steps: int) -> dict:
    """Outputs and losses on the way, and both numbers at the start; the Hessian is formed whole."""
    (xs, ys), (xq, yq) = (torch.tensor(points, dtype=torch.float64).T for points in (support, query))

    def loss(phi, x=xs, y=ys):
        return (network(phi, x[:, None]) - y).square().mean()

    theta = phi = torch.tensor(phi, dtype=torch.float64)
    outputs, losses = [], []
    for _ in range(steps + 1):
        outputs.append(network(phi, xq[:, None]).tolist())
        losses.append(loss(phi, xq, yq).item())
        phi = phi - alpha * torch.func.grad(loss)(phi)
    g, other = torch.func.grad(loss)(theta), torch.func.grad(loss)(theta, xq, yq)
    curvature = alpha * g @ torch.func.hessian(loss)(theta) @ g / (g @ g)
    agreement = g @ other / ((g @ g + other @ other) / 2)
    return {"outputs": outputs, "loss": losses, "curvature": curvature.item(), "agreement": agreement.item()}


def rounded(theta: list) -> list:
    """All weights of a start in a row, as the figure has them: whole numbers of a unit of their own."""
    row = []
    for parameter in theta:
        unit = float(f"{parameter.double().abs().max().item() / 127:.8g}")
        row += [unit * round(value / unit) for value in parameter.double().flatten().tolist()]
    return row


def starts(name: str) -> list:
    weights = through_training()[1][name]
    return [rounded(weights[6 * n : 6 * n + 6]) for n in range(4)]


def close(found, true, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(np.array(found), np.array(true), rtol=tolerance, atol=tolerance)


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_still_picture_says_what_the_starts_come_to():
    state = payload(figure().html)["first"]
    points = [(x, 3 * math.sin(x - 0.8)) for x in state["places"]]
    query = [(x, 3 * math.sin(x - 0.8)) for x in GRID]
    said = []
    for name, words in zip(NAMES, ("MAML", "joint training"), strict=True):
        loss = expected(starts(name)[2], points, query, 0.01, 1)["loss"]
        said.append(f"from {loss[0]:.2f} to {loss[1]:.2f} ({words})")
    assert f"after 10 meta-steps: 1 inner step takes the error {' and '.join(said)}." in figure().html


def test_the_curves_are_those_of_the_first_seed_between_the_ends_of_all():
    results, curves = through_training()[0], payload(figure().html)["curves"]
    for name in NAMES:
        for quantity, rows in results[name]["runs"].items():
            rows = np.array(rows)
            for part, true in (("own", rows[0]), ("lows", rows.min(0)), ("highs", rows.max(0))):
                close(curves[name][part][quantity], true, 1e-3)


def changed(name: str, change) -> tuple[dict, dict]:
    results, weights = through_training()
    if name == "weights":
        return results, {**weights, "joint": change(weights["joint"])}
    return {**results, "joint": change(results["joint"])}, weights


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (changed("weights", lambda w: w[:-1]), r"weights\['joint'\]: expected 6 tensors for each of 4 starts, got 23"),
        (changed("weights", lambda w: (w[1], *w[1:])), r"weights\['joint'\]: expected the shapes .* at meta-step 0"),
        (changed("weights", lambda w: (*w[:-1], w[-1] * math.nan)), r"weights\['joint'\]: .* finite .* meta-step 100"),
        (changed("results", lambda r: {**r, "at": [0, 1, 10, 99]}), "results: expected the same meta-steps"),
        (({"anil": {}}, {"anil": ()}), "results, weights: expected both for the same of maml, joint, .*got anil"),
        ((through_training()[0], {}), "results, weights: expected both .* and none"),
    ],
    ids=["too few weights", "another shape", "nan", "other meta-steps", "another method", "no weights"],
)
def test_wrong_results_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        training_scrubber(*given, step=10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": 101}, "step: expected 0 to 100, got 101"),
        ({"steps": 11}, "steps: expected 0 to 10, got 11"),
        ({"amplitude": 6}, "amplitude: expected 0.1 to 5, got 6"),
        ({"phase": 4}, "phase: expected 0 to 3.1, got 4"),
    ],
    ids=["step", "steps", "amplitude", "phase"],
)
def test_a_first_picture_out_of_range_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        training_scrubber(*through_training(), **{"step": 10, **arguments})


# ---- the numbers -----------------------------------------------------------------------------------------------------


def measured(shown: Shown, name: str, start: int, support: list, query: list, alpha: float, steps: int) -> dict:
    code = """(element, [name, start, ...given]) => {
        const { decoded, measured } = window.mamlbook.scrubber, { starts, units } = element.mamlbook.data;
        const found = measured(decoded(starts[name], units[name])[start], ...given);
        return JSON.stringify(found, (k, v) => ArrayBuffer.isView(v) ? Array.from(v) : v);
    }"""
    return json.loads(shown.figure.evaluate(code, [name, start, support, query, alpha, steps]))


def test_the_weights_arrive_as_they_were_rounded(show):
    code = """(element) => {
        const { decoded } = window.mamlbook.scrubber, { starts, units } = element.mamlbook.data;
        return Object.keys(starts).map((k) => decoded(starts[k], units[k]).map((t) => t.flatMap((a) => Array.from(a))));
    }"""
    with show(figure()) as shown:
        found = shown.figure.evaluate(code)
    for name, own in zip(NAMES, found, strict=True):
        close(own, starts(name), 1e-12)
        exact = np.concatenate([p.flatten().numpy() for p in through_training()[1][name][-6:]])
        assert abs(own[-1] - exact).max() < exact.max() / 127  # no farther than half a unit of the largest


@pytest.mark.parametrize("seed", range(3))
def test_fits_losses_curvature_and_agreement_equal_pytorch(show, seed):
    draws = np.random.default_rng(seed)
    support, query = (draws.uniform(-5, 5, (count, 2)).tolist() for count in (1 + 4 * seed, 30))
    alpha = [0.01, 0.03, 0.1][seed]
    with show(figure()) as shown:
        for name in NAMES:
            for start in (0, 3):
                found = measured(shown, name, start, support, query, alpha, 6)
                true = expected(starts(name)[start], support, query, alpha, 6)
                assert found.keys() == true.keys()
                for quantity, value in true.items():
                    close(found[quantity], value)
                assert abs(true["loss"][-1] - true["loss"][0]) > 1e-4  # the steps do something


def test_what_is_shown_is_what_the_state_comes_to(show):
    with show(figure()) as shown:
        for start, steps, amplitude, phase in [(2, 1, 3.0, 0.8), (3, 10, 1.5, 2.0), (0, 0, 5, 0)]:
            shown.slide("start", start)
            shown.slide("steps", steps)
            shown.slide("amplitude", amplitude)
            shown.slide("phase", phase)
            wave = [(x, amplitude * math.sin(x - phase)) for x in GRID]
            points = shown.ask("f.state.points")
            close(points, [(x, amplitude * math.sin(x - phase)) for x in shown.ask("f.state.places")])
            for name in NAMES:
                true, found = expected(starts(name)[start], points, wave, 0.01, steps), shown.ask(f"f.values.{name}")
                for quantity in ("loss", "curvature", "agreement"):
                    close(found[quantity], true[quantity])
        number = r"([\d.]+|below 0.001)"
        said = f"After 0 meta-steps, 0 inner steps take the error on your wave from {number} to {number} \\(MAML\\)"
        assert re.match(said, shown.said())


# ---- going along -----------------------------------------------------------------------------------------------------


def cut(shown: Shown, number: int) -> float:
    """How far right the dotted line of a small plot stands: 0 is over inner steps, the others over meta-steps."""
    return float(shown.figure.locator(".mb-rule").nth(number).get_attribute("x1"))


def test_arrows_home_and_end_move_the_scrubber_and_every_line_follows(show):
    with show(figure()) as shown:
        slider = shown.figure.locator('input[data-name="start"]')
        seen = []
        for key, start in [("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 3)]:
            slider.press(key)
            assert shown.ask("f.state.start") == start
            seen.append([cut(shown, number) for number in (1, 2, 3)])
            assert len(set(seen[-1])) == 1
        assert slider.get_attribute("aria-valuetext") == "100"
        assert seen[0] < seen[1] < seen[2] < seen[4]
        assert seen[3] == seen[1]


@pytest.mark.parametrize("width", [1000, 390])
def test_the_line_in_a_small_plot_is_dragged_and_tapped(show, width):
    with show(figure(), viewport=(width, 1200)) as shown:
        plot = shown.figure.locator(".mb-plot svg").nth(3)
        plot.scroll_into_view_if_needed()
        box = plot.bounding_box()
        left, right, y = box["x"] + 34, box["x"] + box["width"] - 16, box["y"] + 50
        middle = left + (right - left) * math.log10(11) / math.log10(101)  # meta-step 10, where the line stands
        shown.page.mouse.move(middle + 5, y)
        shown.page.mouse.down()
        shown.page.mouse.move(left + 8, y, steps=4)
        shown.page.mouse.up()
        assert shown.ask("f.state.start") == 0
        shown.page.mouse.click(right - 4, y)
        assert shown.ask("f.state.start") == 3
        each = shown.figure.locator(".mb-plot svg").nth(1)
        box = each.bounding_box()
        shown.page.mouse.click(box["x"] + 34 + (box["width"] - 50) * 7.3 / 10.6, box["y"] + 40)
        assert shown.ask("f.state.steps") == 7


def test_on_one_screen_of_a_phone_are_the_scrubber_and_all_plots(show):
    with show(figure(), viewport=(390, 844)) as shown:
        slider = shown.figure.locator('input[data-name="start"]').bounding_box()
        last = shown.figure.locator(".mb-plot svg").last.bounding_box()
        assert last["y"] + last["height"] - slider["y"] < 844


def test_points_move_with_pointer_and_keys_and_come_back_to_a_new_wave(show):
    with show(figure()) as shown:
        before = shown.ask("[f.state.points, f.values.maml]")
        shown.drag(0, 12, -20)
        shown.press(1, "ArrowUp", "Shift+ArrowLeft")
        points, values = shown.ask("[f.state.points, f.values.maml]")
        assert points[0] != before[0][0]
        close(points[1], [before[0][1][0] - 1, round(before[0][1][1] + 0.1, 1)], 0.06)
        assert points[2:] == before[0][2:]
        assert values != before[1]
        shown.click("reset")
        assert shown.ask("[f.state.points, f.values.maml]") == before
        shown.click("new")
        state = shown.ask("f.state")
        close(state["points"], [(x, state["amplitude"] * math.sin(x - state["phase"])) for x in state["places"]])
        for name in ("amplitude", "phase"):
            assert float(shown.figure.locator(f'input[data-name="{name}"]').input_value()) == state[name]


def test_the_training_plays_to_its_end_and_is_paused(show):
    with show(figure()) as shown:
        play = shown.figure.locator('button[data-name="play"]')
        shown.slide("start", 0)
        assert play.inner_text() == "Play"
        play.click()
        assert play.inner_text() == "Pause"
        shown.page.wait_for_function("document.querySelector('figure').mamlbook.state.start === 3")
        shown.page.wait_for_function("document.querySelector('[data-name=play]').textContent === 'Play'")
        play.click()  # from the beginning
        assert shown.ask("f.state.start") < 3
        play.click()
        there = shown.ask("f.state.start")
        shown.page.wait_for_timeout(500)
        assert shown.ask("f.state.start") == there
        play.click()
        shown.slide("start", 1)  # a hand on the slider stops it
        assert play.inner_text() == "Play"


def test_who_wants_no_motion_goes_on_by_one_start(show):
    with show(figure(), reduced_motion="reduce") as shown:
        play = shown.figure.locator('button[data-name="play"]')
        shown.slide("start", 2)
        assert play.inner_text() == "Next start"
        for start in (3, 0, 1):
            play.click()
            assert shown.ask("f.state.start") == start
        shown.page.wait_for_timeout(500)
        assert shown.ask("f.state.start") == 1


# ---- with the stored trainings ---------------------------------------------------------------------------------------


def stored_figure():
    results = {name: recall(f"through-training-{name}") for name in NAMES}
    return training_scrubber(results, {name: recall_weights(f"through-training-{name}") for name in NAMES})


def test_the_stored_figure_is_small():
    assert len(stored_figure().html) < 350_000


@pytest.mark.parametrize("name", NAMES)
def test_a_byte_for_a_weight_moves_no_mean_error_by_much(name):
    stored, weights = recall(f"through-training-{name}"), recall_weights(f"through-training-{name}")
    model, waves = experiment.untrained(name, 0).model, experiment.test_waves("test", 50)
    for n in range(0, len(stored["at"]), 2):
        theta = weights[6 * n : 6 * n + 6]
        parts = torch.tensor(rounded(theta), dtype=torch.float32).split([p.numel() for p in theta])
        means = []
        for own in (theta, [part.view(shape) for part, shape in zip(parts, SHAPES, strict=True)]):
            load_theta(model.net, own)
            means.append(experiment.losses(model, waves))
        assert (means[0] - means[1]).abs().max() < 0.05, stored["at"][n]
