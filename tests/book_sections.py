"""Which sections the book has."""

import re

import nbformat

from mamlbook.pages.sections import Section
from tools.book import ROOT, pages


def headings(page: str) -> list[str]:
    cells = nbformat.read(ROOT / "book" / f"{page}.ipynb", as_version=4).cells
    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.findall(r"^#{2,4} +(.*?) *$", prose, re.MULTILINE)


def missing(section: Section) -> bool:
    """Whether a section is on no page of the table of contents."""
    return f"book/{section.page}" not in pages() or section.heading not in headings(section.page)


def prose(section: Section) -> str:
    """What a section says, code included, up to the next heading of its level or a higher one."""
    cells = nbformat.read(ROOT / "book" / f"{section.page}.ipynb", as_version=4).cells
    text = "\n\n".join(cell.source for cell in cells)
    heading = rf"^(#{{2,4}}) +{re.escape(section.heading)} *\n(.*)"
    level, after = re.search(heading, text, re.MULTILINE | re.DOTALL).groups()
    return re.split(rf"^#{{2,{len(level)}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]
