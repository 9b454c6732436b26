"""What a narrow screen needs of a page: columns under their heads, numbers that are not torn, long tables as cards.

A stream is what a cell has printed. Its sentences may be broken where the screen ends, its columns may not, so each
becomes a block of its own. A table of sentences carries in each cell the head of the column, which is shown where the
rows stand under one another.
"""

import re
from itertools import groupby

from docutils import nodes
from sphinx.transforms import SphinxTransform

SAID = ("✓ ", "✗ ", "… ")  # how a line begins that `check` or `attempt` has printed
COLUMNS = re.compile(r"^ |\S {2,}\S", re.MULTILINE)
HEADED = "column-name"  # the class of a head inside a cell
SENTENCE = 48  # letters; a cell with more is read, not looked up
EXPONENT = re.compile(r"(?<=\de)-(?=\d)")  # a screen would break the line there
# A space that would tear a number from its unit or from its interval.
TORN = re.compile(r"(?<=\d) (?=%|±)|(?<=±) (?=[\d.−-])")
NOT_TORN = "\N{NO-BREAK SPACE}"
PRINTED_TABLE = '<table class="table">'
OPENS, CLOSES = re.compile(r"[(\[“‘]+$"), re.compile(r"^[.,;:!?)\]”’]+")
UNBROKEN = "unbroken"
CARDS = re.compile(r'<table class="cards[ "].*?</table>', re.DOTALL)
PARTS = re.compile(r"<(table|thead|tbody|tr|th|td)(?=[ >])")
ROLES = {"thead": "rowgroup", "tbody": "rowgroup", "tr": "row", "th": "columnheader", "td": "cell", "table": "table"}


def parts(text: str) -> list[tuple[str, bool]]:
    """Split what was printed into blocks, and say of each whether it has columns."""
    blocks = [list(lines) for _, lines in groupby(text.split("\n"), lambda line: line.startswith(SAID))]
    return [("\n".join(block), bool(COLUMNS.search("\n".join(block)))) for block in blocks]


class Streams(SphinxTransform):
    """Columns that a cell has printed scroll as a whole; its sentences are broken."""

    default_priority = 220

    def apply(self, **kwargs):
        """Replace each stream by its parts."""
        for block in list(self.document.findall(nodes.literal_block)):
            if {"output", "stream"} <= set(block["classes"]):
                found = []
                for text, columns in parts(block.astext().strip("\n")):
                    text = text if columns else EXPONENT.sub("\N{NON-BREAKING HYPHEN}", text)
                    part = block.copy()
                    part.rawsource = text
                    part += nodes.Text(text)
                    part["classes"] = block["classes"] + ["columns"] * columns
                    found.append(part)
                block.replace_self(found)


class Numbers(SphinxTransform):
    """A number stays on the line of its unit and of its interval."""

    default_priority = 860  # after the quotes have been made round

    def apply(self, **kwargs):
        """Mend the spaces in prose; code, formulas and headings, whose anchors are made of them, stay."""
        for holder in list(self.document.findall(nodes.TextElement)):
            if isinstance(holder, (nodes.literal, nodes.math, nodes.title, nodes.FixedTextElement)):
                continue
            for text in [node for node in holder.children if isinstance(node, nodes.Text) and TORN.search(node)]:
                holder.replace(text, nodes.Text(TORN.sub(NOT_TORN, text)))
        for table in self.document.findall(nodes.raw):
            if table.get("format") == "html" and PRINTED_TABLE in table.astext():
                table.rawsource = re.sub(r">[^<]+<", lambda cell: TORN.sub(NOT_TORN, cell[0]), table.astext())
                table.children = [nodes.Text(table.rawsource)]


class Formulas(SphinxTransform):
    """No line begins with the full stop after a formula, or ends with the bracket before one."""

    default_priority = 870

    def apply(self, **kwargs):
        """Put each formula and the signs that belong to it into one piece."""
        for formula in list(self.document.findall(nodes.math)):
            parent, place = formula.parent, formula.parent.index(formula)
            if isinstance(parent, nodes.title):
                continue
            before = parent[place - 1] if place else None
            after = parent[place + 1] if place + 1 < len(parent) else None
            opens = OPENS.search(before) if isinstance(before, nodes.Text) else None
            closes = CLOSES.search(after) if isinstance(after, nodes.Text) else None
            if not opens and not closes:
                continue
            piece = nodes.inline("", "", classes=[UNBROKEN])
            formula.replace_self(piece)
            if opens:
                piece += nodes.Text(opens[0])
                parent.replace(before, nodes.Text(before[: opens.start()]))
            piece += formula
            if closes:
                piece += nodes.Text(closes[0])
                parent.replace(after, nodes.Text(after[closes.end() :]))


class Tables(SphinxTransform):
    """A table of sentences can be read as cards."""

    default_priority = 990

    def apply(self, **kwargs):
        """Give each cell of such a table the head of its column."""
        for table in self.document.findall(nodes.table):
            heads = [entry.astext() for head in table.findall(nodes.thead) for entry in head.findall(nodes.entry)]
            cells = [entry for body in table.findall(nodes.tbody) for entry in body.findall(nodes.entry)]
            if len(heads) > 2 and any(len(cell.astext()) > SENTENCE for cell in cells):
                table["classes"].append("cards")
                for row in (row for body in table.findall(nodes.tbody) for row in body.findall(nodes.row)):
                    for head, cell in list(zip(heads, row.children, strict=False))[1:]:
                        if head and cell.astext() and isinstance(cell[0], nodes.paragraph):
                            cell[0].insert(0, nodes.inline("", f"{head}: ", classes=[HEADED]))


def name_parts(app, pagename, templatename, context, doctree):
    """Let a table of cards remain a table for a screen reader: rows that stand as blocks lose their role."""
    if context.get("body"):
        context["body"] = CARDS.sub(with_roles, context["body"])


def with_roles(table: re.Match) -> str:
    """Write the role of each part of a table into its tag."""
    return PARTS.sub(lambda tag: f'{tag[0]} role="{ROLES[tag[1]]}"', table[0])


def setup(app):
    """Add the transforms, and the roles."""
    app.connect("html-page-context", name_parts)
    for transform in (Streams, Numbers, Formulas, Tables):
        app.add_transform(transform)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
