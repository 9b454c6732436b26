"""The ledger as a part of a page: ``{ledger}`` lists what each page says and what holds it to that."""

import re
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path

from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.book import notebooks  # noqa: E402 - the repository's own tools are no installed package
from tools.ledger import of_the_book, runs  # noqa: E402

KINDS = ("check", "verdict", "printed")
HEADS = {"runs": ("Run", "Seconds", "Device", "torch"), "pages": ("Page", "Checks", "Verdicts", "Printed lines")}


def markdown(entry) -> tuple[str, str, str]:
    """Give an entry as Markdown: a verdict is, but for links, which lead elsewhere from here; a check is plain text."""
    words = (entry.words, entry.said, entry.held)
    if entry.kind == "verdict":
        return tuple(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", each) for each in words)
    return tuple(re.sub(r"([\\`*_$<>\[\]|])", r"\\\1", each) for each in words)


def table(heads, rows) -> str:
    """Write a table in Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


class Ledger(SphinxDirective):
    """``{ledger} pages`` counts and lists the entries of each page; ``{ledger} runs`` lists the stored runs."""

    required_arguments = 1

    def run(self):
        """Have the lists parsed as a part of the page, which is built again when a notebook changes."""
        for path in notebooks(ROOT):
            self.env.note_dependency(str(path))
        (part,) = self.arguments
        if part not in HEADS:
            raise self.error(f"ledger: expected one of {', '.join(HEADS)}, got {part}")
        return self.parse_text_to_nodes(table(HEADS["runs"], runs()) if part == "runs" else self.pages())

    def pages(self) -> str:
        """Count the entries of each page, then list them, folded."""
        counts, folded, total = [], [], Counter()
        for page, group in groupby(of_the_book(), lambda entry: entry.page):
            entries = list(group)
            number = Counter(entry.kind for entry in entries)
            total += number
            counts.append([f"[{page}](../{page}.ipynb)", *(str(number[kind]) for kind in KINDS)])
            rows = map(markdown, (entry for entry in entries if entry.kind != "printed"))
            lines = table(("What the page says", "What decides it", "Another run has to give"), rows)
            folded.append(f"<details><summary>{page}: checks and verdicts</summary>\n\n{lines}\n\n</details>")
        counts.append(["**all**", *(str(total[kind]) for kind in KINDS)])
        return "\n\n".join([table(HEADS["pages"], counts), *folded])


def setup(app):
    """Add the directive."""
    app.add_directive("ledger", Ledger)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
