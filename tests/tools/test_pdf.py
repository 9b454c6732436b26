"""The book on paper: two of its pages, bound."""

import re

import nbformat
import pytest
from pypdf import PdfReader

from tools.book import ROOT
from tools.pdf import main, write

NAMES = ["book/variants/reptile", "book/appendix/bibliography"]


@pytest.fixture(scope="module")
def printed(built, browser, tmp_path_factory) -> PdfReader:
    return PdfReader(write(browser, NAMES, tmp_path_factory.mktemp("pdf") / "book.pdf", built))


@pytest.fixture(scope="module")
def text(printed) -> list[str]:
    return [sheet.extract_text() for sheet in printed.pages]


def links(printed):
    for sheet in printed.pages:
        for reference in sheet.get("/Annots", []):
            yield reference.get_object()


def test_the_outline_has_every_page_and_its_sections(printed):
    titles = [entry.title for entry in printed.outline if not isinstance(entry, list)]
    assert titles == ["1  Reptile", "2  Bibliography", "Answers"]
    sections = str([entry for entry in printed.outline if isinstance(entry, list)])
    assert "By hand" in sections


def test_sheets_are_numbered_as_the_contents_say(printed, text):
    starts = [printed.get_destination_page_number(e) + 1 for e in printed.outline if not isinstance(e, list)]
    contents = "\n".join(text[: starts[0] - 1])
    assert re.search(rf"Reptile\s*{starts[0]}\b", contents)
    assert re.search(rf"Bibliography\s*{starts[1]}\b", contents)
    for number, sheet in enumerate(text, 1):
        if number >= starts[0]:
            assert re.search(rf"(^|\n)\s*{number}\s*($|\n)", sheet), number


def test_sheets_are_packed(printed):
    packed = [sheet["/Contents"].get_object().get("/Filter") for sheet in printed.pages]
    assert set(packed) == {"/FlateDecode"}


def test_no_link_leads_to_a_file(printed):
    addresses = [link["/A"]["/URI"] for link in links(printed) if "/URI" in link.get("/A", {})]
    assert addresses, "links to papers are kept"
    assert all(address.startswith("http") for address in addresses)
    assert sum("/Dest" in link for link in links(printed)) >= len(NAMES), "the contents lead to the pages"


def test_answers_stand_at_the_end(text):
    whole = "\n".join(text)
    marks = re.findall(r"\(Answer (1\.\d+) at the end\)", whole)
    assert len(marks) > 3
    end = whole[whole.rindex("Answers\n") :]
    for mark in marks:
        assert re.search(rf"(^|\n)\s*{re.escape(mark)}\b", end), mark
    assert "Show the solution" not in whole
    cells = nbformat.read(ROOT / f"{NAMES[0]}.ipynb", 4).cells
    solutions = [cell.source for cell in cells if "hide-cell" in cell.metadata.get("tags", [])]
    assert solutions
    for solution in solutions:
        assert solution.strip().splitlines()[1] in end, "the code of a solution"


def test_a_figure_that_moves_is_still_on_paper(text):
    assert "Reset" not in "\n".join(text), "buttons that nobody can press"


def test_a_page_that_is_none_is_refused():
    with pytest.raises(SystemExit, match=r"--pages: expected some of .*, got book/nowhere"):
        main(["--pages", "nowhere"])
