"""The figure of a context: attention and gradient steps against PyTorch's autograd, its points and what it says."""

import math
import re

import pytest
import torch

from mamlbook.pages.figures import attention_context
from mamlbook.pages.figures.widgets.context import attended
from shown import Shown, payload


def by_autograd(state: dict) -> float:
    """The prediction at the question after steps of PyTorch's own optimiser."""
    x, y = torch.tensor(state["points"], dtype=torch.float64).T
    line = torch.nn.Linear(1, 1, dtype=torch.float64)
    for weight in line.parameters():
        torch.nn.init.zeros_(weight)
    optimiser = torch.optim.SGD(line.parameters(), lr=state["alpha"])
    for _ in range(state["layers"]):
        optimiser.zero_grad()
        (torch.nn.functional.mse_loss(line(x[:, None])[:, 0], y) / 2).backward()
        optimiser.step()
    return line(torch.tensor([state["question"]], dtype=torch.float64)).item()


def by_torch_softmax(state: dict) -> float:
    x, y = torch.tensor(state["points"], dtype=torch.float64).T
    keys = torch.stack([torch.ones_like(x), x], -1)[None]
    query = torch.tensor([[[1.0, state["question"]]]], dtype=torch.float64)
    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(query, keys, y[None, :, None], scale=1.0).item()


def assert_values(state: dict, values: dict):
    expected = by_autograd(state)
    assert values["steps"] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert values["attention"] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert values["softmax"] == pytest.approx(by_torch_softmax(state), rel=1e-9, abs=1e-12)
    x = torch.tensor(state["points"], dtype=torch.float64)[:, 0]
    f = torch.stack([torch.ones_like(x), x], -1)
    largest = torch.linalg.eigvalsh(f.T @ f / len(f))[-1].item()
    assert values["product"] == pytest.approx(state["alpha"] * largest, abs=1e-12)


def assert_shown(shown: Shown, **expected):
    state = shown.ask("f.state")
    assert {name: state[name] for name in expected} == expected
    assert_values(state, shown.ask("f.values"))


@pytest.mark.parametrize("layers", [0, 1, 4])
def test_the_still_picture_s_layers_are_gradient_steps(layers):
    state = {"points": [[-1.0, 0.5], [0.3, -2.0], [1.9, 1.0]], "alpha": 0.4, "layers": layers, "question": 0.7}
    x, y = torch.tensor(state["points"], dtype=torch.float64).T
    found = attended(x, y, torch.tensor([0.7], dtype=torch.float64), 0.4, layers)
    assert found.item() == pytest.approx(by_autograd(state), abs=1e-12)


def test_the_first_picture_and_its_words():
    one = attention_context(layers=3)
    assert payload(one.html)["first"]["layers"] == 3
    assert "that 3 gradient steps of size 0.3 from zero" in one.html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 1.1}, "alpha: expected 0 to 1, got 1.1"),
        ({"alpha": math.nan}, "alpha: expected 0 to 1, got nan"),
        ({"layers": 21}, "layers: expected 0 to 20, got 21"),
        ({"question": -3}, "question: expected -2 to 2, got -3"),
        ({"points": []}, "points: expected 1 to 12 pairs"),
        ({"points": [(0, 4)]}, "points: expected 1 to 12 pairs"),
        ({"points": [(0, 1, 2)]}, "points: expected 1 to 12 pairs"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        attention_context(**arguments)


def test_compute_equals_pytorch(show):
    generator = torch.Generator().manual_seed(0)
    with show(attention_context()) as shown:
        for layers, alpha, count in [(0, 0.3, 3), (1, 0.0, 1), (1, 0.7, 12), (3, 0.25, 5), (20, 0.1, 8), (20, 1.0, 4)]:
            points = (torch.rand(count, 2, generator=generator, dtype=torch.float64) * 4 - 2).tolist()
            state = {"points": points, "layers": layers, "alpha": alpha, "question": 1.3}
            call = f"window.mamlbook.context.compute({state})"
            assert_values(state, shown.ask(call.replace("'", '"')))


def test_the_sliders_change_the_answer_and_the_text(show):
    with show(attention_context()) as shown:
        assert_shown(shown, layers=2, alpha=0.3)
        assert "after 2 layers of linear attention" in shown.said()
        assert "the same number, to twelve digits" in shown.said()
        for layers, alpha in [(0, 0.3), (7, 0.5), (1, 0.05)]:
            shown.slide("layers", layers)
            shown.slide("alpha", alpha)
            assert_shown(shown, layers=layers, alpha=alpha)
        assert "after 1 gradient step." in shown.said()
        shown.slide("alpha", 1)
        shown.drag(0, -300, 0)
        shown.drag(5, 300, 0)
        shown.slide("layers", 20)
        assert shown.ask("f.values.product") < 2 or "is above 2, and both grow" in shown.said()
        assert_shown(shown)
        first = payload(shown.page.content())["first"]
        shown.click("reset")
        assert shown.ask("f.state") == first


def test_points_and_question_follow_pointer_and_keyboard(show):
    with show(attention_context()) as shown:
        before = shown.ask("f.state.points")
        shown.drag(3, 30, -40)  # the question is the first handle
        after = shown.ask("f.state.points")
        assert after[2][0] > before[2][0]
        assert after[2][1] > before[2][1]
        assert_shown(shown)
        shown.press(0, "ArrowRight", "ArrowRight")
        assert shown.ask("f.state.question") == pytest.approx(-0.4)
        shown.press(2, "ArrowUp", "Shift+ArrowLeft")
        assert_shown(shown)
        box = shown.figure.locator(".mb-plot svg").bounding_box()
        shown.page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.75)
        assert len(shown.ask("f.state.points")) == 7
        assert_shown(shown)
        for _ in range(8):  # the last example stays
            shown.press(1, "Delete")
        assert len(shown.ask("f.state.points")) == 1
        assert_shown(shown)


def test_the_dots_lie_on_the_line(show):
    with show(attention_context()) as shown:
        line = shown.figure.locator(".mb-layer-curves path.mb-curve").first.get_attribute("d")
        x0, y0, x1, y1 = map(float, re.findall(r"[\d.]+", line))
        dots = shown.figure.locator(".mb-layer-marks path.mb-marker")
        places = [re.findall(r"[\d.]+", dots.nth(i).get_attribute("transform")) for i in range(17)]
        for x, y in (map(float, place) for place in places):
            assert y == pytest.approx(y0 + (y1 - y0) * (x - x0) / (x1 - x0), abs=0.2)


def test_the_book_shows_the_same_numbers(in_the_book):
    for shown in in_the_book("context"):
        shown.slide("layers", 4)
        assert_shown(shown, layers=4)
