"""The figure for drawing: its networks against PyTorch's, its pictures against a rasteriser, its pads by hand."""

import functools
import itertools
import json
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d, cross_entropy, linear, relu

from figure_data import MAKERS, drawn_starts
from mamlbook.pages import recall, recall_weights
from mamlbook.pages.figures import draw_characters
from mamlbook.pages.figures.widgets.drawing import NAMES, network
from shown import MISFITS, Shown

METHODS = ("maml", "fomaml", "prototypes", "random")
PADS = ("1a", "2a", "3a", "query")


@functools.cache
def figure():
    return MAKERS["drawing"]()


# ---- an oracle of PyTorch's own functions, in float64 ----------------------------------------------------------------


def scores(phi: list, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The features and the scores of pictures (K, 1, 28, 28)."""
    for block in range(3):
        weight, bias, gain, offset = phi[4 * block : 4 * block + 4]
        x = conv2d(x, weight, bias, stride=2, padding=1)
        variance, mean = torch.var_mean(x, (1, 2, 3), correction=0, keepdim=True)
        unit = (x - mean) / (variance + 1e-5).sqrt()
        x = relu(unit * gain[:, None, None] + offset[:, None, None])
    return x.flatten(1), linear(x.flatten(1), phi[12], phi[13])


def expected(method: str, theta: list, alpha: float, support: list, query: list, steps: int = 10) -> list:
    """The probabilities of a query after 0, 1, ..., S steps of plain gradient descent, or by distances to the means."""
    x = torch.tensor([one for one, _ in support], dtype=torch.float64).view(-1, 1, 28, 28)
    y = torch.tensor([label for _, label in support])
    new = torch.tensor(query, dtype=torch.float64).view(1, 1, 28, 28)
    if method == "prototypes":
        of, own = scores(theta, x)[0], scores(theta, new)[0]
        means = torch.stack([of[y == c].mean(0) for c in range(3)])
        return [(-torch.cdist(own, means).square()).softmax(1)[0].tolist()] * (steps + 1)
    phi = [p.clone().requires_grad_() for p in theta]
    descent, found = torch.optim.SGD(phi, alpha), []
    for _ in range(steps + 1):
        found.append(scores(phi, new)[1].softmax(1)[0].tolist())
        descent.zero_grad()
        cross_entropy(scores(phi, x)[1], y).backward()
        descent.step()
    return found


def thetas() -> dict:
    weights = [p.double() for p in drawn_starts()[1]]
    return {name: weights[14 * n : 14 * n + 14] for n, name in enumerate(METHODS)}


def raster(strokes: list) -> np.ndarray:
    """Strokes as 28 by 28 pixels: where they come near many points along each piece, instead of by a formula."""
    points = np.concatenate([np.array(stroke) for stroke in strokes])
    low, high = points.min(0), points.max(0)
    longest = 28 * (high - low).max()
    zoom = 28 * min(16 / longest if longest else math.inf, 2)
    dense = []
    for stroke in strokes:
        line = 13.5 + zoom * (np.array(stroke) - (low + high) / 2)
        dense.append(line[:1])
        for one, other in itertools.pairwise(line):
            dense.append(one + np.linspace(0, 1, 2001)[:, None] * (other - one))
    dense = np.concatenate(dense)
    rows, columns = np.mgrid[:28, :28]
    gap = np.stack([columns, rows], -1)[:, :, None] - dense
    return np.clip((0.8 - np.hypot(*np.moveaxis(gap, -1, 0)).min(-1)) / 1.2 + 0.5, 0, 1)


# ---- in the browser --------------------------------------------------------------------------------------------------


def call(shown: Shown, name: str, *given):
    """What a function of the figure's script gives, the figure's data first if it is `learn`."""
    code = f"""(element, given) => {{
        const f = window.mamlbook.drawing;
        const found = {f"f.{name}(element.mamlbook.data, ...given)" if name == "learn" else f"f.{name}(...given)"};
        return JSON.stringify(found, (k, v) => ArrayBuffer.isView(v) ? Array.from(v) : v);
    }}"""
    return json.loads(shown.figure.evaluate(code, list(given)))


def pad(shown: Shown, name: str):
    return shown.figure.locator(f'[data-name="pad-{name}"]')


def draw(shown: Shown, name: str, *strokes: list) -> None:
    """Draw with the mouse, in fractions of the pad."""
    node = pad(shown, name)
    node.scroll_into_view_if_needed()
    box = node.bounding_box()
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        shown.page.mouse.move(*places[0])
        shown.page.mouse.down()
        for place in places[1:]:
            shown.page.mouse.move(*place, steps=6)
        shown.page.mouse.up()


CROSS = ([(0.2, 0.2), (0.8, 0.8)], [(0.8, 0.2), (0.2, 0.8)])
BAR = ([(0.2, 0.5), (0.8, 0.52)],)


def kept(shown: Shown, name: str) -> dict:
    return shown.ask(f"f.state.pads[{json.dumps(name)}]")


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_network_is_three_convolutions_and_a_head():
    theta, x = [p.detach().double() for p in network(5).parameters()], torch.rand(2, 1, 28, 28).double()
    torch.testing.assert_close(network(5).double()(x), scores(theta, x)[1])
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert not torch.equal(network(4, 0)[0].weight, network(4, 1)[0].weight)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_still_picture_says_what_the_methods_come_to():
    result, html = drawn_starts()[0], figure().html
    drawings = [[[int(d, 16) / 15 for d in one] for one in four] for four in result["episode"]["drawings"]]
    support = [(drawings[c][0], c) for c in range(3)]
    said = [
        f"{NAMES[name]} {100 * expected(name, theta, 0.2, support, drawings[0][2])[3][0]:.0f}%"
        for name, theta in thetas().items()
    ]
    assert f"After 3: {', '.join(said)}." in html


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, w: (r, w[:-1]), "weights: expected 14 tensors for each of 4 methods, got 55"),
        (lambda r, w: (r, (w[1], *w[1:])), r"weights: expected the shapes .* for maml, got"),
        (lambda r, w: (r, (w[0] * math.nan, *w[1:])), "weights: expected numbers that half precision has"),
        (lambda r, w: ({**r, "methods": {"anil": {"alpha": 1}}}, w), "result: expected methods of maml.*, got anil"),
        (lambda r, w: ({**r, "episode": {"drawings": [["0"]] * 3}}, w), "episode: expected 3 characters of at least 3"),
        (
            lambda r, w: ({**r, "episode": {"drawings": [["g" * 784] * 3] * 3}}, w),
            "episode: expected drawings of 784 hexadecimal digits, got 'ggg",
        ),
    ],
    ids=["too few weights", "another shape", "nan", "another method", "too few drawings", "no digits"],
)
def test_wrong_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        draw_characters(*change(*drawn_starts()))


def test_a_step_out_of_range_is_named():
    with pytest.raises(ValueError, match="step: expected a whole number from 0 to 10, got 11"):
        draw_characters(*drawn_starts(), step=11)


# ---- the networks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shots", [1, 2])
def test_adapting_and_predicting_equal_pytorch(show, shots):
    draws = np.random.default_rng(shots)
    pictures = (draws.random((3 * shots + 1, 784)) * (draws.random((3 * shots + 1, 784)) < 0.2)).tolist()
    support = [(one, number // shots) for number, one in enumerate(pictures[:-1])]
    with show(figure()) as shown:
        found = call(shown, "learn", support, pictures[-1])
        assert found.keys() == set(METHODS)
        for name, theta in thetas().items():
            true = np.array(expected(name, theta, 0.2, support, pictures[-1]))
            np.testing.assert_allclose(np.array(found[name]), true, rtol=0, atol=1e-9)
            if name != "prototypes":
                assert abs(true[-1] - true[0]).max() > 1e-3  # the steps do something


def test_what_is_shown_is_what_the_stored_drawings_come_to(show):
    drawings = [[[int(d, 16) / 15 for d in one] for one in four] for four in drawn_starts()[0]["episode"]["drawings"]]
    with show(figure()) as shown:
        for shots in (1, 2):
            support = [(drawings[c][k], c) for c in range(3) for k in range(shots)]
            found = shown.ask("f.values.found")
            for name, theta in thetas().items():
                np.testing.assert_allclose(found[name], expected(name, theta, 0.2, support, drawings[0][2]), atol=1e-9)
            shown.click("twice")
        cells = shown.figure.locator(".mb-odds tbody td").all_inner_texts()
        rows = [
            expected(n, theta, 0.2, [(d[0], c) for c, d in enumerate(drawings)], drawings[0][2])[3]
            for n, theta in thetas().items()
        ]
        assert cells == [f"{100 * share:.0f}%" for row in rows for share in row]


@pytest.mark.parametrize("size", [0.02, 0.3, 0.9])
def test_a_drawing_becomes_the_picture_that_a_rasteriser_makes(show, size):
    draws = np.random.default_rng(0)
    strokes = [(0.05 + size * draws.random((count, 2))).round(4).tolist() for count in (5, 3, 1)]
    with show(figure()) as shown:
        found = np.array(call(shown, "drawn", strokes)).reshape(28, 28)
    np.testing.assert_allclose(found, raster(strokes), atol=1e-3)
    there = np.argwhere(found > 0.3)
    assert abs((there.min(0) + there.max(0)) / 2 - 13.5).max() <= 1
    if size > 0.1:
        assert abs(np.ptp(there, axis=0).max() - 17) <= 1  # what Omniglot's drawings have in the median, less one


def test_a_single_point_is_a_dot_in_the_middle(show):
    with show(figure()) as shown:
        found = np.array(call(shown, "drawn", [[[0.1, 0.9]]])).reshape(28, 28)
    np.testing.assert_allclose(found, raster([[[0.1, 0.9]]]), atol=1e-12)
    assert found[13:15, 13:15].min() > 0.5
    assert found.sum() < 8


# ---- drawing ---------------------------------------------------------------------------------------------------------


def test_a_drawing_by_mouse_replaces_the_stored_one_and_is_undone(show):
    with show(figure()) as shown:
        before = shown.ask("f.values.found")
        assert kept(shown, "2a")["example"] == [1, 0]
        draw(shown, "2a", CROSS[0])
        assert kept(shown, "2a")["example"] is None
        draw(shown, "2a", CROSS[1])
        strokes = kept(shown, "2a")["strokes"]
        assert len(strokes) == 2
        for stroke, true in zip(strokes, CROSS, strict=True):
            np.testing.assert_allclose([stroke[0], stroke[-1]], true, atol=0.03)
            assert len(stroke) > 4
        drawings = drawn_starts()[0]["episode"]["drawings"]
        stored = [[int(d, 16) / 15 for d in drawings[c][k]] for c, k in [(0, 0), (2, 0), (0, 2)]]
        support = [(stored[0], 0), (raster(strokes).ravel().tolist(), 1), (stored[1], 2)]
        for name, theta in thetas().items():
            true = expected(name, theta, 0.2, support, stored[2])
            np.testing.assert_allclose(shown.ask("f.values.found")[name], true, atol=5e-3)
        assert pad(shown, "2a").get_attribute("aria-valuetext") == "your drawing, 2 strokes"
        shown.click("undo-2a")
        assert kept(shown, "2a")["strokes"] == strokes[:1]
        shown.click("undo-2a")
        assert kept(shown, "2a")["example"] == [1, 0]
        assert shown.ask("f.values.found") == before
        shown.click("undo-2a")  # nothing is left to undo
        assert kept(shown, "2a") == {"strokes": [], "example": [1, 0], "past": []}


def test_a_tap_on_a_stored_drawing_draws_nothing_and_on_paper_a_dot(show):
    with show(figure()) as shown:
        draw(shown, "1a", [(0.5, 0.5)])
        assert kept(shown, "1a")["example"] == [0, 0]
        shown.click("clear-1a")
        draw(shown, "1a", [(0.5, 0.5)])
        assert kept(shown, "1a")["strokes"] == [[[pytest.approx(0.5, abs=0.02)] * 2]]


def test_a_stroke_is_seen_while_it_is_drawn(show):
    with show(figure()) as shown:
        box = pad(shown, "3a").bounding_box()
        shown.page.mouse.move(box["x"] + 20, box["y"] + 20)
        shown.page.mouse.down()
        shown.page.mouse.move(box["x"] + 80, box["y"] + 60, steps=5)
        assert pad(shown, "3a").locator("path").count() == 1
        assert kept(shown, "3a")["strokes"] == []
        shown.page.mouse.move(box["x"] + 80, box["y"] - 40)  # over the edge, still on the pad
        shown.page.mouse.up()
        assert kept(shown, "3a")["strokes"][0][-1][1] == 0


def test_what_is_empty_is_asked_for(show):
    with show(figure()) as shown:
        shown.click("clear")
        assert shown.ask("f.values.found") is None
        assert shown.said().startswith("Still empty: Character 1, Character 2, Character 3, Query.")
        assert set(shown.figure.locator(".mb-odds tbody td").all_inner_texts()) == {"–"}
        assert [pad(shown, name).locator(".mb-empty").is_visible() for name in PADS] == [True] * 4
        for name in PADS:
            draw(shown, name, *(CROSS if name in ("1a", "query") else BAR))
        assert shown.ask("f.values.found") is not None
        assert shown.said().startswith("After 3 inner steps the query is taken for character: MAML ")
        assert not any(pad(shown, name).locator(".mb-empty").is_visible() for name in PADS)
        shown.click("reset")
        assert kept(shown, "1a") == {"strokes": [], "example": [0, 0], "past": []}


def test_two_drawings_of_each(show):
    with show(figure()) as shown:
        assert not pad(shown, "1b").is_visible()
        shown.click("twice")
        assert all(pad(shown, f"{c}b").is_visible() for c in (1, 2, 3))
        shown.click("clear-2b")
        assert "Still empty: Character 2 again." in shown.said()
        shown.click("twice")  # what is not in use need not be drawn
        assert shown.said().startswith("After 3 inner steps")


def test_the_keyboard_goes_through_stored_drawings(show):
    with show(figure()) as shown:
        query = pad(shown, "query")
        assert query.get_attribute("role") == "spinbutton"
        assert query.get_attribute("aria-label") == "Query"
        for key, example, meant in [
            ("ArrowUp", [0, 3], 0),
            ("ArrowRight", [1, 0], 1),
            ("ArrowDown", [0, 3], 0),
            ("End", [2, 3], 2),
            ("ArrowRight", [0, 0], 0),
            ("ArrowLeft", [2, 3], 2),
            ("Home", [0, 0], 0),
        ]:
            query.press(key)
            assert kept(shown, "query")["example"] == example
            assert shown.ask("f.state.meant") == meant
            words = f"stored drawing {example[1] + 1} of character {example[0] + 1}"
            assert query.get_attribute("aria-valuetext") == words
        query.press("Delete")
        assert query.get_attribute("aria-valuetext") == "empty"
        query.press("Backspace")
        assert kept(shown, "query")["example"] == [0, 0]
        query.press("Delete")
        query.press("ArrowDown")
        assert kept(shown, "query")["example"] == [2, 3]
        query.press("Tab")
        assert shown.page.evaluate("document.activeElement.dataset.name") == "undo-query"


def test_steps_and_what_is_meant_change_what_is_read(show):
    with show(figure()) as shown:
        found = shown.ask("f.values.found")
        for step in (0, 10, 1):
            shown.slide("step", step)
            cells = shown.figure.locator(".mb-odds tbody td").all_inner_texts()
            assert cells == [f"{100 * share:.0f}%" for name in METHODS for share in found[name][step]]
        lines = set()
        for character in (1, 2, 3):
            shown.click(f"meant-{character}")
            assert shown.ask("f.state.meant") == character - 1
            lines.add(shown.figure.locator(".mb-plot .mb-curve").first.get_attribute("d"))
        assert len(lines) == 3
        assert shown.ask("f.values.found") == found
        view = shown.figure.locator(".mb-plot svg")
        view.scroll_into_view_if_needed()
        box = view.bounding_box()
        shown.page.mouse.click(box["x"] + 34 + (box["width"] - 48) * (7.2 / 10.4), box["y"] + 100)
        assert shown.ask("f.state.step") == 7


def test_what_was_drawn_survives_another_width_and_theme(show):
    with show(figure()) as shown:
        draw(shown, "1a", *CROSS)
        before, found = kept(shown, "1a"), shown.ask("f.values.found")
        for width in (390, 320, 900):
            shown.page.set_viewport_size({"width": width, "height": 800})
            shown.rest()
            assert kept(shown, "1a") == before
            assert pad(shown, "1a").locator("path").count() == 2
        assert shown.ask("f.values.found") == found
        colour = "node => getComputedStyle(node.querySelector('path')).stroke"
        light = pad(shown, "1a").evaluate(colour)
        shown.page.emulate_media(color_scheme="dark")
        assert pad(shown, "1a").evaluate(colour) != light


# ---- with a finger ---------------------------------------------------------------------------------------------------

SMALL = """figure => [...figure.querySelectorAll(".mb-live button, .mb-pad, input")].filter((node) => {
    const box = node.getBoundingClientRect();
    return box.width && (box.height < 44 || box.width < 44);
}).map((node) => node.outerHTML)"""


@pytest.fixture
def phone(browser, tmp_path):
    """Give a page with the figure on a phone that is touched."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    path = tmp_path / "phone.html"
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Phone</title>'
    path.write_text(f'<!doctype html><html lang="en"><head>{head}</head><body>{figure().html}</body></html>', "utf-8")
    page = context.new_page()
    complaints = []
    page.on("console", lambda entry: complaints.append(entry.text) if entry.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert complaints == []


def swipe(page, places: list) -> None:
    """One finger goes down, along the places and up, as the browser sees it from a screen."""
    session = page.context.new_cdp_session(page)
    for number, (x, y) in enumerate(places):
        kind = "touchMove" if number else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_finger_draws_and_the_page_stays(phone):
    node = phone.locator('[data-name="pad-2a"]')
    node.scroll_into_view_if_needed()
    box, before = node.bounding_box(), phone.evaluate("scrollY")
    down = [(box["x"] + box["width"] / 2, box["y"] + box["height"] * part / 20) for part in range(18, 1, -1)]
    swipe(phone, down)
    phone.wait_for_timeout(200)
    state = "document.querySelector('figure').mamlbook.state.pads['2a']"
    strokes = phone.evaluate(state)["strokes"]
    assert len(strokes) == 1
    np.testing.assert_allclose([strokes[0][0], strokes[0][-1]], [[0.5, 0.9], [0.5, 0.1]], atol=0.03)
    assert phone.evaluate("scrollY") == before
    assert phone.evaluate("visualViewport.scale") == 1
    phone.locator('[data-name="undo-2a"]').tap()
    assert phone.evaluate(state)["example"] == [1, 0]
    # Beside the pads the same finger scrolls.
    phone.evaluate("scrollTo(0, 0)")
    swipe(phone, [(3, 800 - 30 * number) for number in range(20)])
    phone.wait_for_function("scrollY > 100")


def test_on_a_phone_everything_is_large_enough_and_fits(phone):
    figure_on_page = phone.locator("figure")
    for button in (None, "twice"):
        if button:
            phone.locator(f'[data-name="{button}"]').tap()
        assert figure_on_page.evaluate(SMALL) == []
        assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
    phone.locator('[data-name="reset"]').tap()
    assert figure_on_page.evaluate(MISFITS) == []
    assert figure_on_page.evaluate("f => getComputedStyle(f.querySelector('.mb-pad')).touchAction") == "none"


def test_every_control_has_a_name_of_its_own(show):
    with show(figure()) as shown:
        names = shown.figure.locator(".mb-pad-card button").evaluate_all("all => all.map((b) => b.ariaLabel)")
        assert len(names) == len(set(names)) == 21
        words = shown.figure.locator(".mb-pad-card button").all_text_contents()
        assert all(name.startswith(f"{word}: ") for name, word in zip(names, words, strict=True))


# ---- with the stored starts ------------------------------------------------------------------------------------------


def by_hand(character: int, draws: np.random.Generator) -> list:
    """A ring, a zigzag or an arrow, as a hand draws it: at another place, size and slant each time, and shaky."""
    turn = np.linspace(0, 2 * np.pi, 25)
    shapes = [
        [np.stack([np.cos(turn), np.sin(turn)], 1)],
        [np.array([(-1, -1), (1, -1), (-1, 1), (1, 1)])],
        [np.array([(0, -1), (0, 1)]), np.array([(-0.7, 0.3), (0, 1), (0.7, 0.3)])],
    ]
    angle, size = draws.normal(0, 0.1), draws.uniform(0.12, 0.35)
    slant = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    place = draws.uniform(0.4, 0.6, 2)
    strokes = []
    for corners in shapes[character]:
        along = np.linspace(0, len(corners) - 1, 25)
        line = np.stack([np.interp(along, np.arange(len(corners)), axis) for axis in corners.T], 1)
        strokes.append((place + (line + draws.normal(0, 0.03, line.shape)) @ slant.T).clip(0, 1).round(4).tolist())
    return strokes


def test_what_a_hand_draws_is_told_by_starts_that_learned_from_omniglot(show):
    draws, right, tasks = np.random.default_rng(0), dict.fromkeys(METHODS, 0), 12
    stored = recall("drawing")
    with show(draw_characters(stored, recall_weights("drawing"))) as shown:
        for task in range(tasks):
            pictures = [call(shown, "drawn", by_hand(character, draws)) for character in (0, 1, 2, task % 3)]
            found = call(shown, "learn", [(one, label) for label, one in enumerate(pictures[:3])], pictures[3])
            for name in METHODS:
                right[name] += int(np.argmax(found[name][3])) == task % 3
    # Three in four at least; guessing would be one in three.
    assert min(right["maml"], right["prototypes"]) >= 0.75 * tasks
    assert right["random"] < right["maml"]


def test_the_stored_figure_is_small():
    assert len(draw_characters(recall("drawing"), recall_weights("drawing")).html) < 150_000
