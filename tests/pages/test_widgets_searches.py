"""The figure of the searches: its curves against what is stored, what it says, and its lists, point and buttons."""

import math

import pytest

from figure_data import SEARCHES, field_results, searches
from mamlbook.pages import recall_search
from mamlbook.pages.figures import field_searches
from shown import payload


@pytest.fixture(scope="module")
def figure():
    """Give the figure of searches that were made up."""
    return searches()


def entry(name, **state):
    place = list(SEARCHES).index(name)
    words = ", ".join(f"{key}: {value}" for key, value in ({"budget": 0, "beta": 0.01} | state).items())
    return f"window.mamlbook.searches.compute(f.data, {{entry: {place}, {words}}})"


def test_it_begins_with_the_row_that_is_asked_for_at_its_chosen_rate(figure, tmp_path):
    assert payload(figure.html)["first"] == {"entry": 2, "budget": 0, "beta": 0.01}
    assert payload(searches("kernel-ridge").html)["first"]["entry"] == 0
    with pytest.raises(ValueError, match=r"row: expected one that is stored, kernel-ridge, maml, reptile, got 'anil'"):
        field_searches("anil", results=field_results(tmp_path, SEARCHES))
    with pytest.raises(FileNotFoundError, match="field-glyphs"):
        field_searches(world="glyphs", results=tmp_path)


@pytest.mark.parametrize("name", SEARCHES)
def test_its_curve_is_the_least_error_at_each_rate(show, figure, name):
    least: dict[float, float] = {}
    for one in SEARCHES[name]["search"]:
        for error in one["meta-steps"] or []:
            least[one["beta"]] = min(error, least.get(one["beta"], math.inf))
    with show(figure) as shown:
        found = shown.ask(entry(name))
        assert {one["beta"]: one["error"] for one in found["found"]} == pytest.approx(least, rel=0.01)
        assert [one["beta"] for one in found["found"]] == sorted(least)
        beside = "" if name.startswith("maml") else f"maml, S = {1 if 'ridge' in name else name[-1]}"
        maml = shown.ask(entry(beside))["found"] if beside else []
        assert found["maml"] == maml
        assert found["rates"] == [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1]


def test_the_second_round_has_all_seeds_and_what_each_budget_was_trained_for(show, figure):
    stored = SEARCHES["reptile, S = 1"]["final"]
    with show(figure) as shown:
        found = shown.ask(entry("reptile, S = 1"))["final"]
        assert [one["errors"] for one in found] == [
            [None if e is None else pytest.approx(e, rel=0.01) for e in one["meta-steps"]["errors"]] for one in stored
        ]
        assert [one["mean"] for one in found] == [
            None
            if None in one["meta-steps"]["errors"]
            else pytest.approx(sum(one["meta-steps"]["errors"]) / 3, rel=0.01)
            for one in stored
        ]
        fewer = shown.ask(entry("reptile, S = 1", budget=1))["final"]
        assert [(one["beta"], one["told"]) for one in fewer] == [(0.01, {"alpha": 0.03}), (0.01, {"alpha": 0.01})]


def test_rates_rows_steps_and_budgets_are_chosen_and_reset(show, figure):
    with show(figure) as shown:
        said = shown.said()
        for words in (
            "reptile, S = 1, β = 0.01",
            "MAML’s best with this rate has 0.30",
            "alpha 0.03",
            "0.60, 0.70; 1 of 3 runs",
        ):
            assert words in said
        shown.press(0, "ArrowRight")
        assert shown.ask("f.state.beta") == 0.03
        shown.press(0, "End")
        assert "the first round has no error" in shown.said()
        assert "1 of 3 runs came to no end" in shown.said()
        assert shown.handle().get_attribute("aria-valuetext") == "beta 0.1"
        shown.drag(0, -3000, 0)
        assert shown.ask("f.state.beta") == 0.0003
        shown.figure.locator('select[data-name="steps"]').select_option(label="5")
        assert shown.ask("[f.values.own.name, f.state.beta]") == ["reptile, S = 5", 0.01]
        shown.figure.locator('select[data-name="row"]').select_option(label="maml")
        assert shown.ask("f.values.own.name") == "maml, S = 5"
        assert "MAML’s best" not in shown.said()
        shown.figure.locator('select[data-name="row"]').select_option(label="kernel-ridge")
        assert shown.figure.locator('select[data-name="steps"] option').all_inner_texts() == ["none"]
        shown.click("arithmetic")
        assert "after 400 meta-steps" in shown.said()
        shown.click("reset")
        assert shown.ask("f.state") == {"entry": 2, "budget": 0, "beta": 0.01}


def test_what_is_read_is_what_is_stored(tmp_path):
    found = recall_search(folder=field_results(tmp_path, SEARCHES))
    assert list(found) == list(SEARCHES)
    ridge, reptile = found["kernel-ridge"], found["reptile, S = 5"]
    assert (ridge.row, ridge.steps, ridge.against) == ("kernel-ridge", None, "maml, S = 1")
    assert (reptile.row, reptile.steps, reptile.against) == ("reptile", 5, "maml, S = 5")
    assert reptile.tried[-1] == (0.03, {"alpha": 0.03}, {"meta-steps": [None], "arithmetic": [None]})
    assert reptile.final[-1].errors == {"meta-steps": [2.4, None, 2.6], "arithmetic": []}


def test_an_entry_without_a_second_round_is_left_out(tmp_path):
    first_only = {name: value for name, value in SEARCHES["maml, S = 5"].items() if name != "final"}
    found = recall_search(folder=field_results(tmp_path, SEARCHES | {"maml, S = 5": first_only}))
    assert list(found) == [name for name in SEARCHES if name != "maml, S = 5"]


def test_the_still_form_says_the_errors(figure):
    alt = figure.html.split('alt="')[1].split('"')[0]
    assert "Error of reptile, S = 1 against the outer rate" in alt
    assert "0.6 at 0.01" in alt
