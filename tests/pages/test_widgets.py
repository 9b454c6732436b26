"""The interactive figures: their arithmetic against PyTorch, their controls by pointer and keyboard."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mamlbook.networks import mlp
from mamlbook.pages.figures import sine_adaptation, styling, two_tasks_figure
from mamlbook.pages.figures.widgets.base import widget
from shown import Shown, assert_fits, page_of, payload

ROOT = Path(__file__).resolve().parents[2]
BUILT = [
    page for page in sorted((ROOT / "_build/html").rglob("*.html")) if "mamlbook-figure" in page.read_text("utf-8")
]


def starts(**changes) -> dict:
    """Three networks with different weights, the first with steep ones."""
    networks = {name: mlp(1, 40, 40, 1, seed=seed) for seed, name in enumerate(("maml", "joint", "random"))}
    found = {name: [p.detach().clone() for p in network.parameters()] for name, network in networks.items()}
    found["maml"] = [1.4 * p for p in found["maml"]]
    return {**found, **changes}


FIGURES = {"sine": lambda: sine_adaptation(starts()), "two_tasks": two_tasks_figure}


# ---- Python alone ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", FIGURES.values(), ids=FIGURES)
def test_the_same_arguments_give_the_same_bytes(make):
    one, two = make(), make()
    assert one._repr_html_() == two._repr_html_()
    assert repr(one) == repr(two) == f"Interactive figure: {one.title}"
    assert len(one.html) < 150_000


def test_another_figure_has_another_id():
    ids = [re.search(r'id="(mamlbook-[^"]+)"', two_tasks_figure(alpha=alpha).html)[1] for alpha in (0.1, 0.2)]
    assert ids[0] != ids[1]


def test_weights_survive_as_float32():
    given = starts()
    for name, arrays in payload(sine_adaptation(given).html)["starts"].items():
        for array, tensor in zip(arrays, given[name], strict=True):
            np.testing.assert_array_equal(np.array(array, dtype=np.float32), tensor.numpy().ravel())


def test_data_survives_as_float64_and_cannot_end_its_script():
    numbers = [math.pi, 1 / 3, 5e-324, -1.7976931348623157e308]
    figure = widget("two_tasks", {"numbers": numbers, "text": "</script>"}, title="<t>", alt='"a"', fallback="<svg/>")
    data = payload(figure.html)
    assert data["numbers"] == numbers
    assert data["text"] == "</script>"
    assert '<p class="mb-title">&lt;t&gt;</p>' in figure.html
    assert 'alt="&quot;a&quot;"' in figure.html


def test_every_role_is_complete():
    assert styling.COLOURS.keys() == styling.DARK_COLOURS.keys() == styling.DASHES.keys() == styling.MARKERS.keys()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sine_adaptation({}), "starts: expected at least one"),
        (lambda: sine_adaptation(starts(best=starts()["maml"])), "starts: expected the names .* got best"),
        (lambda: sine_adaptation(starts(maml=starts()["maml"][:5])), r"starts\['maml'\]: expected 6 .* got 5"),
        (
            lambda: sine_adaptation(
                starts(joint=[*starts()["joint"][:2], torch.zeros(40, 30), *starts()["joint"][3:]])
            ),
            r"starts\['joint'\]\[2\]: expected shape \(40, 40\), got \(40, 30\)",
        ),
        (
            lambda: sine_adaptation(starts(random=[*starts()["random"][:5], torch.tensor([math.nan])])),
            r"starts\['random'\]\[5\]: expected finite",
        ),
        (lambda: sine_adaptation(starts(), steps=11), "steps: expected 0 to 10, got 11"),
        (lambda: sine_adaptation(starts(), points=0), "points: expected 1 to 20, got 0"),
        (lambda: two_tasks_figure(h=[1.0]), "h: expected two numbers, one a task, got 1"),
        (lambda: two_tasks_figure(alpha=0.7), "alpha: expected 0 to 0.6, got 0.7"),
        (lambda: widget("nothing", {}, title="", alt="", fallback=""), "kind: expected one of .*, got nothing"),
        (lambda: widget("sine", {"a": math.inf}, title="", alt="", fallback=""), "data: expected finite numbers"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- in the browser --------------------------------------------------------------------------------------------------


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


def test_sine_equals_pytorch_at_every_setting(show):
    with show(sine_adaptation(starts())) as shown:
        assert_adapted(shown, steps=2)
        for steps, points in [(0, 10), (1, 10), (10, 10), (3, 1), (7, 20), (5, 5)]:
            shown.slide("steps", steps)
            shown.slide("points", points)
            assert_adapted(shown, steps=steps)
            assert len(shown.ask("f.state.points")) == points
        assert not shown.complaints


def test_sine_points_follow_the_pointer(show):
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


def test_sine_points_follow_the_keyboard(show):
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


def test_sine_draws_a_new_wave_and_comes_back(show):
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


def test_sine_tells_its_errors(show):
    with show(sine_adaptation(starts())) as shown:
        said = shown.figure.locator('[aria-live="polite"]')
        assert "After 2 steps on 10 points, the mean squared error on the whole wave is " in said.inner_text()
        shown.slide("steps", 0)
        assert said.inner_text().startswith("Before any step")
        errors = shown.ask("f.state.errors")
        numbers = [float(text) for text in said.locator(".mb-number").all_inner_texts()]
        assert numbers == [pytest.approx(errors[name]["wave"], rel=0.05) for name in ("maml", "joint", "random")]
        assert said.get_attribute("aria-busy") == "true"
        shown.page.wait_for_selector('figure [aria-live="polite"][aria-busy="false"]')


def test_sine_adapt_is_a_pure_function(show):
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


def closed_form(state: dict) -> dict:
    """The same values by the book's formulas."""
    h, c = np.array(state["h"]), np.array(state["c"])
    r = (1 - state["alpha"] * h) ** state["steps"]
    phi = c + r * (state["theta"] - c)
    losses, adapted, weights = h / 2 * (state["theta"] - c) ** 2, h / 2 * (phi - c) ** 2, h * r**2
    return {
        "phi": phi.tolist(),
        "losses": losses.tolist(),
        "adaptedLosses": adapted.tolist(),
        "joint": losses.mean(),
        "maml": adapted.mean(),
        "jointMinimiser": (h * c).sum() / h.sum(),
        "mamlMinimiser": (weights * c).sum() / weights.sum(),
    }


def assert_quadratic(shown: Shown):
    state, values = shown.ask("f.state"), shown.ask("f.values")
    for expected in (closed_form(state), quadratic(state)):
        for name, value in expected.items():
            assert values[name] == pytest.approx(value, rel=1e-12, abs=1e-12), (name, state)


def test_two_tasks_equal_closed_forms_and_autograd(show):
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
        assert not shown.complaints


def test_two_tasks_follow_pointer_keyboard_and_buttons(show):
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
            shown.figure.locator(f'button[data-name="{name}"]').click()
            assert shown.ask("f.state.theta") == pytest.approx(expected, abs=1e-12)
        plot = shown.figure.locator(".mb-plot svg").first.bounding_box()
        shown.page.mouse.click(plot["x"] + plot["width"] * 0.8, plot["y"] + plot["height"] * 0.3)
        assert shown.ask("f.state.theta") > 1
        text = shown.figure.locator('[aria-live="polite"]').inner_text()
        assert text.startswith(f"At θ = {shown.ask('f.state.theta'):.2f} the mean loss is")


def test_two_tasks_where_every_start_is_as_good(show):
    with show(two_tasks_figure(h=(2, 2), alpha=0.5)) as shown:
        assert shown.ask("f.values.mamlMinimiser") is None
        assert "the same for every start" in shown.figure.locator('[aria-live="polite"]').inner_text()
        shown.figure.locator('button[data-name="maml"]').click()
        assert shown.ask("f.state.theta") == 0.5
        assert not shown.complaints


# ---- manners ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [900, 390, 320])
def test_figures_fit_their_page(show, width):
    with show(sine_adaptation(starts()), two_tasks_figure(), viewport={"width": width, "height": 800}) as shown:
        shown.slide("points", 20)
        shown.page.set_viewport_size({"width": width - 10, "height": 800})
        shown.page.wait_for_timeout(100)
        assert_fits(shown)
        # One unit of the drawing is one pixel, so the sizes above are what the eye sees.
        scale = "n => n.getBoundingClientRect().width / n.viewBox.baseVal.width"
        assert shown.page.evaluate(f"[...document.querySelectorAll('.mb-plot svg')].map({scale})") == pytest.approx(
            [1, 1, 1], abs=0.01
        )


def test_several_figures_share_one_kit_and_ask_for_nothing(show):
    same = two_tasks_figure()
    with show(same, same, sine_adaptation(starts()), two_tasks_figure(alpha=0.1)) as shown:
        page = shown.page
        assert page.locator("figure[data-mounted]").count() == 4
        page.locator('figure[data-kind="two_tasks"]').nth(1).locator('input[data-name="steps"]').fill("7")
        steps = "[...document.querySelectorAll('figure[data-kind=two_tasks]')].map(f => f.mamlbook.state.steps)"
        assert page.evaluate(steps) == [1, 7, 1]
        ids = page.evaluate("[...document.querySelectorAll('figure[id], figure [id]')].map(node => node.id)")
        assert len(ids) == len(set(ids))
        assert not shown.complaints
        assert all(url.startswith(("file:", "data:")) for url in shown.requests)


def test_only_one_name_is_global(show, tmp_path):
    names = "Object.getOwnPropertyNames(window)"
    with show(sine_adaptation(starts()), two_tasks_figure()) as shown:
        with_figures = set(shown.page.evaluate(names))
        plain = tmp_path / "plain.html"
        plain.write_text(page_of(), "utf-8")
        shown.page.goto(plain.as_uri())
        assert with_figures - set(shown.page.evaluate(names)) == {"mamlbook"}


def test_still_picture_in_print_and_live_on_screen(show):
    with show(two_tasks_figure()) as shown:
        still, live = shown.figure.locator(".mb-fallback"), shown.figure.locator(".mb-live")
        assert live.is_visible()
        assert not still.is_visible()
        shown.page.emulate_media(media="print")
        assert still.is_visible()
        assert not live.is_visible()


def test_a_figure_that_cannot_start_keeps_its_picture(browser, tmp_path):
    path = tmp_path / "broken.html"
    path.write_text(page_of(two_tasks_figure()).replace('{"first":', '{"fist":'), "utf-8")
    with Shown(browser, path.as_uri(), "two_tasks") as shown:
        assert shown.figure.locator(".mb-fallback").is_visible()
        assert len(shown.complaints) == 1


def test_the_page_decides_the_theme(show):
    with show(two_tasks_figure(), color_scheme="dark") as shown:
        colour = "node => getComputedStyle(node).getPropertyValue('--mb-maml').trim()"
        assert shown.figure.evaluate(colour) == styling.DARK_COLOURS["maml"]
        shown.page.evaluate("document.documentElement.dataset.theme = 'light'")
        assert shown.figure.evaluate(colour) == styling.COLOURS["maml"]
        shown.page.evaluate("document.documentElement.dataset.theme = 'dark'")
        assert shown.figure.evaluate(colour) == styling.DARK_COLOURS["maml"]


def test_legend_shows_and_hides_a_curve(show):
    with show(sine_adaptation(starts())) as shown:
        button = shown.figure.locator(".mb-legend button", has_text="Random")
        visible = shown.figure.locator(".mb-layer-curves > g:visible")
        before = visible.count()
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert visible.count() == before - 1
        assert shown.ask("f.state.visible.random") is False
        button.press("Enter")
        assert visible.count() == before


@pytest.mark.skipif(not BUILT, reason="the built book has no page with a figure")
@pytest.mark.parametrize("kind", FIGURES)
def test_the_book_shows_the_same_numbers(browser, serve, kind):
    pages = [page for page in BUILT if f'data-kind="{kind}"' in page.read_text("utf-8")]
    if not pages:
        pytest.skip(f"the built book has no figure of kind {kind}")
    base = serve(ROOT / "_build/html")
    for page in pages:
        with Shown(browser, base + page.relative_to(ROOT / "_build/html").as_posix(), kind) as shown:
            for steps in (1, 5, 10):
                shown.slide("steps", steps)
                (assert_adapted if kind == "sine" else assert_quadratic)(shown)
            assert not shown.complaints
            assert all(url.startswith((base, "data:")) for url in shown.requests)
