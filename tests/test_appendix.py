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


def test_there_are_twenty_eight_questions_and_each_is_answered_in_a_few_sentences():
    found = questions()
    assert len(found) == 28
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


def shown_in(path: Path, anchor: str) -> list[float]:
    """List the numbers in the text and in the outputs of a section of a notebook, without their signs."""
    texts, section = [], None
    for cell in load(path).cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                heading = re.fullmatch(r"#{1,6} +(.*?) *", line)
                section = heading[1].replace("`", "").replace(" ", "-") if heading else section
                texts += [line] if section == anchor else []
        elif section == anchor:
            outputs = [output.get("text") or output.get("data", {}) for output in cell.outputs]
            texts += [out if isinstance(out, str) else " ".join(map(str, out.values())) for out in outputs]
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", " ".join(texts))]


def measured_in(answer: str) -> list[str]:
    """List the numbers of an answer that somebody measured: those with a decimal point, and percentages."""
    text = re.sub(r"\]\([^)]*\)|\$[^$]*\$", " ", answer)
    return re.findall(r"\d+\.\d+|\d+(?= %)", text)


@pytest.mark.parametrize(("question", "answer"), questions().items(), ids=range(len(questions())))
def test_a_number_of_an_answer_is_shown_where_a_link_leads(question, answer):
    targets = [target.partition("#") for _, target in LINK.findall(answer)]
    found = [number for page, _, section in targets for number in shown_in((APPENDIX / page).resolve(), section)]
    for number in measured_in(answer):
        digits = len(number.partition(".")[2])
        assert float(number) in {round(n * scale, digits) for n in found for scale in (1, 100)}, f"{question} {number}"


def test_a_number_that_is_shown_elsewhere_is_found_out():
    """The accuracies of batch norm are not where its choices are listed."""
    page = ROOT / "book/variants/batch-norm.ipynb"
    assert 0.714 in shown_in(page, "The-choices,-measured")
    assert 0.71 not in {round(n, 2) for n in shown_in(page, "The-choices")}
    assert measured_in("[Two](page.ipynb#1.5) of 25 cost 16.5 ± 2.6 points, or 71 %, at $0.1$") == ["16.5", "2.6", "71"]


def test_a_section_without_code_is_told_from_one_with_code():
    page = ROOT / "book/objective/objective.ipynb"
    assert "By-hand" in sections_with_code(page)
    assert "Further-reading" in headings(page) - sections_with_code(page)
