"""Let a formula and the code that computes it point at each other: a factor lights its lines, and a line its factor.

``book/factors.yml`` says which. For each page it lists formulas, each by a part of its source that no other formula of
the page has, and pieces of code, each by a part that no other piece has, under the words that announce it. A factor is
a part of the formula's source and the lines that compute it, again by parts that occur once. Whatever is not found
exactly once ends the build, so that neither formula nor code can be changed alone. The notebooks hold nothing of it.
"""

import json
from html import escape
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "book/factors.yml"
SCRIPT = "following.js"


def factors() -> dict[str, list[dict]]:
    """Read which pages have formulas that point at code."""
    return yaml.safe_load(FILE.read_text("utf-8"))


def once(page: str, what: str, part: str, texts: list[str]) -> int:
    """Give the place of the one text in which a part occurs, once.

    Raises:
        ExtensionError: it occurs nowhere, or more than once.
    """
    places = [place for place, text in enumerate(texts) for _ in range(text.count(part))]
    if len(places) != 1:
        raise ExtensionError(f"factors.yml, {page}: expected {part!r} once in {what}, found it {len(places)} times")
    return places[0]


def lines(page: str, part: str, code: str) -> list[int]:
    """Give the numbers of the lines that hold a part of a code, from 1."""
    once(page, f"the code {code.splitlines()[0]!r}", part, [code])
    first = code[: code.index(part)].count("\n") + 1
    return list(range(first, first + part.count("\n") + 1))


def marked(page: str, formula: str, parts: list[str], first: int) -> str:
    """Give the source of a formula in which each part carries a class by which it is found when it is drawn."""
    for part in parts:
        once(page, "the formula", part, [formula])
    places = [formula.index(part) for part in parts]
    if places != sorted(places):
        raise ExtensionError(f"factors.yml, {page}: expected the factors in the order of the formula")
    for number, part in enumerate(parts, first):
        formula = formula.replace(part, rf"\class{{factor-{number}}}{{{part}}}")
    return formula


class Factors(SphinxTransform):
    """Formulas and code of a page are marked, and what belongs together is kept for the script."""

    default_priority = 220  # after plain_pages, which takes titles out of code

    def apply(self, **kwargs):
        """Mark them."""
        page = self.env.docname.removeprefix("book/")
        self.env.note_dependency(str(FILE))
        told = factors().get(page, [])
        formulas = list(self.document.findall(nodes.math_block))
        codes = [node for node in self.document.findall(nodes.literal_block) if node.get("language") != "none"]
        sources = [code.astext() for code in codes]
        found, written = [], []
        for one in told:
            block = formulas[once(page, "the formulas", one["formula"], [node.astext() for node in formulas])]
            pieces = {words: once(page, "the code", part, sources) for words, part in one["code"].items()}
            text = marked(page, block.astext(), [factor["factor"] for factor in one["factors"]], len(found))
            written.append((block.astext(), text))
            for factor in one["factors"]:
                where = []
                for words, place in pieces.items():
                    given = factor.get(words, [])
                    numbers = sorted({n for part in given for n in lines(page, part, sources[place])})
                    if numbers:
                        codes[place]["highlight_args"] = {"linespans": f"code-{place}"}
                        where.append({"words": words, "code": f"code-{place}", "lines": numbers})
                if extra := factor.keys() - {"factor", "name", *pieces}:
                    raise ExtensionError(f"factors.yml, {page}: {factor['name']}: no piece of code is called {extra}")
                found.append({"name": factor["name"], "where": where})
        if found:
            self.document["follows"], self.document["formulas"] = found, written


def escaped(text: str) -> str:
    """Give a formula as the page has it."""
    return escape(text, quote=False).replace('"', "&quot;")


def hand_over(app, pagename, templatename, context, doctree):
    """Mark the formulas of a page as it is written, and give it the script with what it has to know.

    A search reads the same words as without the marks.
    """
    if doctree is None or "follows" not in doctree:
        return
    for formula, text in doctree["formulas"]:
        once(pagename, "the page", escaped(formula), [context["body"]])
        context["body"] = context["body"].replace(escaped(formula), escaped(text))
    text = json.dumps(doctree["follows"], separators=(",", ":"), ensure_ascii=False).replace("<", r"\u003c")
    context["body"] += f'<script type="application/json" id="factors">{text}</script>'
    app.add_js_file(SCRIPT, loading_method="defer")


def setup(app):
    """Add the transform, and connect what it found to the pages."""
    app.add_transform(Factors)
    app.connect("html-page-context", hand_over)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
