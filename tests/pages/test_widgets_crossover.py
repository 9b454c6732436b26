"""The figure of the crossover: its model against Python's, what it says, and blanks where nothing was measured."""

import pytest

from figure_data import crossing
from mamlbook.pages import is_stored, recall
from mamlbook.pages.figures import crossover_explorer, crossover_table, recall_crossover
from mamlbook.pages.figures.widgets import crossover as module
from mamlbook.pages.figures.widgets.crossover import AXES, WAYS, model
from shown import Shown, payload

CPU, GPU = crossing("a processor"), crossing("a GPU", 0.1)


@pytest.fixture
def none_stored(monkeypatch, tmp_path):
    """No result is stored."""
    monkeypatch.setattr(module, "is_stored", lambda name: is_stored(name, folder=tmp_path))
    monkeypatch.setattr(module, "recall", lambda name: recall(name, folder=tmp_path))


def compute(shown: Shown, axis: str, way: str, launch: float, bandwidth: float, rate: float) -> dict:
    state = f"{{axis: {axis!r}, way: {way!r}, launch: {{{way!r}: {launch}}}, bandwidth: {bandwidth}, rate: {rate}}}"
    return shown.ask(f"window.mamlbook.crossover.compute(f.data, {state})")


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_model_is_the_largest_of_three():
    row = {"kernels": {"all at once": 1000}, "bytes": 320e6, "operations": 8e9}
    assert model(row, "all at once", 10, 320, 8) == pytest.approx(10)
    assert model(row, "all at once", 0.1, 320, 8) == pytest.approx(1)
    assert model(row, "all at once", 0.1, 3200, 8) == pytest.approx(1)
    assert model(row, "all at once", 0.1, 3200, 80) == pytest.approx(0.1)


def test_it_carries_every_axis_in_order_and_what_was_measured():
    data = payload(crossover_explorer(CPU, GPU).html)
    assert {axis: [row[axis] for row in rows] for axis, rows in data["rows"].items()} == {
        "tasks": [1, 25, 125],
        "width": [10, 40, 640],
        "steps": [1, 5],
    }
    assert data["gpu"] == "a GPU"
    assert data["rows"]["width"][0]["gpu"]["compiled"] == pytest.approx(
        0.1 * data["rows"]["width"][0]["cpu"]["compiled"]
    )
    # A kernel takes Python as long as it does where there is next to nothing to compute: 20 microseconds here.
    assert data["chosen"]["launch"] == {"one by one": 20, "all at once": 20, "compiled": 2}


def test_without_a_measured_gpu_nothing_is_carried_of_one(none_stored):
    data = payload(crossover_explorer(CPU).html)
    assert data["gpu"] is None
    assert not any(row["gpu"] for rows in data["rows"].values() for row in rows)
    with pytest.raises(FileNotFoundError):
        crossover_explorer()


@pytest.mark.parametrize(
    ("first", "message"),
    [
        ({"axis": "shots"}, "axis: expected one of tasks, .*, got shots"),
        ({"way": "fast"}, "way: expected .*, got fast"),
    ],
)
def test_a_first_picture_that_there_is_not_is_refused(first, message):
    with pytest.raises(ValueError, match=message):
        crossover_explorer(CPU, **first)


def test_the_table_has_a_blank_for_what_was_not_measured(monkeypatch):
    found = {"crossover-cpu": CPU, "crossover-cuda": GPU}
    monkeypatch.setattr(module, "recall", found.__getitem__)
    monkeypatch.setattr(module, "is_stored", found.__contains__)
    assert recall_crossover("cuda")[25, 40, 1] == GPU["workloads"][0]
    rows = crossover_table([(25, 40, 1), (25, 640, 1)]).data.split("<tr>")[2:]
    assert len(rows) == 6
    assert "<td>25, 40, 1</td><td>all tasks at once</td><td>3.1</td><td>0.31</td>" in rows[1]
    assert "<td>compiled</td><td>not measured yet</td><td>not measured yet</td>" in rows[5]
    del found["crossover-cuda"]
    assert recall_crossover("cuda") == {}
    assert "not measured yet" in crossover_table([(25, 40, 1)]).data


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_the_script_computes_what_python_does(show):
    with show(crossover_explorer(CPU, GPU)) as shown:
        for axis in AXES:
            for way in WAYS:
                for speed in ((20, 320, 8), (0.5, 100, 60), (0.5, 5000, 1)):
                    found = compute(shown, axis, way, *speed)
                    rows = [row for row in shown.ask("f.data.rows")[axis] if way in row["kernels"]]
                    assert found["rows"] == rows
                    for row, time, cpu in zip(rows, found["times"], found["cpu"], strict=True):
                        assert time["total"] == pytest.approx(model(row, way, *speed))
                        assert time["total"] == time[time["decides"]]
                        assert cpu == row["cpu"][way]


def test_the_crossing_is_where_the_gpu_stays_ahead(show):
    with show(crossover_explorer(CPU, GPU)) as shown:
        # 135 kernels of 0.02 ms on the processor, whatever the tasks; and of 0.03 ms on the GPU.
        slow, quick = (compute(shown, "tasks", "all at once", launch, 320, 8) for launch in (30, 20))
        assert slow["from"] == 125
        assert quick["from"] == 1
        assert compute(shown, "steps", "all at once", 50, 320, 8)["from"] is None


def test_it_says_what_it_shows(show):
    with show(crossover_explorer(CPU, GPU)) as shown:
        said = shown.said()
        assert "25 tasks, width 40, 1 step: 135 kernels, 9.60 million operations, 8.00 MB moved." in said
        assert "launching takes 2.70 ms, moving 25.0 µs and computing 1.20 µs: 2.70 ms, and launching decides" in said
        assert "The processor took 3.10 ms, 1.1 times as long." in said
        assert "a GPU took 310 µs." in said
        shown.click("way-compiled")
        assert "50 kernels" in shown.said()
        shown.click("axis-width")
        assert shown.ask("f.values.rows.length") == 2


def test_it_says_what_was_not_measured(show, none_stored):
    with show(crossover_explorer(CPU, {"workloads": [], "device": "a GPU"})) as shown:
        assert "a GPU was not timed here." in shown.said()
        assert shown.figure.locator(".mb-legend button").count() == 3
    with show(crossover_explorer(CPU)) as shown:
        assert "No GPU has been measured yet." in shown.said()
        assert shown.figure.locator(".mb-legend button").count() == 2


def test_sliders_pointer_and_keyboard_choose(show):
    with show(crossover_explorer(CPU, GPU)) as shown:
        shown.slide("launch", 0)
        assert shown.ask("f.state.launch") == {"one by one": 20, "all at once": 0.5, "compiled": 2}
        assert "launching takes 67.5 µs" in shown.said()
        shown.slide("rate", 0)
        shown.slide("bandwidth", 0)
        assert "moving 80.0 µs" in shown.said()
        assert "and moving decides" in shown.said()
        assert shown.ask("f.state.at") == 1
        shown.press(0, "End")
        assert shown.ask("f.state.at") == 2
        assert shown.handle().get_attribute("aria-valuetext") == "125 tasks"
        shown.drag(0, -2000, 0)
        assert shown.ask("f.state.at") == 0
        shown.click("way-compiled")
        assert shown.figure.locator('input[data-name="launch"]').input_value() == "2"
