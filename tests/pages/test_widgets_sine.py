"""The figure of sine waves: its networks against PyTorch, its points by pointer and keyboard, what it says."""

import math

import numpy as np
import pytest
import torch

from figure_data import starts
from mamlbook.networks import mlp
from mamlbook.pages.figures import sine_adaptation
from shown import Shown, payload


def test_weights_survive_as_float32():
    given = starts()
    for name, arrays in payload(sine_adaptation(given).html)["starts"].items():
        for array, tensor in zip(arrays, given[name], strict=True):
            np.testing.assert_array_equal(np.array(array, dtype=np.float32), tensor.numpy().ravel())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"starts": {}}, "starts: expected at least one"),
        ({"starts": starts(best=starts()["maml"])}, "starts: expected the names .* got best"),
        ({"starts": starts(maml=starts()["maml"][:5])}, r"starts\['maml'\]: expected 6 .* got 5"),
        (
            {"starts": starts(joint=[*starts()["joint"][:2], torch.zeros(40, 30), *starts()["joint"][3:]])},
            r"starts\['joint'\]\[2\]: expected shape \(40, 40\), got \(40, 30\)",
        ),
        (
            {"starts": starts(random=[*starts()["random"][:5], torch.tensor([math.nan])])},
            r"starts\['random'\]\[5\]: expected finite",
        ),
        ({"steps": 11}, "steps: expected 0 to 10, got 11"),
        ({"points": 0}, "points: expected 1 to 20, got 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        sine_adaptation(**{"starts": starts(), **arguments})


def descended(start: list, points: list, alpha: float, steps: int) -> list[np.ndarray]:
    """Gradient descent by PyTorch's own layers and optimiser, in float64."""
    network = mlp(1, 40, 40, 1).double()
    with torch.no_grad():
        for parameter, values in zip(network.parameters(), start, strict=True):
            parameter.copy_(torch.tensor(values, dtype=torch.float64).reshape(parameter.shape))
    x, y = torch.tensor(points, dtype=torch.float64).split(1, dim=1)
    optimiser = torch.optim.SGD(network.parameters(), lr=alpha)
    for _ in range(steps):
        optimiser.zero_grad()
        torch.nn.functional.mse_loss(network(x), y).backward()
        optimiser.step()
    return [parameter.detach().numpy().ravel() for parameter in network.parameters()]


def assert_adapted(shown: Shown, **expected):
    """The networks that the figure shows are the ones that PyTorch finds, and its errors are theirs."""
    state = shown.ask("f.state")
    for name, value in expected.items():
        assert state[name] == value
    xs = np.linspace(-5, 5, 201)
    for name, start in shown.ask("f.data.starts").items():
        parameters = descended(start, state["points"], state["alpha"], state["steps"])
        for shown_array, array in zip(state["adapted"][name], parameters, strict=True):
            np.testing.assert_allclose(shown_array, array, rtol=1e-9, atol=1e-9)
        w1, b1, w2, b2, w3, b3 = parameters
        hidden = np.maximum(np.maximum(np.outer(xs, w1) + b1, 0) @ w2.reshape(40, 40).T + b2, 0)
        wave = state["amplitude"] * np.sin(xs - state["phase"])
        assert state["errors"][name]["wave"] == pytest.approx(np.mean((hidden @ w3 + b3 - wave) ** 2), rel=1e-9)


def test_networks_equal_pytorch_at_every_setting(show):
    with show(sine_adaptation(starts())) as shown:
        assert_adapted(shown, steps=2)
        for steps, points in [(0, 10), (1, 10), (10, 10), (3, 1), (7, 20), (5, 5)]:
            shown.slide("steps", steps)
            shown.slide("points", points)
            assert_adapted(shown, steps=steps)
            assert len(shown.ask("f.state.points")) == points


def test_points_follow_the_pointer(show):
    with show(sine_adaptation(starts(), points=6)) as shown:
        shown.slide("steps", 4)
        before = shown.ask("f.state.points")
        shown.drag(2, 30, -60)
        after = shown.ask("f.state.points")
        assert after[2][0] > before[2][0]
        assert after[2][1] > before[2][1]
        assert [p for i, p in enumerate(after) if i != 2] == [p for i, p in enumerate(before) if i != 2]
        assert_adapted(shown)
        box = shown.figure.locator(".mb-plot svg").bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.12)
        assert len(shown.ask("f.state.points")) == 7
        assert_adapted(shown)
        shown.handle(6).locator(".mb-dot").dblclick()
        assert shown.ask("f.state.points") == after
        shown.drag(0, 3000, -3000)  # a point stays in the plot
        assert shown.ask("f.state.points[0]") == [5, 5.5]


def test_points_follow_the_keyboard(show):
    with show(sine_adaptation(starts(), points=6)) as shown:
        shown.press(1, "ArrowUp", "ArrowUp", "Shift+ArrowRight", "ArrowLeft", "PageDown")
        x, y = shown.ask("f.state.points[1]")
        first = payload(shown.page.content())["first"]
        place = first["places"][1]
        assert x == pytest.approx(round(place, 1) + 0.9, abs=1e-9)
        assert y == pytest.approx(round(first["amplitude"] * math.sin(place - first["phase"]), 1) - 0.8, abs=1e-9)
        assert shown.handle(1).get_attribute("aria-valuetext") == f"x {x:.1f}, y {y:.1f}".replace("-", "−")
        assert_adapted(shown)
        others = shown.ask("f.state.points.filter((p, i) => i !== 1)")
        shown.press(1, "Delete")
        assert shown.ask("f.state.points") == others
        assert shown.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Point 2 of 5"
        for _ in range(6):  # the last point stays
            shown.press(0, "Delete")
        assert len(shown.ask("f.state.points")) == 1
        assert_adapted(shown)


def test_draws_a_new_wave_and_comes_back(show):
    with show(sine_adaptation(starts())) as shown:
        first = shown.ask("f.state")
        shown.figure.locator('[data-name="new"]').click()
        now = shown.ask("f.state")
        assert now["points"] != first["points"]
        assert 0.1 <= now["amplitude"] <= 5
        assert 0 <= now["phase"] <= math.pi
        for x, y in now["points"]:
            assert y == pytest.approx(now["amplitude"] * math.sin(x - now["phase"]), abs=1e-12)
        shown.slide("steps", 3)
        assert_adapted(shown, steps=3)
        shown.figure.locator('[data-name="reset"]').click()
        assert shown.ask("f.state") == first


def test_it_tells_its_errors(show):
    with show(sine_adaptation(starts())) as shown:
        said = shown.figure.locator('[aria-live="polite"]')
        assert "After 2 steps on 10 points, the mean squared error on the whole wave is " in said.inner_text()
        shown.slide("steps", 0)
        assert said.inner_text().startswith("Before any step")
        errors = shown.ask("f.state.errors")
        numbers = [float(text) for text in said.locator(".mb-number").all_inner_texts()]
        assert numbers == [pytest.approx(errors[name]["wave"], rel=0.05) for name in ("maml", "joint", "random")]


def test_a_screen_reader_waits_until_the_movement_ends(show):
    watch = """said => {
        window.seen = [];
        new MutationObserver(() => window.seen.push(said.getAttribute("aria-busy")))
            .observe(said, { attributes: true, attributeFilter: ["aria-busy"] });
    }"""
    with show(sine_adaptation(starts())) as shown:
        shown.figure.locator('[aria-live="polite"][aria-busy="false"]').wait_for()
        shown.figure.locator('[aria-live="polite"]').evaluate(watch)
        shown.slide("steps", 0)
        shown.page.wait_for_function("window.seen.at(-1) === 'false'")
        assert shown.page.evaluate("window.seen[0]") == "true"


def test_adapt_is_a_pure_function(show):
    with show(sine_adaptation(starts())) as shown:
        code = """f => {
          const start = f.data.starts.maml, text = JSON.stringify(start), points = [[-2, 1], [0.5, -3], [4, 2]];
          const adapted = window.mamlbook.sine.adapt(start, points, 0.02, 10);
          return { same: JSON.stringify(start) === text, points, adapted };
        }"""
        found = shown.ask(f"({code})(f)")
        assert found["same"]
        expected = descended(shown.ask("f.data.starts.maml"), found["points"], 0.02, 10)
        for one, two in zip(found["adapted"], expected, strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-9)


def test_the_book_shows_the_same_numbers(in_the_book):
    for shown in in_the_book("sine"):
        for steps in (1, 5, 10):
            shown.slide("steps", steps)
            assert_adapted(shown, steps=steps)
