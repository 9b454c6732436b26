"""The figure of networks and algorithms: what it says of each pair, the way to the next, and its still form."""

import re

import pytest

from figure_data import figure, verdicts
from mamlbook.pages import recall
from mamlbook.pages.figures import network_verdicts
from mamlbook.pages.figures.widgets.base import Widget
from mamlbook.pages.figures.widgets.verdicts import split
from shown import payload

COMPUTE = "window.mamlbook.verdicts.compute(f.data, {{network: {}, row: {}}})"


def expected(run: dict, row: str) -> tuple:
    """Verdict, error and cure, read from the result itself."""
    cell = run["cells"][row]
    if isinstance(cell, str):
        return "refused", None, cell.rpartition("; ")[2]
    option = row in run["needing"]
    return "option" if option else "exact", cell, run["option"] if option else None


def test_what_is_unknown_is_refused():
    with pytest.raises(ValueError, match=r"network: expected one of plain, unnamed, broken, .*, got 'other'"):
        network_verdicts(verdicts(), "other")
    with pytest.raises(ValueError, match="row: expected one of maml, anil, got 'other'"):
        network_verdicts(verdicts(), "plain", "other")


def test_every_pair_is_what_was_measured(show):
    with show(figure("verdicts")) as shown:
        for place, run in enumerate(verdicts()["runs"].values()):
            for column, row in enumerate(run["cells"]):
                found = shown.ask(COMPUTE.format(place, column))
                assert (found["verdict"], found["error"], found["cure"]) == expected(run, row)
                assert found["counts"]["exact"] + found["counts"]["refused"] == 2


def test_the_stored_pairs_are_what_was_measured(show):
    measured = recall("networks")
    with show(network_verdicts(measured)) as shown:
        wrong = []
        for place, run in enumerate(measured["runs"].values()):
            columns = range(len(run["cells"]))
            found = shown.ask("[" + ",".join(COMPUTE.format(place, column) for column in columns) + "]")
            for one, row in zip(found, run["cells"], strict=True):
                if (one["verdict"], one["error"], one["cure"]) != expected(run, row):
                    wrong.append((place, row, one))
        assert not wrong


def test_a_pair_is_picked_by_pointer_and_by_keys(show):
    with show(figure("verdicts")) as shown:
        assert "exact" in shown.said()
        assert "10⁻¹⁵" in shown.said()
        shown.figure.locator('select[data-name="network"]').select_option("2")
        assert "refused: broken under maml" in shown.said()
        assert "net: expected a < b, got b" in shown.said()
        assert "Cure: write it otherwise." in shown.said()
        shown.figure.locator('select[data-name="row"]').press("ArrowDown")
        assert "broken under anil" in shown.said()
        shown.click("reset")
        assert "plain under maml" in shown.said()


def test_the_next_one_is_the_next_that_is_not_simply_exact_and_they_come_round(show):
    with show(figure("verdicts")) as shown:
        visited = []
        for _ in range(4):
            shown.click("next")
            state = shown.ask("f.state")
            visited.append((state["network"], state["row"]))
        assert visited == [(1, 1), (2, 0), (2, 1), (1, 1)]
        assert "Model(net, loss, head='last')" in shown.said()


def test_the_still_form_counts_and_says_what_is_said_most():
    still = figure("verdicts").html.split('class="mb-fallback mb-words">')[1].split("<figcaption")[0]
    for words in ("2 exact, 0 refused", "head=&#x27;last&#x27;", "expected a &lt; b, got b"):
        assert words in still


STILL = """(still) => ({
    names: [...still.querySelectorAll("li > strong")].map((node) => node.textContent),
    narrowest: Math.min(...[...still.querySelectorAll("li")].map((node) => node.clientWidth)),
    sides: [...new Set([...still.querySelectorAll("p, li")].map((node) => getComputedStyle(node).textAlign))],
    wide: document.documentElement.scrollWidth - innerWidth,
})"""
# What JupyterLab does to the HTML of an output.
JUPYTER = "<style>table { table-layout: fixed } tr, th, td { text-align: right } body { margin: 8px }</style>"


@pytest.mark.parametrize("styled", [True, False], ids=["own style", "no style"])
def test_the_still_form_fills_a_phone_and_begins_at_the_left(show, styled):
    measured = recall("networks")
    html = network_verdicts(measured).html
    if not styled:
        html = JUPYTER + re.sub(r"<(style|script).*?</\1>", "", html, flags=re.DOTALL)
    with show(Widget("still", html), scripts=False, viewport=(390, 844)) as shown:
        found = shown.figure.locator(".mb-words").evaluate(STILL)
    assert sorted(found["names"]) == sorted(measured["runs"])
    assert set(found["sides"]) <= {"left", "start"}
    assert found["narrowest"] > 220
    assert found["wide"] <= 0


def test_a_sentence_is_parted_from_its_cure():
    assert split("net: a; b, c; do d") == ("net: a; b, c", "do d")
    assert split("net: a: use b") == ("net: a", "use b")


def test_every_stored_sentence_has_a_cure():
    runs = recall("networks")["runs"].values()
    sentences = {cell for run in runs for cell in run["cells"].values() if isinstance(cell, str)}
    assert [sentence for sentence in sentences if "; " not in sentence] == []


def test_the_figure_carries_the_result():
    data = payload(network_verdicts(recall("networks")).html)
    assert [network["name"] for network in data["networks"]] == list(recall("networks")["runs"])
    assert data["networks"][data["first"]["network"]]["name"] == "transformer"
