"""Say on the first page how long each chapter is, as the chapter itself says it.

A table whose first column is called ``Chapter`` becomes a card for each row, with the time to read the page that the
row links to and the number of its code cells. The time is the one in the box at the head of that page. A point of a
list that begins with bold words and links to several pages is a path, and ends with the time that they take together.
"""

import json
import re
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

COLUMN = "Chapter"
# The times to read that the pages name.
MINUTES = {
    "fifteen minutes": 15,
    "twenty minutes": 20,
    "twenty-five minutes": 25,
    "thirty minutes": 30,
    "half an hour": 30,
    "forty minutes": 40,
}
TIME = re.compile(rf"\*\*Time\*\* ({'|'.join(MINUTES)}) to read")


class Length(NamedTuple):
    """The minutes that a page, or several, takes to read, and the code cells."""

    minutes: int = 0
    cells: int = 0

    def __add__(self, other):
        """Give the length of both together."""
        return Length(self.minutes + other.minutes, self.cells + other.cells)

    def __str__(self) -> str:
        """Say both."""
        hours, minutes = divmod(self.minutes, 60)
        time = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
        return f"{' '.join(time)} to read, {self.cells} code cells"


def length(path: Path) -> Length:
    """Read from a notebook how long it takes, and count its code cells."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    prose = " ".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    time = TIME.search(prose)
    if time is None:
        raise ValueError(
            f"{path.name}: expected **Time** in the box at its head, and one of {', '.join(MINUTES)} to read"
        )
    return Length(MINUTES[time[1]], sum(cell["cell_type"] == "code" for cell in cells))


class Chapters(SphinxTransform):
    """A table of chapters becomes cards, and a path says how long it is."""

    default_priority = 210  # after plain_pages

    def apply(self, **kwargs):
        """Replace the tables, say the length of all of them under the last, and complete the paths."""
        tables = [table for table in self.document.findall(nodes.table) if self.heads(table)[:1] == [COLUMN]]
        everything, card = Length(), None
        for table in tables:
            cards = nodes.container("", classes=["chapters"])
            for row in next(table.findall(nodes.tbody)).children:
                own = self.lengths(row)
                everything += own
                cards += self.card(row, own)
            table.replace_self(cards)
            card = cards
        if card is not None:
            total = nodes.paragraph("", f"All chapters: {everything}.", classes=["chapters-total"])
            card.parent.insert(card.parent.index(card) + 1, total)
        for item in list(self.document.findall(nodes.list_item)) if tables else []:
            lead = next((node for node in item[0].children if node.astext()), None)
            if isinstance(lead, nodes.strong) and len(self.pages(item[0])) > 1:
                item[0] += nodes.inline("", f" {self.lengths(item[0])}.", classes=["path-time"])

    @staticmethod
    def heads(table) -> list[str]:
        """List the words at the head of a table."""
        return [entry.astext() for head in table.findall(nodes.thead) for entry in head.findall(nodes.entry)]

    @staticmethod
    def pages(node) -> list[str]:
        """List the pages that a node links to, without their suffix."""
        links = node.findall(addnodes.pending_xref)
        return [link["reftarget"] for link in links if link.get("refdomain") == "doc"]

    def lengths(self, node) -> Length:
        """Add up the pages that a node links to; the page is built again when one of them changes."""
        found = Length()
        for name in self.pages(node):
            path = Path(self.env.doc2path(name))
            self.env.note_dependency(str(path))
            if path.suffix == ".ipynb":
                found += length(path)
        return found

    @staticmethod
    def card(row, own):
        """Make the card of one row: the link, what the chapter answers, how long it is."""
        lines = [nodes.paragraph("", "", *entry[0].children) for entry in row.children]
        lines[0]["classes"].append("chapter-name")
        return nodes.container("", *lines, nodes.paragraph("", f"{own}", classes=["chapter-time"]), classes=["chapter"])


def setup(app):
    """Add the transform."""
    app.add_transform(Chapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
