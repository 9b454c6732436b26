"""The figure of the test tasks: its intervals against PyTorch's, what it says, and its lists, point and reset."""

import pytest
import torch

from figure_data import few_shot_cells
from mamlbook import confidence
from mamlbook.pages.figures import tasks_needed
from shown import payload

CELLS = few_shot_cells()


@pytest.fixture(scope="module")
def figure():
    """Give the figure of a table that was made up."""
    return tasks_needed(CELLS)


def test_it_begins_with_the_first_column_that_has_both_rows():
    assert payload(tasks_needed(CELLS).html)["first"] == {"column": 0, "row": 1, "against": 0}
    only_there = {"5w1s": {"maml": CELLS["5w1s"]["maml"], "reptile": CELLS["5w1s"]["reptile"]}, "20w1s": CELLS["20w1s"]}
    assert payload(tasks_needed(only_there).html)["first"] == {"column": 1, "row": 1, "against": 0}
    with pytest.raises(ValueError, match="expected two rows of one column of the table, got 'boil' and 'maml'"):
        tasks_needed(CELLS, row="boil")


def test_few_tasks_are_compared_on_fewer():
    short = few_shot_cells(tasks=120)
    assert payload(tasks_needed(short).html)["tasks"] == [20, 50, 100]


@pytest.mark.parametrize("column", CELLS)
def test_its_numbers_are_those_of_pytorch(show, figure, column):
    cells, place = CELLS[column], list(CELLS).index(column)
    names = list(cells)
    with show(figure) as shown:
        for tasks in (20, 100, 600):
            state = f"{{column: {place}, row: 1, against: 0, tasks: {tasks}}}"
            found = shown.ask(f"window.mamlbook.protocol.compute(f.data, {state})")
            one, other = (
                100 * cells[name].right.double().mean(0)[:tasks] / cells[name].queries for name in names[1::-1]
            )
            for name, values in (("first", one), ("second", other), ("paired", one - other)):
                mean, half = confidence(values[:, None])
                assert found[name]["mean"] == pytest.approx(mean.item(), abs=1e-9)
                assert found[name]["half"] == pytest.approx(half.item(), rel=1e-6)
            halves = torch.stack([confidence(values[:, None]).half for values in (one, other)])
            assert found["separate"] == pytest.approx(halves.norm().item(), rel=1e-6)
            assert found["separate"] > found["paired"]["half"]  # the rows were made to share what is hard
            mean, half = confidence((cells[names[1]].seeds - cells[names[0]].seeds)[:, None])
            assert found["seeds"]["mean"] == pytest.approx(mean.item(), abs=1e-3)
            assert found["seeds"]["half"] == pytest.approx(half.item(), rel=1e-2)
            enough = found["needed"]
            assert 1.96 * found["paired"]["spread"] / enough**0.5 <= abs(found["paired"]["mean"]) * 1.001


def test_rows_columns_and_tasks_are_chosen_and_reset(show, figure):
    with show(figure) as shown:
        assert "600 tasks" in shown.said()
        assert "fomaml" in shown.said()
        assert "More tasks do not make this interval narrower" in shown.said()
        shown.figure.locator('select[data-name="row"]').select_option(label="reptile")
        assert "reptile" in shown.said()
        shown.press(0, "Home")
        assert shown.ask("f.state.tasks") == 20
        shown.press(0, "ArrowRight")
        assert shown.handle().get_attribute("aria-valuetext") == "50 tasks"
        shown.drag(0, 3000, 0)
        assert shown.ask("f.state.tasks") == 600
        shown.click("column-1")
        assert shown.figure.locator('select[data-name="row"] option').all_inner_texts() == ["maml", "fomaml"]
        assert shown.ask("[f.state.row, f.state.against]") == [1, 0]
        shown.figure.locator('select[data-name="row"]').select_option(label="maml")
        assert "two different rows" in shown.said()
        shown.click("reset")
        assert shown.ask("f.state") == {"column": 0, "row": 1, "against": 0, "tasks": 600}


def test_two_measurements_of_one_network_are_never_settled(show):
    cell = CELLS["5w1s"]["maml"]
    mirrored = cell._replace(right=cell.right.flip(1))
    both = {"maml": cell, "fomaml": mirrored}
    with show(tasks_needed({"5w1s": both})) as shown:
        found = shown.ask("f.values")
        assert found["paired"]["mean"] == pytest.approx(0, abs=1e-9)
        assert "zero lies inside" in shown.said()


def test_the_still_form_says_both_ends(figure):
    alt = figure.html.split('alt="')[1].split('"')[0]
    one, other = (CELLS["5w1s"][name].tasks for name in ("fomaml", "maml"))
    for tasks in (20, 600):
        mean, half = confidence((one - other)[:tasks, None])
        assert f"at {tasks} tasks {mean.item():.1f}, plus or minus {half.item():.1f} in pairs" in alt
