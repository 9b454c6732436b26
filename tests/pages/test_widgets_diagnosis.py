"""The doctor's figure: its verdicts, its curves, its controls by pointer and keyboard."""

import copy

import pytest

from figure_data import failures
from mamlbook.pages.figures import failure_diagnosis
from mamlbook.pages.figures.widgets.diagnosis import HEALTHY, TEXTS
from shown import Shown, payload

NAMES = list(TEXTS)


def guess(shown: Shown, name: str):
    shown.figure.locator(".mb-buttons button", has_text=name).click()


def heights(shown: Shown, plot: int, role: str) -> list[float]:
    """The pixels of a curve from the left to the right."""
    path = shown.figure.locator(".mb-plot").nth(plot).locator(f'path.mb-curve[stroke="var(--mb-{role})"]')
    pairs = path.get_attribute("d").replace("M", " ").replace("L", " ").split()
    return [float(y) for y in pairs[1::2]]


# ---- Python alone ----------------------------------------------------------------------------------------------------


def test_it_carries_what_was_measured():
    one = failure_diagnosis(failures())
    assert one.html != failure_diagnosis(failures(), seed=1).html
    data = payload(one.html)
    assert [case["name"] for case in data["cases"]] == NAMES
    assert data["names"] == sorted(NAMES) != NAMES  # the buttons do not give the order away
    assert data["healthy"]["error"] == failures()["cases"][HEALTHY]["error"][0]
    assert (
        payload(failure_diagnosis(failures(), seed=1).html)["cases"][2]["loss"]
        == failures()["cases"][NAMES[2]]["loss"][1]
    )


def test_cases_without_words_are_refused():
    measured = copy.deepcopy(failures())
    measured["cases"]["a new mistake"] = measured["cases"].pop(NAMES[1])
    with pytest.raises(ValueError, match=r"measured: expected the cases .* got .*a new mistake"):
        failure_diagnosis(measured)


@pytest.mark.parametrize("seed", [-1, 2])
def test_a_seed_that_was_not_run_is_refused(seed):
    with pytest.raises(ValueError, match=f"seed: expected 0 to 1, got {seed}"):
        failure_diagnosis(failures(), seed)


# ---- in the browser --------------------------------------------------------------------------------------------------


def test_every_diagnosis_of_every_training_is_judged(show):
    with show(failure_diagnosis(failures())) as shown:
        for patient, truth in enumerate(NAMES):
            for name in [*NAMES, None]:
                state = f"{{patient: {patient}, guess: {'null' if name is None else repr(name)}}}"
                found = shown.ask(f"window.mamlbook.diagnosis.compute(f.data.cases, {state})")
                assert found["name"] == truth
                assert found["right"] == (None if name is None else name == truth)
                symptom, cause, cure = TEXTS[truth if name is None else name]
                expected = {True: f"{cause} Cure: {cure}", False: f"It would look different: {symptom}", None: None}
                assert found["answer"] == expected[found["right"]]


def test_a_wrong_guess_and_a_right_one(show):
    with show(failure_diagnosis(failures())) as shown:
        assert "Training 1 of 8. One thing is wrong with it. Which?" in shown.said()
        guess(shown, NAMES[3])
        assert f"No: {NAMES[3]}. It would look different: almost nothing" in shown.said()
        guess(shown, NAMES[0])
        assert f"Yes: {NAMES[0]}. {TEXTS[NAMES[0]][1]} Cure: " in shown.said()
        pressed = shown.figure.locator('.mb-buttons button[aria-pressed="true"]')
        assert pressed.all_inner_texts() == [NAMES[0]]
        assert shown.ask("f.values.right")


def test_errors_above_the_picture_are_said(show):
    measured = failures()
    measured["cases"][NAMES[1]]["error"][0][:] = [101.0, 1e9, *[None] * 11]
    with show(failure_diagnosis(measured)) as shown:
        assert "above the picture" not in shown.said()
        shown.slide("patient", 2)
        assert "Training 2 of 8. Its error on new tasks lies above the picture. One thing" in shown.said()
        assert shown.ask("f.values.above")


def test_next_tell_me_and_the_slider(show):
    with show(failure_diagnosis(failures())) as shown:
        for number in (2, 3):
            shown.click("next")
            assert f"Training {number} of 8. One thing" in shown.said()
        shown.click("tell")
        assert f"Yes: {NAMES[2]}" in shown.said()
        shown.slide("patient", 8)
        assert shown.ask("f.state") == {"patient": 7, "guess": None}
        slider = shown.figure.locator('input[data-name="patient"]')
        slider.press("ArrowLeft")
        assert shown.ask("f.state.patient") == 6
        shown.slide("patient", 8)
        shown.click("next")
        assert shown.ask("f.state.patient") == 0
        assert slider.input_value() == "1"


def test_curves_are_the_numbers_on_a_logarithmic_axis(show):
    measured = failures()
    with show(failure_diagnosis(measured)) as shown:
        assert len(heights(shown, 0, "maml")) == 20  # then there are no numbers
        assert len(heights(shown, 0, "second")) == 80
        shown.slide("patient", 3)
        healthy, ill = heights(shown, 1, "second"), heights(shown, 1, "maml")
        # Every error of the case is the same multiple of the healthy one: on a logarithmic axis the same distance.
        away = [a - b for a, b in zip(healthy, ill, strict=True)]
        assert max(away) - min(away) <= 0.11
        assert min(away) > 10
        shown.figure.locator(".mb-legend button", has_text="healthy").click()
        assert not shown.figure.locator('path.mb-curve[stroke="var(--mb-second)"]').first.is_visible()
