"""What the search of the site finds: prose before code, and each algorithm by its names, at the section about it.

Sphinx knows which page has a word, and not how often. What ``searching.js`` weighs the pages by is counted here, and
put into the page of the search: the words in their stems, those of a heading as several, and the sections of the names.
"""

import json
from collections import Counter
from pathlib import Path

from docutils import nodes
from small_screens import HEADED
from sphinx import addnodes
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform

from mamlbook.pages.sections import NAMES


class Names(SphinxTransform):
    """The section that a name leads to gets an entry in the index, which the search puts first."""

    default_priority = 215  # after plain_pages

    def apply(self, **kwargs):
        """Add the entries of this page; a glossary adds none, so that its terms do not come before the sections."""
        for glossary in self.document.findall(addnodes.glossary):
            for entry in list(glossary.findall(addnodes.index)):
                entry.parent.remove(entry)
        wanted: dict[str, list[str]] = {}
        for name, section in NAMES.items():
            if f"book/{section.page}" == self.env.docname:
                wanted.setdefault(section.heading, []).append(name)
        for title in list(self.document.findall(nodes.title)):
            section = title.parent
            names = wanted.pop(title.astext(), []) if isinstance(section, nodes.section) else []
            if names:
                entries = [("single", name, section["ids"][0], "main", None) for name in names]
                section.insert(1, addnodes.index(entries=entries))
        if wanted:
            missing = ", ".join(wanted)
            raise ExtensionError(
                f"{self.env.docname}: expected the sections {missing}, which names of the search lead to"
            )


def prose(doctree):
    """Give a copy of a page without code and without what code has printed or drawn."""
    copy = doctree.deepcopy()
    kinds = (nodes.literal_block, nodes.raw, nodes.math_block, nodes.math)
    unread = [node for kind in kinds for node in copy.findall(kind)]
    unread += [node for node in copy.findall(nodes.container) if "cell_output" in node.get("classes", [])]
    unread += [node for node in copy.findall(nodes.inline) if HEADED in node["classes"]]
    for node in unread:
        node.parent.remove(node)
    return copy


LOOKED_UP = "book/appendix/api"
TITLE, HEADING = 12, 4  # as how many words of the text one of the title, or of another heading, counts
STORE = "search_words.json"  # beside the pages as they were read: a second build reads only what has changed
PLACE = '<script type="application/json" id="search-words">{}</script>\n<script src="_static/searching.js"></script>\n'


def counted(doctree, title: str, lang) -> dict[str, dict[str, int]]:
    """Count the words of a page by their stems, and for each stem the forms in which it stands there."""
    headings = " ".join(node.astext() for node in doctree.findall(nodes.title))
    found: dict[str, Counter] = {}
    for text, weight in ((doctree.astext(), 1), (headings, HEADING), (title, TITLE)):
        for word in lang.split(text.lower()):
            found.setdefault(lang.stem(word), Counter())[word] += weight
    return found


def read_prose_only(app):
    """Give the search nothing but prose to read, and count its words."""
    builder = app.builder
    if builder.format != "html":
        return
    index_page = builder.index_page
    store = Path(app.doctreedir) / STORE
    builder.words = json.loads(store.read_text("utf-8")) if store.is_file() else {}

    def index(pagename, doctree, title):
        read = prose(doctree)
        builder.words[pagename] = counted(read, title, builder.indexer.lang)
        index_page(pagename, read, title)

    builder.index_page = index


def sections(app) -> dict[str, tuple[str, str]]:
    """Give for each name the page and the anchor of its section."""
    domain = app.env.get_domain("index")
    return {
        words: (page, target)
        for page, entries in domain.entries.items()
        for _, words, target, main, _ in entries
        if main and words in NAMES
    }


def weighed(words: dict[str, dict[str, dict[str, int]]]) -> dict:
    """Give what the search weighs pages by: how long each is, how often it has each stem, and how a stem is written."""
    lengths, counts, forms = [], {}, {}
    for number, page in enumerate(words.values()):
        lengths.append(sum(sum(own.values()) for own in page.values()))
        for stem, own in page.items():
            if not stem.isdigit():
                counts.setdefault(stem, {})[number] = sum(own.values())
                forms.setdefault(stem, Counter()).update(own)
    # The pages of the interface count as the one long text that they are: what explains a word comes first.
    interface = [number for number, page in enumerate(words) if page.startswith(LOOKED_UP)]
    whole = sum(lengths[number] for number in interface)
    lengths = [whole if number in interface else length for number, length in enumerate(lengths)]
    often = {stem: max(sorted(own), key=own.get) for stem, own in forms.items()}
    written = {stem: form for stem, form in sorted(often.items()) if form != stem}
    return {"pages": list(words), "lengths": lengths, "counts": dict(sorted(counts.items())), "forms": written}


def write_words(app, exception) -> None:
    """Put the counts into the page of the search."""
    if exception is not None or app.builder.format != "html" or not app.builder.words:
        return
    (Path(app.doctreedir) / STORE).write_text(json.dumps(app.builder.words), "utf-8")
    data = weighed({page: app.builder.words[page] for page in sorted(app.env.found_docs & app.builder.words.keys())})
    data["names"] = sections(app)
    target = Path(app.outdir) / "search.html"
    text = target.read_text("utf-8")
    words = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    target.write_text(text.replace("</body>", PLACE.format(words) + "</body>", 1), "utf-8")


def setup(app):
    """Connect all of it."""
    app.add_transform(Names)
    app.connect("builder-inited", read_prose_only)
    app.connect("build-finished", write_words)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
