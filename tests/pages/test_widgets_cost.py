"""The figure of costs: its arithmetic against counted operations, its bytes and times, its controls."""

import pytest

from experiments.cost import learner, waves
from figure_data import counted, timed
from mamlbook.analysis.costs import cost
from mamlbook.pages.figures import cost_explorer
from mamlbook.pages.figures.widgets.cost import EXECUTIONS, NAMES, ROLES
from shown import Shown, payload

STEPS, WIDTHS = [1, 2, 5, 16, 64], [10, 40]


def compute(shown: Shown, method: str, steps: int, tasks: int, width: int) -> dict:
    state = f"{{method: {method!r}, steps: {steps}, tasks: {tasks}, width: {width}}}"
    return shown.ask(f"window.mamlbook.cost.compute(f.data, {state})")


def rows(shown: Shown) -> list[str]:
    return shown.figure.locator(".mb-plot").nth(1).locator("text.mb-halo").all_text_contents()


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_it_carries_what_was_measured():
    one = cost_explorer(counted(), timed())
    assert one.html != cost_explorer(counted(), timed(), tasks=5).html
    data = payload(one.html)
    assert data["methods"] == list(NAMES)
    assert len(set(ROLES.values())) == len(ROLES)
    # Of the sine network only, what was wrong left out, the slowest first.
    assert [(one["method"], len(one["times"])) for one in data["workloads"]] == [
        *(("maml", 3), ("maml", 1), ("checkpointed", 1), ("maml", 1), ("fomaml", 1)),
    ]
    assert data["workloads"][2]["flops"] == 25 * counted()["counted"]["checkpointed"]["40"]["operations"][-1]
    assert [who for who, _ in data["workloads"][0]["times"]] == [
        EXECUTIONS[name] for name in ("higher", "mamlbook", "mamlbook compiled")
    ]


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ({"method": "adam"}, "method: expected one of maml, .*, got adam"),
        ({"steps": 7}, "steps: expected one of 1, 2, 5, 16, 64, got 7"),
        ({"tasks": 3}, "tasks: expected one of 1, 5, .*, got 3"),
        ({"width": 30}, "width: expected one of 10, 40, got 30"),
    ],
)
def test_a_first_picture_that_was_not_counted_is_refused(first, message):
    with pytest.raises(ValueError, match=message):
        cost_explorer(counted(), timed(), **first)


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_the_arithmetic_is_what_pytorch_counts(show):
    with show(cost_explorer(counted(), timed())) as shown:
        for name in NAMES:
            for steps, width, tasks in ((1, 10, 1), (5, 40, 5), (16, 10, 25)):
                expected = cost(learner(name, width, steps), waves(tasks)).operations
                found = compute(shown, name, steps, tasks, width)
                assert found["operations"] == expected
                assert found["limit"] == pytest.approx(expected / 100e9 * 1e3)
                plain = shown.ask(f"window.mamlbook.cost.units({width}).gradient")
                assert found["work"] == pytest.approx(expected / tasks / plain)


def test_bytes_are_the_counted_ones_of_all_tasks(show):
    with show(cost_explorer(counted(), timed())) as shown:
        for name in NAMES:
            expected = counted()["counted"][name]["40"]["peak"][2]
            assert compute(shown, name, 5, 1, 40)["peak"] == expected
            assert compute(shown, name, 5, 200, 40)["peak"] == 200 * expected


def test_times_are_those_of_the_nearest_workload(show):
    with show(cost_explorer(counted(), timed())) as shown:
        near = {(5, 25): (5, 25), (16, 25): (5, 25), (64, 25): (64, 25), (2, 500): (5, 512), (1, 1): (5, 25)}
        for (steps, tasks), expected in near.items():
            found = compute(shown, "maml", steps, tasks, 40)["measured"]
            assert (found["steps"], found["tasks"]) == expected
        assert compute(shown, "imaml", 5, 25, 40)["measured"] is None


def test_it_says_what_it_shows(show):
    with show(cost_explorer(counted(), timed())) as shown:
        assert (
            "MAML, 5 steps, 25 tasks, width 40: 6 gradients and 5 Hessian-vector products for each task" in shown.said()
        )
        assert "the work of 15.9 plain gradients. For the meta-step 39.8 million operations and 360 kB" in shown.said()
        assert "it takes 398 µs or more. The nearest that was timed, MAML with 5 steps, 25 tasks" in shown.said()
        assert rows(shown) == [
            *("one task after another (higher)", "130 ms"),
            *("all tasks at once (mamlbook)", "12.0 ms"),
            *("all at once, compiled (mamlbook)", "1.25 ms"),
        ]
        shown.click("imaml")
        assert "iMAML, 5 steps, 25 tasks, width 40: 7 gradients and 5" in shown.said()
        assert "The stored benchmark does not time this method." in shown.said()
        assert not shown.figure.locator(".mb-plot").nth(1).is_visible()
        shown.click("fomaml")
        assert "6 gradients for each task" in shown.said()
        assert shown.figure.locator('.mb-buttons button[aria-pressed="true"]').all_inner_texts() == ["FOMAML"]


def test_sliders_pointer_and_keyboard_choose(show):
    with show(cost_explorer(counted(), timed())) as shown:
        shown.slide("tasks", 0)
        shown.slide("width", 0)
        assert shown.ask("f.state") == {"method": "maml", "steps": 5, "tasks": 1, "width": 10}
        assert "1 task, width 10" in shown.said()
        shown.press(0, "ArrowRight")
        assert shown.ask("f.state.steps") == 16
        assert shown.figure.locator('input[data-name="steps"]').input_value() == "3"
        shown.press(0, "End")
        assert shown.ask("f.state.steps") == 64
        assert shown.handle().get_attribute("aria-valuetext") == "64 steps"
        shown.drag(0, -2000, 0)
        assert shown.ask("f.state.steps") == 1
        shown.slide("steps", 1)
        assert shown.ask("f.values.gradients") == 3


def test_memory_is_drawn_to_scale_and_curves_can_be_hidden(show):
    with show(cost_explorer(counted(), timed())) as shown:
        paths = shown.figure.locator("path.mb-curve")
        numbers = paths.first.get_attribute("d").replace("M", " ").replace("L", " ").split()
        ys, expected = [float(y) for y in numbers[1::2]], counted()["counted"]["maml"]["40"]["peak"]
        scale = (ys[0] - ys[-1]) / (expected[-1] - expected[0])
        assert scale > 0
        for y, value in zip(ys, expected, strict=True):
            assert ys[0] - y == pytest.approx(scale * (value - expected[0]), abs=0.11)
        shown.figure.locator(".mb-legend button", has_text="FOMAML").click()
        hidden = shown.figure.locator('path.mb-curve[stroke="var(--mb-fomaml)"]')
        assert not hidden.is_visible()
