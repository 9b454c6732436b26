"""The ledger as a part of a page: ``{ledger}`` lists what each page says and what holds it to that."""

import re
import sys
from collections import Counter
from html import escape
from itertools import groupby
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.book import notebooks  # noqa: E402 - the repository's own tools are no installed package
from tools.ledger import of_the_book, runs  # noqa: E402

KINDS = ("check", "verdict", "printed")
HEADS = {"runs": ("Run", "Seconds", "Device", "torch"), "pages": ("Page", "Checks", "Verdicts", "Printed lines")}


def marked(text: str) -> str:
    """Write a line of Markdown as HTML: bold words, code, formulas, and links as their words."""
    html = escape(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text))
    html = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html)
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", html)
    return re.sub(r"\$([^$]+)\$", r'<span class="math notranslate nohighlight">\\(\1\\)</span>', html)


def table(heads, rows) -> str:
    """Write a table whose cells are HTML."""
    head = "".join(f"<th>{each}</th>" for each in heads)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    both = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f'<div class="table-wrapper"><table class="table">{both}</table></div>'


class Ledger(SphinxDirective):
    """``{ledger} pages`` counts and lists the entries of each page; ``{ledger} runs`` lists the stored runs."""

    required_arguments = 1

    def run(self):
        """Make the HTML, and have the page built again when a notebook changes."""
        for path in notebooks(ROOT):
            self.env.note_dependency(str(path))
        (part,) = self.arguments
        if part not in HEADS:
            raise self.error(f"ledger: expected one of {', '.join(HEADS)}, got {part}")
        html = table(HEADS["runs"], [map(escape, run) for run in runs()]) if part == "runs" else self.pages()
        return [nodes.raw("", html, format="html")]

    def pages(self) -> str:
        """Count the entries of each page, then list them, folded."""
        grouped = [(page, list(group)) for page, group in groupby(of_the_book(), lambda entry: entry.page)]
        counts, folded = [], []
        for page, entries in grouped:
            address = self.env.app.builder.get_relative_uri(self.env.docname, f"book/{page}")
            number = Counter(entry.kind for entry in entries)
            counts.append([f'<a href="{address}">{page}</a>', *(str(number[kind]) for kind in KINDS)])
            rows = [map(marked, (entry.words, entry.said, entry.held)) for entry in entries if entry.kind != "printed"]
            lines = table(("What the page says", "What decides it", "Another run has to give"), rows)
            folded.append(f"<details><summary>{page}: checks and verdicts</summary>{lines}</details>")
        total = Counter(entry.kind for _, entries in grouped for entry in entries)
        counts.append(["<strong>all</strong>", *(str(total[kind]) for kind in KINDS)])
        return table(HEADS["pages"], counts) + "\n".join(folded)


def setup(app):
    """Add the directive."""
    app.add_directive("ledger", Ledger)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
