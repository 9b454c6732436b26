"""The book as an EPUB: three of its pages, bound."""

import posixpath
import zipfile
from urllib.parse import unquote
from xml.etree import ElementTree

import nbformat
import pytest

from tools.book import ROOT
from tools.epub import main, write

NAMES = ["book/objective/objective", "book/variants/reptile", "book/appendix/bibliography"]
XHTML = "{http://www.w3.org/1999/xhtml}"
OPF = "{http://www.idpf.org/2007/opf}"


@pytest.fixture(scope="module")
def bound(built, browser, tmp_path_factory):
    with zipfile.ZipFile(write(browser, NAMES, tmp_path_factory.mktemp("epub") / "book.epub", built)) as opened:
        yield opened


@pytest.fixture(scope="module")
def chapters(bound) -> dict[str, ElementTree.Element]:
    """Every page of the EPUB, parsed as the XML that it has to be."""
    return {name: ElementTree.fromstring(bound.read(name)) for name in bound.namelist() if name.endswith(".xhtml")}


def text(chapter) -> str:
    return " ".join("".join(chapter.itertext()).split())


def test_it_is_recognised_as_an_epub(bound):
    first = bound.infolist()[0]
    assert (first.filename, first.compress_type) == ("mimetype", zipfile.ZIP_STORED)
    assert bound.read("mimetype") == b"application/epub+zip"
    assert b'full-path="book/content.opf"' in bound.read("META-INF/container.xml")


def test_all_files_are_listed_and_all_that_is_listed_is_there(bound):
    package = ElementTree.fromstring(bound.read("book/content.opf"))
    items = {item.get("id"): item for item in package.iter(f"{OPF}item")}
    listed = {posixpath.join("book", item.get("href")) for item in items.values()}
    assert listed == {name for name in bound.namelist() if name.startswith("book/")} - {"book/content.opf"}
    read = [items[one.get("idref")].get("href") for one in package.iter(f"{OPF}itemref")]
    chapters = ["objective-objective.xhtml", "variants-reptile.xhtml", "appendix-bibliography.xhtml"]
    assert read == ["front.xhtml", "contents.xhtml", *chapters, "answers.xhtml"]
    (contents,) = (item for item in items.values() if item.get("properties") == "nav")
    assert contents.get("href") == "contents.xhtml"


def test_every_link_and_picture_leads_somewhere(bound, chapters):
    places = {name: {part.get("id") for part in chapter.iter()} - {None} for name, chapter in chapters.items()}
    inside, outside = 0, 0
    for name, chapter in chapters.items():
        ids = [part.get("id") for part in chapter.iter() if part.get("id")]
        assert len(ids) == len(set(ids)), name
        for part in chapter.iter():
            address = part.get("href") or part.get("src")
            if address is None:
                continue
            if address.startswith("http"):
                outside += 1
                continue
            file, _, place = address.partition("#")
            target = posixpath.join("book", file) if file else name
            assert target in bound.namelist(), address
            assert not place or unquote(place) in places[target], address
            inside += 1
    assert inside > 40
    assert outside > 20, "links to papers are kept"


def test_formulas_are_mathml(chapters):
    formulas = [part for part in chapters["book/objective-objective.xhtml"].iter() if part.tag.endswith("MathML}math")]
    assert len(formulas) > 20
    assert any(formula.get("display") == "block" for formula in formulas)
    assert "mjx" not in "".join(part.tag for chapter in chapters.values() for part in chapter.iter())


def test_nothing_waits_for_a_script(chapters):
    for name, chapter in chapters.items():
        found = {part.tag.removeprefix(XHTML) for part in chapter.iter()}
        assert not found & {"script", "style", "button", "input", "select", "details"}, name


def test_a_figure_that_moves_has_its_still_form(bound, chapters):
    page = nbformat.read(ROOT / f"{NAMES[0]}.ipynb", 4)
    shown = [out.data.get("text/html", "") for cell in page.cells for out in cell.get("outputs", []) if "data" in out]
    moving = sum("mamlbook-figure" in html for html in shown)
    assert moving
    figures = [f for f in chapters["book/objective-objective.xhtml"].iter(f"{XHTML}figure") if f.get("class")]
    stills = [f for f in figures if "mamlbook-figure" in f.get("class") and f.find(f".//{XHTML}img") is not None]
    assert len(stills) == moving
    for still in stills:
        picture = still.find(f".//{XHTML}img")
        assert picture.get("alt")
        assert bound.read(f"book/{picture.get('src')}").startswith(b"<svg")


def test_answers_stand_at_the_end_with_the_code_of_solutions(chapters):
    answers = text(chapters["book/answers.xhtml"])
    for name, file in zip(NAMES[:2], ("objective-objective", "variants-reptile"), strict=True):
        page = nbformat.read(ROOT / f"{name}.ipynb", 4)
        folded = [cell.source for cell in page.cells if "hide-cell" in cell.metadata.get("tags", [])]
        here = text(chapters[f"book/{file}.xhtml"])
        assert folded
        for solution in folded:
            first = " ".join(solution.strip().splitlines()[1].split())
            assert first in answers
            assert first not in here
        marks = [a for a in chapters[f"book/{file}.xhtml"].iter(f"{XHTML}a") if a.get("href", "").startswith("answers")]
        assert len(marks) > len(folded), "of questions as well"


def test_a_page_that_is_none_is_refused():
    with pytest.raises(SystemExit, match=r"--pages: expected some of .*, got book/nowhere"):
        main(["--pages", "nowhere"])
