"""The doctor: every symptom is reached, explained by a section that exists, and shown where Python says."""

import pytest

from book_sections import missing
from mamlbook.pages.doctor import FIRST, QUESTIONS, SYMPTOMS, symptom_table
from mamlbook.pages.figures import run_doctor
from shown import payload


def ways(name=FIRST, places=()):
    """Every way through the questions: the places of its answers, and the name of the symptom at its end."""
    if name in SYMPTOMS:
        return {places: name}
    found = {}
    for place, to in enumerate(QUESTIONS[name].answers.values()):
        found |= ways(to, (*places, place))
    return found


@pytest.mark.parametrize("name", SYMPTOMS)
def test_every_section_exists(name):
    assert not missing(SYMPTOMS[name].section)


def test_each_of_twelve_symptoms_is_reached_once_by_two_answers():
    assert len(SYMPTOMS) == 12
    assert sorted(ways().values()) == sorted(SYMPTOMS)
    assert {len(places) for places in ways()} == {2}


def test_every_text_is_a_sentence():
    for one in SYMPTOMS.values():
        assert all(text.endswith(".") for text in (one.sign, one.cause, one.cure))
    assert all(one.words.endswith("?") for one in QUESTIONS.values())


def test_the_still_form_has_every_answer_cause_cure_and_link():
    still = run_doctor().html.split('class="mb-fallback mb-words">')[1].split("<figcaption")[0]
    for one in SYMPTOMS.values():
        assert all(text in still for text in (one.cause, one.cure, f'href="{one.section.address("practice")}"'))
    assert all(answer in still for one in QUESTIONS.values() for answer in one.answers)


def test_every_way_ends_at_its_cause_and_its_cure(show):
    with show(run_doctor()) as shown:
        for places, name in ways().items():
            for place in places:
                shown.click(f"answer{place}")
            one = SYMPTOMS[name]
            assert shown.figure.locator(".mb-question").inner_text() == one.cause
            found = shown.figure.locator(".mb-found li")
            assert found.all_inner_texts() == [f"{one.words}: {one.cure}"]
            assert found.locator("a").get_attribute("href") == one.section.address("practice")
            shown.click("again")
        assert shown.figure.locator(".mb-question").inner_text() == QUESTIONS[FIRST].words


def test_the_address_is_that_of_the_page_it_stands_on():
    links = [node["links"][0][1] for node in payload(run_doctor("variants").html)["nodes"].values() if "links" in node]
    assert "stability.ipynb#A-gallery-of-failures" in links
    assert "../practice/limits.ipynb#Unlike-tasks,-measured" in links


def test_the_table_has_every_symptom_with_its_link():
    rows = symptom_table().data.split("<tr>")[2:]
    assert len(rows) == len(SYMPTOMS)
    for row, one in zip(rows, SYMPTOMS.values(), strict=True):
        assert all(text in row for text in (one.sign, one.cause, one.cure))
        assert f'<a href="{one.section.address("practice")}">{one.words}</a>' in row
