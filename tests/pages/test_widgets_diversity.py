"""The diversity dial: its statistics and verdicts against PyTorch, its controls by pointer and keyboard."""

import copy
import itertools
import math
import re

import numpy as np
import pytest
import torch

from figure_data import LABELS, POSITIONS, ROLES, SHAPES, measured
from mamlbook import confidence
from mamlbook.pages import RESULTS, recall
from mamlbook.pages.figures import diversity_dial, styling
from need import need
from shown import Shown, payload


def diverged(name: str = "reptile", position: int = 3, lost=("1", "4"), start: int = 6) -> dict:
    """The same where some runs of one algorithm are no number any more from some step on."""
    result = measured()
    for kind, seed in itertools.product(("runs", "tuned"), lost):
        curve = result[kind][name][position]["error"][seed]["new"]
        curve[start:] = [None] * len(curve[start:])
    return result


def crafted(*columns: dict) -> dict:
    """A result of one step whose means at every position are given, each with the half-width 0.98."""
    runs = {}
    # The half-width of two seeds at ± 1.
    d = 0.98 / confidence(torch.tensor([1.0, -1.0], dtype=torch.float64)).half.item()
    for name in columns[0]:
        pairs = [{str(n): {"new": [column[name] + by] * 2} for n, by in enumerate((d, -d))} for column in columns]
        runs[name] = [{"error": pair} for pair in pairs]
    return {"dial": [{"position": n, "label": f"place {n}"} for n in range(len(columns))], "runs": runs}


def by_package(result: dict, state: dict, position: int) -> dict:
    """Mean and half-width of every algorithm that is shown, and who leads, by the package in float64."""
    found = {}
    for name, role in ROLES.items():
        if not state["shown"].get(role):
            continue
        seeds = result["tuned" if state["tuned"] else "runs"][name][position]["error"].values()
        values = [
            math.nan if curves["new"][state["steps"]] is None else curves["new"][state["steps"]] for curves in seeds
        ]
        errors = torch.tensor(values, dtype=torch.float64)
        if state["relative"]:
            errors = errors / result["dial"][position]["power"]
        mean, half = confidence(errors)
        found[role] = (mean.item(), half.item(), int(errors.isnan().sum()))
    finite = {role: mean for role, (mean, _, lost) in found.items() if not lost}
    order = sorted(finite, key=finite.get)
    top = found[order[0]][0] + found[order[0]][1] if order else 0
    return {"found": found, "order": order, "lead": [r for r in order if found[r][0] - found[r][1] <= top]}


def assert_shown(shown: Shown, result: dict, **expected) -> dict:
    """The values of the figure are those of the package, at every position."""
    state, values = shown.ask("f.state"), shown.ask("f.values")
    assert {name: state[name] for name in expected} == expected
    here = by_package(result, state, state["position"])
    assert values["found"].keys() == here["found"].keys()
    for role, (mean, half, lost) in here["found"].items():
        got = values["found"][role]
        assert got["lost"] == lost
        if lost:
            assert got["mean"] is got["half"] is None
        else:
            assert (got["mean"], got["half"]) == (pytest.approx(mean, rel=1e-12), pytest.approx(half, rel=1e-9))
    assert (values["order"], values["lead"]) == (here["order"], here["lead"])
    leads = [by_package(result, state, position)["lead"] for position in range(len(result["dial"]))]
    assert values["leads"] == leads
    assert_passes(values, leads)
    return values


def assert_passes(values: dict, leads: list):
    """Between two passes somebody leads all the way, and at a pass everybody who did so is gone."""
    begin = 0
    for passed in values["passes"]:
        stretch = [lead for lead in leads[begin : passed["before"]] if lead]
        assert set(passed["from"]) == set.intersection(*map(set, stretch))
        assert passed["to"] == leads[passed["before"]]
        assert not set(passed["from"]) & set(passed["to"])
        assert begin <= passed["after"] < passed["before"]
        assert set(passed["from"]) <= set(leads[passed["after"]])
        begin = passed["before"]
    rest = [lead for lead in leads[begin:] if lead]
    assert set(values["held"]) == (set.intersection(*map(set, rest)) if rest else set())


def said(shown: Shown) -> str:
    return shown.figure.locator('[aria-live="polite"]').inner_text().replace("\u00a0", " ")


def hide(shown: Shown, *labels: str):
    for label in labels:
        shown.figure.locator(".mb-legend button").get_by_text(label, exact=True).click()


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_the_first_picture():
    one = diversity_dial(measured())
    assert one.html != diversity_dial(measured(), steps=2).html
    assert payload(one.html)["first"] == {"position": 2, "steps": 1, "relative": False, "tuned": True}
    common = {name: part for name, part in measured().items() if name != "tuned"}
    assert payload(diversity_dial(common).html)["first"]["tuned"] is False


def test_it_carries_what_was_measured():
    result = diverged()
    data = payload(diversity_dial(result).html)
    labels = [label.replace("\N{NO-BREAK SPACE}", " ") for label in data["labels"]]
    assert (data["positions"], labels, data["steps"]) == (POSITIONS, LABELS, 20)
    for kind, carried in (("runs", data["errors"]), ("tuned", data["tuned"])):
        for name, role in ROLES.items():
            for place, found in zip(result[kind][name], carried[role], strict=True):
                curves = [[math.nan if v is None else v for v in c["new"]] for c in place["error"].values()]
                mean, half = confidence(torch.tensor(curves, dtype=torch.float64))
                np.testing.assert_array_equal(np.array(found["mean"], dtype=float), mean)
                np.testing.assert_array_equal(np.array(found["half"], dtype=float), half)
                assert found["lost"] == np.isnan(curves).sum(0).tolist()
                assert found["runs"] == 5
    assert data["names"] == {role: styling.NAMES[role] for role in ROLES.values()}
    assert data["powers"] == [3 + p for p in POSITIONS]
    assert data["spread"][:2] == [None, pytest.approx(0.21)]


def test_numbers_that_are_none_are_null():
    result = measured()
    result["runs"]["maml"][0]["error"]["0"]["new"][3:5] = [math.inf, math.nan]
    found = payload(diversity_dial(result).html)["errors"]["maml"][0]
    assert found["mean"][3:5] == found["half"][3:5] == [None, None]
    assert found["lost"][2:6] == [0, 1, 1, 0]


@pytest.mark.parametrize("result", [measured(), diverged(), measured(noise=1.5)], ids=["close", "diverged", "wide"])
def test_the_axis_holds_every_mean(result):
    data = payload(diversity_dial(result).html)
    for axis, relative in zip(data["axes"], (False, True), strict=True):
        low, high = axis["domain"]
        assert 2 <= len(axis["ticks"]) <= 9
        assert all(low <= tick <= high for tick in axis["ticks"])
        for steps in (0, 1, 20):
            state = {"steps": steps, "relative": relative, "tuned": False, "shown": dict.fromkeys(ROLES.values(), True)}
            for position in range(len(POSITIONS)):
                found = by_package(result, state, position)["found"].values()
                assert all(low < mean < high for mean, _, lost in found if not lost)


def test_a_result_without_extras_is_enough():
    result = crafted({"maml": 2.0, "joint": 5.0}, {"maml": 5.0, "joint": 2.0})
    data = payload(diversity_dial(result).html)
    assert data["powers"] is data["spread"] is data["tuned"] is None
    assert len(data["axes"]) == 1
    assert list(data["errors"]) == ["maml", "joint"]


def test_nothing_but_nan_is_still_a_figure():
    nothing = crafted({"maml": math.nan}, {"maml": math.nan})
    assert payload(diversity_dial(nothing).html)["axes"][0]["domain"] == [0.1, 10]


def test_the_still_picture_and_its_words():
    html = diversity_dial(measured(), steps=3).html
    alt = re.search(r'class="mb-fallback" alt="([^"]*)"', html)[1]
    where = "over a dial of 6 positions, from “one wave” to “three families”, "
    assert f"{where}after 3 test steps, each at its own best rate; one curve each" in alt
    assert "At “one wave” joint training has the lowest mean" in alt
    assert "At “three families” MAML has the lowest mean" in alt


def changed(**changes) -> dict:
    """A result in which an entry, named by its path, has another value."""
    result = copy.deepcopy(measured(seeds=3, steps=2))
    for path, value in changes.items():
        at = result
        *keys, last = path.split("__")
        for key in keys:
            at = at[int(key) if isinstance(at, list) else key]
        at[last] = value
    return result


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: diversity_dial({"dial": []}), "result: expected the keys dial and runs, found none named runs"),
        (lambda: diversity_dial(changed(dial=[])), "at least two positions in rising order"),
        (lambda: diversity_dial(changed(dial__1__position=0.0)), "positions in rising order"),
        (lambda: diversity_dial(changed(dial__1__power=0.0)), "expected powers above 0"),
        (lambda: diversity_dial(changed(runs={})), r"result\['runs'\]: expected names among maml, .*, got none"),
        (lambda: diversity_dial(changed(runs__best=[])), r"expected names among .*, got .*best"),
        (lambda: diversity_dial(changed(runs__maml=[])), r"result\['runs'\]\['maml'\]: expected 6 positions"),
        (lambda: diversity_dial(changed(tuned__maml__2__error={})), r"result\['tuned'\]\['maml'\]: .* 2 seeds or more"),
        (lambda: diversity_dial(changed(tuned={"maml": measured()["tuned"]["maml"]})), "expected the names of"),
        (lambda: diversity_dial(changed(runs__maml__2__error__0__new=[1.0])), r"equally long curves, got \[1, 3\]"),
        (lambda: diversity_dial(changed(tuned=measured(seeds=3, steps=4)["tuned"])), r"in every curve, got \[3, 5\]"),
        (lambda: diversity_dial(measured(), position=6), "position: expected a whole number from 0 to 5, got 6"),
        (lambda: diversity_dial(measured(), position=0.3), "position: expected a whole number from 0 to 5, got 0.3"),
        (lambda: diversity_dial(measured(), steps=21), "steps: expected a whole number from 0 to 20, got 21"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_means_intervals_and_verdicts_are_those_of_the_package(show):
    result = diverged()
    with show(diversity_dial(result)) as shown:
        for position, steps in [(0, 0), (0, 20), (1, 1), (2, 3), (3, 5), (3, 6), (4, 10), (5, 20)]:
            shown.slide("position", position)
            shown.slide("steps", steps)
            assert_shown(shown, result, position=position, steps=steps)
        shown.click("relative")
        assert_shown(shown, result, position=5, steps=20, relative=True, tuned=True)
        assert ", each at its own best rate, " in said(shown)
        shown.click("tuned")
        assert_shown(shown, result, position=5, steps=20, relative=True, tuned=False)
        assert "own best rate" not in said(shown)
        assert "the lowest relative error" in said(shown)
        shown.click("relative")
        assert_shown(shown, result, position=5, steps=20, relative=False, tuned=False)
        hide(shown, "MAML", "Random start")
        values = assert_shown(shown, result)
        assert set(values["found"]) == {"joint", "fomaml", "reptile"}
        shown.click("reset")
        assert_shown(shown, result, position=2, steps=1, relative=False, tuned=True)


def test_the_stored_result_is_shown(show):
    need((RESULTS / "diversity.json").is_file(), "no stored result: python -m experiments.diversity --results results")
    result = recall("diversity")
    with show(diversity_dial()) as shown:
        for position in range(len(result["dial"])):
            for steps in (0, 1, 20):
                shown.slide("position", position)
                shown.slide("steps", steps)
                assert_shown(shown, result, position=position, steps=steps)


def test_the_text_names_the_best_by_how_much_and_whether_it_is_a_tie(show):
    clear = crafted({"maml": 4.0, "fomaml": 6.0, "joint": 12.0}, {"maml": 12.0, "fomaml": 6.0, "joint": 4.0})
    with show(diversity_dial(clear, position=0)) as shown:
        assert said(shown).startswith(
            "At “place 0”, after 1 test step, MAML has the lowest error, 4.00 ± 0.98. Next, FOMAML has 6.00 ± 0.98, "
            "50 % more; their intervals do not overlap.\n"
        )
        assert "Behind: joint training 12.0 ± 1.0." in said(shown)
        assert "the lead passes from MAML to joint training between “place 0” and “place 1”." in said(shown)
        shown.slide("steps", 0)
        assert said(shown).startswith("At “place 0”, before any test step, MAML has")
        hide(shown, "FOMAML")
        assert "Next, joint training has 12.0 ± 1.0, 3.0 times as much" in said(shown)
        hide(shown, "Joint training")
        assert said(shown) == "At “place 0”, before any test step, MAML has the error 4.00 ± 0.98."
        hide(shown, "MAML")
        assert said(shown).endswith("no algorithm that is shown has a mean to compare.")
    # The intervals of the first two touch from 1.96 on.
    tie = crafted({"maml": 4.0, "fomaml": 5.95, "reptile": 4.5, "joint": 5.97}, dict.fromkeys(SHAPES, 3.0))
    with show(diversity_dial(tie, position=0)) as shown:
        assert shown.ask("f.values.lead") == ["maml", "reptile", "fomaml"]
        assert (
            "MAML has the lowest error, 4.00 ± 0.98, but it is a tie: Reptile has 4.50 ± 0.98, 13 % more, and FOMAML "
            "has 5.95 ± 0.98, 49 % more; their intervals overlap its own."
        ) in said(shown)
        assert "MAML, Reptile and FOMAML are lowest or in a tie for it." in said(shown)


def test_a_run_that_diverged_takes_the_mean_away(show):
    result = diverged(start=6)
    with show(diversity_dial(result, position=3, steps=5)) as shown:
        assert "diverged" not in said(shown)
        shown.slide("steps", 6)
        assert "2 of 5 runs of Reptile diverged, so there is no mean to show." in said(shown)
        assert "reptile" not in assert_shown(shown, result)["order"]
        # In the plot over the dial the point is gone, and with it the lines to its neighbours.
        curve = shown.figure.locator(".mb-plot").first.locator(
            ".mb-layer-curves g", has=shown.page.locator("path.mb-curve")
        )
        reptile = curve.filter(has=shown.page.locator('path[stroke="var(--mb-reptile)"]'))
        assert reptile.locator("path.mb-curve").get_attribute("d").count("M") == 2
        assert reptile.locator("path.mb-marker:visible").count() == 5
    only = {**result, "runs": {"reptile": result["runs"]["reptile"]}}
    del only["tuned"]
    with show(diversity_dial(only, position=3, steps=20)) as shown:
        assert "no algorithm that is shown has a mean to compare" in said(shown)
        assert "2 of 5 runs of Reptile diverged" in said(shown)


# Leads along a dial, as means per position, and the passes that they make: from, to, after, before.
LEADS = {
    "nobody ever changes": ([(2, 9, 9)] * 3, [], ["maml"]),
    "at once": ([(2, 9, 20), (9, 2, 20)], [("maml", "fomaml", 0, 1)], ["fomaml"]),
    "through a tie": ([(2, 9, 20), (3, 3, 20), (9, 2, 20)], [("maml", "fomaml", 0, 2)], ["fomaml"]),
    "out of a tie": ([(3, 3, 20), (9, 2, 20), (9, 2, 20)], [], ["fomaml"]),
    "there and back": (
        [(2, 9, 9), (9, 2, 9), (2, 9, 9)],
        [("maml", "fomaml", 0, 1), ("fomaml", "maml", 1, 2)],
        ["maml"],
    ),
    "to two at once": ([(2, 9, 9), (9, 3, 3)], [("maml", "fomaml reptile", 0, 1)], ["fomaml", "reptile"]),
    "hand to hand": ([(3, 3, 9), (9, 3, 3), (9, 9, 2)], [("fomaml", "reptile", 0, 2)], ["reptile"]),
    "nothing to compare in between": ([(2, 9, 9), (None,) * 3, (9, 2, 9)], [("maml", "fomaml", 0, 2)], ["fomaml"]),
}


@pytest.mark.parametrize(("means", "passes", "held"), LEADS.values(), ids=LEADS)
def test_where_the_lead_passes_on(show, means, passes, held):
    names = ["maml", "fomaml", "reptile"]
    columns = [dict(zip(names, [math.nan if m is None else m for m in place], strict=True)) for place in means]
    result = crafted(*columns)
    with show(diversity_dial(result, position=0)) as shown:
        values = assert_shown(shown, {**result, "tuned": {}, "runs": {**dict.fromkeys(ROLES), **result["runs"]}})
        got = [(" ".join(p["from"]), " ".join(p["to"]), p["after"], p["before"]) for p in values["passes"]]
        assert (got, values["held"]) == (passes, held)
        for before, _, after, _ in passes:
            assert f"from {styling.NAMES[before]} to" in said(shown)
            assert f"between “place {after}” and" in said(shown)


def test_the_dial_follows_pointer_and_keyboard_to_measured_positions(show):
    result = measured()
    with show(diversity_dial(result)) as shown:
        plot = shown.figure.locator(".mb-plot svg").first.bounding_box()
        for dx in (60, 90, -340, 200, 33):  # never between two positions, wherever the finger is
            shown.drag(0, dx, 0)
            position = shown.ask("f.state.position")
            assert position in range(6)
            tick = (
                shown.figure.locator(".mb-plot").first.locator(".mb-layer-axes text[text-anchor=middle]").nth(position)
            )
            handle = re.search(r"[0-9.]+", shown.handle().get_attribute("transform"))[0]
            assert float(handle) == pytest.approx(float(tick.get_attribute("x")), abs=0.1)
            assert_shown(shown, result)
        shown.press(0, "Home")
        assert_shown(shown, result, position=0)
        shown.press(0, "ArrowRight", "ArrowUp", "ArrowRight", "ArrowLeft")
        assert_shown(shown, result, position=2)
        assert shown.handle().get_attribute("aria-valuetext") == "waves within 30\N{NO-BREAK SPACE}%"
        assert shown.handle().get_attribute("aria-label") == "Diversity"
        assert shown.handle().get_attribute("aria-valuenow") == "0.3"
        shown.press(0, "End", "ArrowRight")
        assert_shown(shown, result, position=5)
        shown.press(0, "PageDown")
        assert_shown(shown, result, position=0)
        shown.page.mouse.click(plot["x"] + plot["width"] * 0.63, plot["y"] + 60)
        assert_shown(shown, result, position=4)
        assert shown.figure.locator('input[data-name="position"]').input_value() == "4"
        assert shown.figure.locator('input[data-name="position"]').get_attribute("aria-valuetext") == "all waves"


def test_the_steps_follow_pointer_and_keyboard(show):
    result = measured()
    with show(diversity_dial(result)) as shown:
        shown.drag(1, 200, 0)
        moved = shown.ask("f.state.steps")
        assert moved in range(5, 9)
        assert_shown(shown, result)
        shown.press(1, "ArrowRight", "ArrowUp", "ArrowLeft", "Shift+ArrowRight")
        assert_shown(shown, result, steps=moved + 11, position=2)
        shown.press(1, "PageUp")
        assert_shown(shown, result, steps=20)
        assert shown.handle(1).get_attribute("aria-valuetext") == "20 test steps"
        shown.press(1, "Home")
        assert_shown(shown, result, steps=0)
        plot = shown.figure.locator(".mb-plot svg").nth(1).bounding_box()
        shown.page.mouse.click(plot["x"] + plot["width"] * 0.5, plot["y"] + 60)
        assert shown.ask("f.state.steps") in (9, 10)
        assert_shown(shown, result)


def test_what_is_drawn_is_what_was_measured(show):
    """Every marker stands at its mean on a log axis, and the ring around the lead at the lowest."""
    result = measured()
    with show(diversity_dial(result, steps=2)) as shown:
        ticks = shown.figure.locator(".mb-plot").first.locator(".mb-layer-axes line.mb-grid")
        ys = [float(ticks.nth(n).get_attribute("y1")) for n in range(ticks.count())]
        values = shown.ask("f.data.axes[0].ticks")
        slope, offset = np.polyfit(np.log(values), ys, 1)
        np.testing.assert_allclose(slope * np.log(values) + offset, ys, atol=0.01)
        state = shown.ask("f.state")
        place = "path => path.getAttribute('transform').match(/-?[0-9.]+/g).map(Number)"
        for role in ROLES.values():
            markers = shown.figure.locator(".mb-plot").first.locator(f'path.mb-marker[fill="var(--mb-{role})"]')
            for position in range(6):
                mean = by_package(result, state, position)["found"][role][0]
                assert markers.nth(position).evaluate(place)[1] == pytest.approx(slope * np.log(mean) + offset, abs=0.1)
        rings = shown.figure.locator(".mb-plot").first.locator(".mb-layer-marks rect")
        for position in range(6):
            here = by_package(result, state, position)
            bottom = slope * math.log(here["found"][here["lead"][0]][0]) + offset + 9
            ring = rings.nth(position)
            assert float(ring.get_attribute("y")) + float(ring.get_attribute("height")) == pytest.approx(
                bottom, abs=0.1
            )


# ---- manners ---------------------------------------------------------------------------------------------------------


def test_legend_hides_an_algorithm_in_both_plots(show):
    with show(diversity_dial(measured())) as shown:
        visible = shown.figure.locator('.mb-layer-curves > :not([style*="none"])')
        before = visible.count()
        hide(shown, "FOMAML")
        assert visible.count() == before - 4  # two curves and two bands
        assert shown.ask("f.state.shown.fomaml") is False
        hide(shown, "FOMAML", "Best single curve")
        assert visible.count() == before - 2


def test_a_switch_says_whether_it_is_on(show):
    with show(diversity_dial(measured())) as shown:
        button = shown.figure.locator('button[data-name="relative"]')
        assert button.get_attribute("aria-pressed") == "false"
        button.press("Enter")
        assert button.get_attribute("aria-pressed") == "true"
        assert "error ÷ mean square of y, after 1 test step" in shown.figure.locator(".mb-plot").first.inner_text()
