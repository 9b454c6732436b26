"""Put back on the site what a notebook says in plain Jupyter Markdown: citations, boxes, verdicts, captions.

The notebooks hold nothing that JupyterLab, VS Code, GitHub or Colab would show as source. Each transform below
recognises one plain form in the parsed page and makes of it what the site has for it.
"""

import re
from dataclasses import dataclass, field
from html import unescape

from docutils import nodes
from pybtex.database import BibliographyData, Entry
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinxcontrib.bibtex.citation_target import parse_citation_targets
from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.roles import CitationRef
from sphinxcontrib.bibtex.style.names.last import LastNameStyle
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

LOGGER = logging.getLogger(__name__)

# The bold words that a verdict begins with, and the class that colours them.
VERDICTS = {"true": "yes", "false": "no", "true when": "when", "not settled": "when"}
CAPTION = "Figure. "
TITLE = re.compile(r"# @title .*\n")


def anchor(heading: str) -> str:
    """Give the anchor of a heading as Jupyter writes it, which keeps case and signs: ``The-start,-again``."""
    return heading.replace(" ", "-")


# ---------------------------------------------------------------- citations


def address(entry: Entry) -> str | None:
    """Give the one address of an entry of the bibliography."""
    fields = entry.fields
    return fields.get("url") or (f"https://doi.org/{fields['doi']}" if "doi" in fields else None)


def names(entry: Entry) -> str:
    """Name the authors of an entry as a citation does: ``Finn et al.``, ``Glorot and Bengio``, ``Pedregosa``."""
    last = [str(LastNameStyle().format(person).format()) for person in entry.persons["author"]]
    return f"{last[0]} et al." if len(last) > 2 else " and ".join(last)


def forms(entry: Entry) -> dict[str, str]:
    """Give the words that may cite an entry, each with the role that writes them, in a sentence and in parentheses."""
    year = entry.fields["year"]
    return {f"{names(entry)} ({year})": "t", f"{names(entry)}, {year}": "alp"}


def cited(bibliography: BibliographyData) -> dict[str, str]:
    """Map the addresses of the bibliography to its keys."""
    return {address(entry): key for key, entry in bibliography.entries.items()}


@dataclass
class Round(AuthorYearReferenceStyle):
    """Author and year with round brackets, as the links of the notebooks have them."""

    bracket_textual: BracketStyle = field(default_factory=lambda: BracketStyle("(", ")"))


class Citations(SphinxTransform):
    """A link to the address of an entry of the bibliography cites it."""

    default_priority = 200  # before Sphinx numbers what has a caption

    def apply(self, **kwargs):
        """Replace each such link by what the role of sphinxcontrib.bibtex would have made."""
        bibliography = self.env.get_domain("cite").bibdata.data
        keys = cited(bibliography)
        for link in list(self.document.findall(nodes.reference)):
            key = keys.get(link.get("refuri"))
            if key is None:
                continue
            form = forms(bibliography.entries[key]).get(link.astext())
            if form is None:
                expected = " or ".join(forms(bibliography.entries[key]))
                LOGGER.warning(f"{link.astext()!r} links to {key}: write {expected}", location=link)
                continue
            link.replace_self(self.citation(link, key, form))

    def citation(self, link, key, form):
        """Make the reference, and note it for the bibliography."""
        text = link.astext()
        node = addnodes.pending_xref(
            text, refdomain="cite", reftype=form, reftarget=key, refdoc=self.env.docname, refexplicit=False
        )
        node += nodes.inline(text, text, classes=["xref", "cite", f"cite-{form}"])
        node.source, node.line = link.source, link.line
        self.document.note_explicit_target(node, node)
        reference = CitationRef(node["ids"][0], self.env.docname, link.line, list(parse_citation_targets(key)))
        self.env.get_domain("cite").citation_refs.append(reference)
        return node


# ---------------------------------------------------------------- boxes, verdicts, captions, solutions


def whole(paragraph, kind):
    """Give the one node of a kind that is all of a paragraph, or None."""
    words = [node for node in paragraph.children if node.astext()]
    alone = isinstance(paragraph, nodes.paragraph) and len(words) == 1 and isinstance(words[0], kind)
    return words[0] if alone else None


class Boxes(SphinxTransform):
    """A block quote that begins with a bold line is a box of that title."""

    default_priority = 200

    def apply(self, **kwargs):
        """Replace each such quote by an admonition."""
        for quote in list(self.document.findall(nodes.block_quote)):
            if lead := whole(quote[0], nodes.strong):
                title = lead.astext()
                box = nodes.admonition("", nodes.title(title, "", *lead.children), classes=[nodes.make_id(title)])
                box += quote.children[1:]
                box.source, box.line = quote.source, quote.line
                quote.replace_self(box)


class Verdicts(SphinxTransform):
    """A bold verdict is coloured."""

    default_priority = 200

    def apply(self, **kwargs):
        """Replace each by a span of its class."""
        for bold in list(self.document.findall(nodes.strong)):
            if colour := VERDICTS.get(bold.astext()):
                bold.replace_self(nodes.inline("", "", *bold.children, classes=[colour]))


def is_cell(node) -> bool:
    """Whether a node is a code cell."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def pictures(cell) -> list:
    """List the outputs of a cell that have a picture."""
    bundles = [node for node in cell.findall(nodes.container) if node.get("nb_element") == "mime_bundle"]
    return [bundle for bundle in bundles if any(kind["mime_type"].startswith("image/") for kind in bundle)]


class Captions(SphinxTransform):
    """An italic paragraph that begins with ``Figure.`` is the caption of the picture in the cell above it."""

    default_priority = 200

    def apply(self, **kwargs):
        """Put the picture and its caption into a figure, which Sphinx numbers."""
        for paragraph in list(self.document.findall(nodes.paragraph)):
            if (words := whole(paragraph, nodes.emphasis)) and words.astext().startswith(CAPTION):
                self.move(paragraph, words)

    def move(self, paragraph, words):
        """Move a caption under its picture."""
        cell = paragraph.previous_sibling()
        pictured = pictures(cell) if is_cell(cell) else []
        if len(pictured) != 1:
            LOGGER.warning("a caption that does not stand right after one picture", location=paragraph)
            return
        first = words[0]
        words.replace(first, nodes.Text(first.astext().removeprefix(CAPTION)))
        # An output, since the theme lets one that scrolls be reached by the keyboard.
        figure = nodes.figure("", align="default", classes=["output"])
        figure.source, figure.line = paragraph.source, paragraph.line
        pictured[0].replace_self(figure)
        figure += [pictured[0], nodes.caption(paragraph.rawsource, "", *words.children)]
        paragraph.parent.remove(paragraph)


class Titles(SphinxTransform):
    """The first line of a folded cell, which tells Colab its title, is no code to read."""

    default_priority = 200

    def apply(self, **kwargs):
        """Take the line away."""
        for block in self.document.findall(nodes.literal_block):
            if TITLE.match(block.astext()):
                block.rawsource = TITLE.sub("", block.rawsource, count=1)
                block.children = []
                block += nodes.Text(block.rawsource)


# ---------------------------------------------------------------- links inside the output of a cell

ADDRESS = re.compile(r'"((?:[\w-]+/|\.\./)*[\w-]+)\.ipynb(?:#([^"]*))?"')


def on_the_site(found) -> str:
    """Give the address that a page and its section have in the built book."""
    page, heading = found[1], found[2]
    section = f"#{nodes.make_id(unescape(heading).replace('-', ' '))}" if heading else ""
    return f'"{page}.html{section}"'


class Addresses(SphinxTransform):
    """An output in HTML links to pages of the book, as a notebook links to notebooks."""

    default_priority = 200

    def apply(self, **kwargs):
        """Replace each address by that of the built page."""
        for output in self.document.findall(nodes.raw):
            if output.get("format") == "html" and enclosing(output) is not None:
                text = ADDRESS.sub(on_the_site, output.astext())
                output.rawsource, output.children = text, [nodes.Text(text)]


def enclosing(node):
    """Give the cell that a node is part of, or None."""
    while node is not None and not is_cell(node):
        node = node.parent
    return node


def setup(app):
    """Add the transforms, and the style in which they cite."""
    register_plugin("sphinxcontrib.bibtex.style.referencing", "author_year_round", Round)
    for transform in (Citations, Boxes, Verdicts, Captions, Titles, Addresses):
        app.add_transform(transform)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
