"""Print the built book into one PDF: contents, chapters with links and an outline, and all answers at the end.

python -m tools.pdf                            the whole book, to _build/model-agnostic-meta-learning.pdf
python -m tools.pdf --pages variants/reptile   some of its pages
"""

import io
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import yaml
from pypdf import PdfReader, PdfWriter
from pypdf.annotations import Link
from pypdf.generic import Fit, NameObject, TextStringObject
from tqdm import tqdm

from tools.book import ROOT
from tools.print_form import BUILD, HTML, PrintForm, command

TARGET = BUILD / "model-agnostic-meta-learning.pdf"
PAPER = {
    "format": "A4",
    "margin": {"top": "18mm", "bottom": "20mm", "left": "19mm", "right": "19mm"},
    "print_background": True,
}

FRONT = """<h1 style="margin-top: 7cm; font-size: 2.6rem">{title}</h1>
<p style="font-size: 1.2rem">{author}, {year}</p>
<div style="break-before: page"><h2>Contents</h2>{contents}</div>"""

NUMBERS = """<!doctype html><meta charset="utf-8"><style>
    @page {{ size: A4; margin: 0 }}
    body {{ margin: 0; font: 9pt sans-serif; color: #555 }}
    div {{ height: 297mm; position: relative; break-after: page }}
    span {{ position: absolute; bottom: 9mm; width: 100%; text-align: center }}
</style>{sheets}"""


class Chapter(NamedTuple):
    """A page of the book in print: its name, its title, its sheets, and what its answers say."""

    name: str
    title: str
    sheets: PdfReader
    answers: list[tuple[str, str]]


class Printer(PrintForm):
    """A browser that prints pages of the book."""

    def chapter(self, name: str, number: int) -> Chapter:
        """Print one page without its answers."""
        self.open(name)
        answers = self.take_answers(number)
        return Chapter(name, self.title(), self._print(), answers)

    def written(self, like: str, body: str) -> PdfReader:
        """Print HTML of our own in the dress of a page."""
        self.open(like)
        put = (
            "body => { document.querySelector('article').innerHTML = body; return window.MathJax?.typesetPromise?.() }"
        )
        self.page.evaluate(put, body)
        return self._print()

    def numbers(self, first: int, last: int) -> PdfReader:
        """Print sheets that have nothing but their number."""
        sheets = "".join(f"<div><span>{number}</span></div>" for number in range(first, last + 1))
        self.page.set_content(NUMBERS.format(sheets=sheets))
        return self._sheets(self.page.pdf(prefer_css_page_size=True))

    def _print(self) -> PdfReader:
        return self._sheets(self.page.pdf(outline=True, tagged=True, **PAPER))

    @staticmethod
    def _sheets(printed: bytes) -> PdfReader:
        return PdfReader(io.BytesIO(printed))


def answers_of(chapters: list[Chapter]) -> str:
    """Write all answers, page by page, under the numbers that they left behind."""
    parts = ["<h1>Answers</h1>"]
    for number, chapter in enumerate(chapters, 1):
        if chapter.answers:
            parts.append(f"<h2>{number}  {escape(chapter.title)}</h2>")
        for place, (question, text) in enumerate(chapter.answers, 1):
            parts.append(f"<p><strong>{number}.{place}</strong>  {escape(question)}</p><div>{text}</div>")
    return "\n".join(parts)


def contents_of(chapters: list[Chapter], starts: list[int], html: Path = HTML) -> str:
    """Write the list of chapters with the sheets they begin on."""
    line = (
        '<tr><td>{number}</td><td><a href="{address}">{title}</a></td><td style="text-align: right">{start}</td></tr>'
    )
    rows = [
        line.format(number=number, address=(html / f"{each.name}.html").as_uri(), title=escape(each.title), start=start)
        for number, (each, start) in enumerate(zip(chapters, starts, strict=True), 1)
    ]
    return f"<table>{''.join(rows)}</table>"


def bound(front: PdfReader, chapters: list[Chapter], answers: PdfReader, numbers: PdfReader, html: Path) -> PdfWriter:
    """Put all sheets into one file: outline, numbers, and links that stay inside it."""
    writer, firsts = PdfWriter(), {}
    writer.append(front, import_outline=False)
    for number, chapter in enumerate(chapters, 1):
        firsts[(html / f"{chapter.name}.html").as_uri()] = len(writer.pages)
        writer.append(chapter.sheets, outline_item=f"{number}  {chapter.title}", import_outline=True)
    writer.append(answers, outline_item="Answers", import_outline=False)
    for sheet, number in zip(writer.pages[len(front.pages) :], numbers.pages, strict=True):
        sheet.merge_page(number)
    for sheet in writer.pages:
        sheet.compress_content_streams()  # merging has unpacked them
        turn_links(writer, sheet, firsts)
    return writer


def turn_links(writer: PdfWriter, sheet, firsts: dict[str, int]) -> None:
    """Have links to files of the book lead to their first sheet, and drop those to files that are not printed."""
    kept = sheet.get("/Annots", [])
    turned = []
    for reference in list(kept):
        link = reference.get_object()
        address = link.get("/A", {}).get("/URI", "")
        place = unquote(urlsplit(address)._replace(fragment="", query="").geturl()) if address else ""
        if place in firsts:
            turned.append(Link(rect=link["/Rect"], target_page_index=firsts[place], fit=Fit.fit()))
        if place.startswith("file:"):
            kept.remove(reference)
    number = sheet.page_number
    for link in turned:
        writer.add_annotation(number, link)


def write(browser, names: list[str], target: Path = TARGET, html: Path = HTML) -> Path:
    """Print these pages of the built book."""
    config, printer = yaml.safe_load((ROOT / "_config.yml").read_text()), Printer(browser, html)
    chapters = [printer.chapter(name, number) for number, name in enumerate(tqdm(names, "printing", unit="page"), 1)]

    def front(starts: list[int]) -> PdfReader:
        words = {"title": config["title"], "author": config["author"], "year": config["copyright"]}
        return printer.written(names[0], FRONT.format(contents=contents_of(chapters, starts, html), **words))

    before = 1 + len(front([0] * len(chapters)).pages)
    counts = [len(chapter.sheets.pages) for chapter in chapters]
    starts = [before + sum(counts[:place]) for place in range(len(chapters))]
    answers = printer.written(names[0], answers_of(chapters))
    last = before + sum(counts) + len(answers.pages) - 1
    writer = bound(front(starts), chapters, answers, printer.numbers(before, last), html)
    writer.add_metadata({"/Title": config["title"], "/Author": config["author"]})
    writer.page_mode = "/UseOutlines"
    writer.root_object[NameObject("/Lang")] = TextStringObject("en")
    writer.compress_identical_objects()
    target.parent.mkdir(parents=True, exist_ok=True)
    writer.write(target)
    return target


def main(words: list[str] | None = None) -> None:
    """Print the whole book, or the pages named."""
    command("tools.pdf", __doc__.splitlines()[0], TARGET, write, words)


if __name__ == "__main__":
    main()
