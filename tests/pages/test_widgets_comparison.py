"""The table of all algorithms: its numbers, its order, what it filters, and its still form."""

import pytest

from figure_data import field_of, field_results
from mamlbook import ALGORITHMS
from mamlbook.pages.field import recall_field
from mamlbook.pages.figures import field_comparison
from shown import Shown, payload

NAMES = list(ALGORITHMS)


@pytest.fixture
def stored(tmp_path):
    """Give a folder with a field that was made up, in which a few rows are stored."""
    return field_results(tmp_path)


@pytest.fixture
def table(stored):
    return field_comparison(results=stored)


def names(shown: Shown) -> list[str]:
    return shown.figure.locator("tbody th a").all_inner_texts()


def cell(shown: Shown, name: str, kind: str):
    line = shown.figure.locator("tbody tr", has=shown.page.locator("a", has_text=name).first)
    return line.locator(f'[data-cell="{kind}"]').first


def test_every_row_stands_in_it_once_with_a_link_and_what_it_states(table):
    body = table.html.split("<tbody")[1].split("</tbody>")[0]
    assert [line.split(">")[1].split("<")[0] for line in body.split("<a ")[1:]] == NAMES
    assert "assumes features that are right for every task" in body
    assert ">16 gradients<" in body


def test_what_is_not_stored_has_a_dash(table, stored):
    views = payload(table.html)["views"]
    assert set(views[0]["cells"]) == {"maml", "fomaml", "joint"}
    assert [view["label"] for view in views] == [
        "one inner step, equal meta-steps",
        "one inner step, equal arithmetic",
        "5 inner steps, equal meta-steps",
        "5 inner steps, equal arithmetic",
    ]
    with pytest.raises(FileNotFoundError, match="no stored result field-glyphs"):
        field_comparison("glyphs", results=stored)


def test_arithmetic_and_error_say_for_how_many_steps_they_stand(table):
    assert ">arithmetic, S = 5</th>" in table.html
    assert "at first one inner step, equal meta-steps;" in table.html.split("<figcaption")[1]


def test_differences_are_paired_and_say_on_which_side_they_lie(table, stored):
    cells = payload(table.html)["views"][0]["cells"]
    found = recall_field(folder=stored)
    assert cells["fomaml"][3] == pytest.approx(found["fomaml, S = 1"].differences.mean().item())
    assert cells["fomaml"][4] == "more"
    assert cells["maml"][2:] == ["–", None, "open"]
    assert cells["joint"][0].endswith("(4 of 5 runs)")
    assert payload(table.html)["views"][2]["cells"]["fomaml"][4] == "open"


def test_a_field_in_which_nothing_ended_is_shown_too(tmp_path):
    nothing = {"maml, S = 1": field_of([None] * 5)}
    cells = payload(field_comparison(results=field_results(tmp_path, nothing)).html)["views"][0]["cells"]
    assert cells["maml"] == ["– (0 of 5 runs)", None, "–", None, "open"]


def test_it_is_sorted_by_a_click_and_by_a_key(show, table):
    with show(table) as shown:
        assert names(shown) == NAMES
        shown.click("sort-error")
        assert names(shown)[:3] == ["maml", "fomaml", "joint"]
        assert shown.figure.locator('[aria-sort="ascending"]').inner_text() == "error"
        shown.figure.locator('button[data-name="sort-error"]').press("Enter")
        assert names(shown)[:3] == ["joint", "fomaml", "maml"]
        assert names(shown)[3:] == [name for name in NAMES if name not in ("joint", "fomaml", "maml")]
        shown.click("sort-error")
        assert names(shown) == NAMES
        shown.click("sort-work")
        assert names(shown)[0] == "joint"
        shown.click("sort-name")
        assert names(shown) == sorted(NAMES, key=lambda name: name.replace("+", ""))


def test_words_and_factors_filter(show, table):
    with show(table) as shown:
        shown.figure.locator('input[data-name="words"]').fill("FLAT overshoot")
        assert names(shown) == ["fomaml"]
        assert f"1 of {len(NAMES)} algorithms" in shown.said()
        shown.figure.locator('input[data-name="words"]').fill("")
        shown.figure.locator('select[data-name="factor"]').select_option("weighting")
        assert names(shown) == [name for name, row in ALGORITHMS.items() if row.factor == "weighting"]
        shown.figure.locator('input[data-name="words"]').fill("nothing of the kind")
        assert names(shown) == []


def test_another_view_shows_its_own_numbers(show, table):
    views = payload(table.html)["views"]
    with show(table) as shown:
        for place, view in enumerate(views):
            shown.figure.locator('select[data-name="view"]').select_option(str(place))
            for name in ("fomaml", "reptile"):
                expected = view["cells"].get(name, ["–", None, "–", None, "open"])
                assert cell(shown, name, "error").inner_text() == expected[0]
                assert cell(shown, name, "apart").inner_text() == expected[2]
                assert cell(shown, name, "apart").get_attribute("data-side") == expected[4]


def test_a_phone_shows_a_few_rows_until_all_are_asked_for(show, table):
    lines, more = "tbody tr:visible", 'button[data-name="all"]'
    with show(table) as shown:
        assert shown.figure.locator(lines).count() == len(NAMES)
        assert not shown.figure.locator(more).is_visible()
        shown.page.set_viewport_size({"width": 390, "height": 844})
        assert shown.figure.locator(lines).count() == 8
        shown.figure.locator('input[data-name="words"]').fill("FLAT overshoot")
        assert shown.figure.locator(lines).count() == 1
        assert not shown.figure.locator(more).is_visible()
        shown.figure.locator('input[data-name="words"]').fill("")
        shown.figure.locator(more).press("Enter")
        assert shown.figure.locator(lines).count() == len(NAMES)
        assert not shown.figure.locator(more).is_visible()
    with show(table, scripts=False) as shown:
        shown.page.set_viewport_size({"width": 390, "height": 844})
        assert shown.figure.locator(lines).count() == len(NAMES)


def test_a_screen_reader_is_told_of_a_table(show, table):
    with show(table) as shown:
        shown.page.set_viewport_size({"width": 390, "height": 844})
        assert shown.figure.get_by_role("row").count() > 8
        assert shown.figure.get_by_role("columnheader").count() == 5
        assert shown.figure.get_by_role("rowheader", name="maml", exact=False).count() >= 1
