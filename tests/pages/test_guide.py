"""The guide, the sections it points to and the quiz of the map: nothing leads nowhere, and no row is forgotten."""

import re

import pytest

from book_sections import missing, prose
from mamlbook.algorithms import ALGORITHMS
from mamlbook.pages.guide import FIRST, GUIDE, End, Question
from mamlbook.pages.quiz import STATEMENTS
from mamlbook.pages.sections import ALSO_CALLED, APART, NAMES, PLACES, SECTIONS, Section

QUESTIONS_ON_THE_WAY, SUGGESTIONS = 6, 6
KNOWN = {**SECTIONS, **PLACES}


def ways(name: str = FIRST, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every way through the questions, as the names of what is passed."""
    assert name not in before, f"{name} leads back to itself"
    node, here = GUIDE[name], (*before, name)
    return [here] if isinstance(node, End) else [way for to in node.answers.values() for way in ways(to, here)]


def ends() -> dict[str, End]:
    return {name: node for name, node in GUIDE.items() if isinstance(node, End)}


@pytest.mark.parametrize("name", KNOWN)
def test_every_section_exists(name):
    assert not missing(KNOWN[name])


def test_a_section_that_is_missing_is_found():
    assert missing(Section("objective/objective", "Nowhere"))
    assert missing(Section("objective/nowhere", "By hand"))


def test_every_row_has_a_section():
    assert list(SECTIONS) == list(ALGORITHMS)


# How a page calls a row that bears no other of its names there.
OWN_WORDS = {
    "maml": "by hand",  # the page is about MAML as a whole
    "meta-rkhs-2": "Meta-RKHS-II",
    "multi-step-loss": "a loss at every step",
    "annealed": "first order first",
    "softmax-weights": "softmax",
    "learned-weights": "learned noise levels",
    "amfs-weights": "agreement",
    "local-moml": "LocalMOML",
    "sgld-score": "by the score",
}


def names_of(row: str) -> set[str]:
    names = (row, *ALSO_CALLED.get(row, ()), *([OWN_WORDS[row]] if row in OWN_WORDS else []))
    return {spoken(name) for name in names}


def spoken(text: str) -> str:
    """In small letters, and without hyphens and marks of Markdown."""
    return " ".join(re.sub(r"[-_*`]", " ", text).lower().split())


@pytest.mark.parametrize("name", SECTIONS)
def test_the_section_of_a_row_names_it(name):
    said = spoken(f"{SECTIONS[name].heading} {prose(SECTIONS[name])}")
    assert any(re.search(rf"(?<!\w){re.escape(one)}(?!\w)", said) for one in names_of(name)), SECTIONS[name]


def test_a_section_that_does_not_name_a_row_is_found():
    other = Section("variants/closed-form", "Steps of exactly the right length")
    assert "fiml" not in spoken(prose(other))
    assert "line search" in spoken(prose(other))


def test_pretraining_leads_to_the_pretrained_backbone():
    assert NAMES["pretraining"].page == "practice/baselines"


def test_every_row_is_reached_or_set_apart_with_a_reason():
    reached = {row for end in ends().values() for row in end.rows}
    assert reached | set(APART) == set(ALGORITHMS)
    assert not reached & set(APART)
    assert all(APART.values())


def test_every_question_and_end_is_reached_by_few_questions():
    assert {name for way in ways() for name in way} == set(GUIDE)
    assert max(map(len, ways())) - 1 <= QUESTIONS_ON_THE_WAY


def test_every_end_suggests_a_few_things_that_exist_each_with_a_reason():
    for name, end in ends().items():
        assert 1 <= len(end.rows) + len(end.places) <= SUGGESTIONS, name
        assert set(end.rows) <= set(ALGORITHMS), name
        assert set(end.places) <= set(PLACES), name
        assert all(why.endswith(".") for why in [end.words, *end.rows.values(), *end.places.values()]), name


def test_every_question_has_different_answers():
    for node in GUIDE.values():
        if isinstance(node, Question):
            assert node.words.endswith("?")
            assert len(node.answers) > 1


def test_no_place_is_idle():
    used = {place for end in ends().values() for place in end.places} | {one.place for one in STATEMENTS}
    assert used == set(PLACES)


def test_the_quiz_is_balanced():
    right = sum(one.right for one in STATEMENTS)
    assert abs(2 * right - len(STATEMENTS)) <= 1
    assert len({one.words for one in STATEMENTS}) == len(STATEMENTS)
    assert all(one.place in PLACES for one in STATEMENTS)


def test_an_address_is_relative_and_has_the_anchor_of_jupyter():
    section = Section("variants/first-order", "Exactly, on bowls")
    assert section.address("practice") == "../variants/first-order.ipynb#Exactly,-on-bowls"
    assert section.address("variants") == "first-order.ipynb#Exactly,-on-bowls"
