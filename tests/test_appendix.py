"""The pages of the appendix: every question is answered by a section with code, and every term leads to its page."""

import re
from pathlib import Path

import pytest

from test_plain_pages import LINK, dead, headings
from tools.book import ROOT
from tools.notebooks import load

APPENDIX = ROOT / "book/appendix"
QUESTIONS = APPENDIX / "questions.md"


def questions() -> dict[str, str]:
    """Give the answer of each question."""
    parts = re.split(r"^### (.*)$", QUESTIONS.read_text(), flags=re.MULTILINE)[1:]
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {question: answer.split("\n## ")[0].strip() for question, answer in pairs}


def sections_with_code(path: Path) -> set[str]:
    """List the anchors of the sections of a notebook in which a code cell runs."""
    found, section = set(), None
    for cell in load(path).cells:
        if cell.cell_type == "markdown":
            for line in re.findall(r"^#{1,6} +(.*?) *$", cell.source, re.MULTILINE):
                section = line.replace("`", "").replace(" ", "-")
        elif cell.outputs:
            found.add(section)
    return found


@pytest.mark.parametrize("path", sorted(APPENDIX.glob("*.md")), ids=lambda path: path.stem)
def test_every_link_of_a_page_in_markdown_leads_somewhere(path):
    source = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert not dead(path, source)


def test_there_are_twenty_five_questions_and_each_is_answered_in_a_few_sentences():
    found = questions()
    assert len(found) == 25
    assert all(question.endswith("?") for question in found)
    for question, answer in found.items():
        sentences = re.findall(r"[.?!:](?=\s|$)", re.sub(r"`[^`]*`", "code", answer))
        assert 2 <= len(sentences) <= 6, question


@pytest.mark.parametrize(("question", "answer"), questions().items(), ids=range(len(questions())))
def test_a_cell_of_the_linked_section_decides(question, answer):
    targets = [target for _, target in LINK.findall(answer)]
    assert targets, question
    for target in targets:
        page, _, section = target.partition("#")
        assert section in headings((APPENDIX / page).resolve()), target
        assert section in sections_with_code((APPENDIX / page).resolve()), target


def test_a_section_without_code_is_told_from_one_with_code():
    page = ROOT / "book/objective/objective.ipynb"
    assert "By-hand" in sections_with_code(page)
    assert "Further-reading" in headings(page) - sections_with_code(page)
