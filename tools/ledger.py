"""The ledger of the book: every check, every verdict and every printed number, read from the stored pages.

python -m tools.ledger                          list all entries
python -m tools.ledger --page first-order       those of one page
python -m tools.ledger --again first-order      run the page again, and say which of its lines came out otherwise
python -m tools.ledger --since REVISION         what came, went and moved since a revision of the repository
"""

import argparse
import difflib
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import nbformat

from mamlbook.pages.nbval_tolerance import NUMBER, TAG
from tools.book import ROOT, is_setup, notebooks
from tools.notebooks import execute

VERDICT = re.compile(r"^\*\*(true|false|not settled)\b.*?\*\*")


class Entry(NamedTuple):
    """One thing that a page says and a test holds it to.

    ``kind`` is check, verdict or printed, and ``cell`` the name of the notebook's cell. ``said`` is what decides it:
    the number with its bound, or the verdict with its reason. ``held`` says how near another run has to come.
    """

    page: str
    cell: str
    kind: str
    words: str
    said: str
    held: str


def entries(page: str, notebook) -> list[Entry]:
    """List the entries of a notebook, from top to bottom."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            found += [Entry(page, cell.id, "verdict", *row, "its checks") for row in verdicts(cell.source)]
        elif not is_setup(cell):
            tags = cell.metadata.get("tags", [])
            bounds = ["{} {}".format(*match.groups()) for match in map(TAG.fullmatch, tags) if match]
            held, printed = ", ".join(bounds) or "the same text", lines(cell)
            if "nbval-ignore-output" in tags:  # a check holds all the same: it raises where it fails
                held, printed = "its own bound", [line for line in printed if line.startswith("✓ ")]
            found += [line_entry(page, cell.id, line, held) for line in printed]
    return [entry for entry in found if entry is not None]


def lines(cell) -> list[str]:
    """List the lines that a code cell has printed."""
    texts = [output["text"] for output in cell.outputs if output.output_type == "stream" and output.name == "stdout"]
    return [line.strip() for text in texts for line in text.splitlines() if line.strip()]


def line_entry(page: str, cell: str, line: str, held: str) -> Entry | None:
    """Make an entry of a printed line: a check, or a line with a number in it."""
    if line.startswith("✓ "):
        words, _, said = line[2:].rpartition(": ") if ": " in line else (line[2:], "", "")
        return Entry(page, cell, "check", words, said or "true", held)
    return Entry(page, cell, "printed", line, "", held) if NUMBER.search(line) else None


def verdicts(source: str) -> Iterable[tuple[str, str]]:
    """Give the claim and the verdict of each row of a page's table of claims."""
    for line in source.splitlines():
        parts = [part.strip() for part in line.strip().strip("|").split(" | ")]
        if len(parts) >= 2 and VERDICT.match(parts[1]):
            yield parts[0], " ".join(parts[1:])


def of_the_book(root: Path = ROOT) -> list[Entry]:
    """List the entries of all pages, in the order of the book."""
    return [entry for path in notebooks(root) for entry in entries(page_of(path, root), nbformat.read(path, 4))]


def page_of(path: Path, root: Path = ROOT) -> str:
    """Give the name of a page, from the folder of the pages."""
    return str(path.relative_to(root / "book").with_suffix(""))


def found(name: str) -> Path:
    """Give the notebook of a page, by its whole name or the last part of it."""
    (*matches,) = (path for path in notebooks() if name in (page_of(path), path.stem))
    if len(matches) != 1:
        known = ", ".join(page_of(path) for path in notebooks())
        raise ValueError(f"page: expected one of {known}, got {name!r}")
    return matches[0]


def again(path: Path, root: Path = ROOT) -> list[str]:
    """Run a page and give the lines that came out otherwise, as a comparison of texts; nothing is stored."""
    notebook = nbformat.read(path, 4)
    before = entries(page_of(path, root), notebook)
    execute(notebook, path.parent)
    return moved(before, entries(page_of(path, root), notebook))


def moved(before: list[Entry], after: list[Entry]) -> list[str]:
    """Give what came (+) and what went (-); a number that moved does both."""
    old, new = ([f"{e.page}  {e.words}: {e.said}".removesuffix(": ") for e in each] for each in (before, after))
    compared = difflib.unified_diff(old, new, lineterm="", n=0)
    return [line for line in compared if line[:1] in "+-" and not line.startswith(("---", "+++"))]


def at(revision: str, root: Path = ROOT) -> list[Entry]:
    """List the entries of all pages as they were at a revision."""
    git = ["git", "-C", root]
    listed = subprocess.run([*git, "ls-tree", "-r", "--name-only", revision, "book"], capture_output=True, text=True)
    if listed.returncode != 0:
        raise ValueError(f"revision: expected one of this repository, got {revision!r}: {listed.stderr.strip()}")
    there = {name for name in listed.stdout.splitlines() if name.endswith(".ipynb")}
    order = [str(path.relative_to(root)) for path in notebooks(root)]
    kept = []
    for name in [*(name for name in order if name in there), *sorted(there - set(order))]:
        text = subprocess.run([*git, "show", f"{revision}:{name}"], check=True, capture_output=True, text=True).stdout
        kept += entries(page_of(root / name, root), nbformat.reads(text, 4))
    return kept


def runs(folder: Path = ROOT / "results") -> list[tuple[str, str, str, str]]:
    """Give the stored runs: name, seconds where they were counted, device and torch."""
    kept = []
    for path in sorted(folder.glob("*.json")):
        stored = json.loads(path.read_text("utf-8"))
        seconds = "" if stored.get("seconds") is None else str(stored["seconds"])
        kept.append((path.stem, seconds, stored["device"], stored["versions"]["torch"]))
    return kept


def main(words: list[str] | None = None) -> None:
    """List, run again or compare, as the command line says."""
    parser = argparse.ArgumentParser(prog="tools.ledger", description=__doc__.splitlines()[0])
    parser.add_argument("--page", help="list the entries of this page only")
    parser.add_argument("--again", metavar="PAGE", help="run this page, or 'all', and say what came out otherwise")
    parser.add_argument("--since", metavar="REVISION", help="say what came, went and moved since this revision")
    options = parser.parse_args(words)
    try:
        if options.again:
            paths = notebooks() if options.again == "all" else [found(options.again)]
            differences = [line for path in paths for line in again(path)]
        elif options.since:
            differences = moved(at(options.since), of_the_book())
        else:
            chosen = page_of(found(options.page)) if options.page else None
            listed = [entry for entry in of_the_book() if chosen in (None, entry.page)]
            print("\n".join(f"{e.page}  {e.kind}  {e.words}: {e.said}".removesuffix(": ") for e in listed))
            return
    except ValueError as error:
        sys.exit(str(error))
    print("\n".join(differences) or "nothing moved")
    if options.again and differences:
        sys.exit(1)


if __name__ == "__main__":
    main()
