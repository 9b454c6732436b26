"""What the search of the site finds: prose before code, and each algorithm by its names, at the section about it."""

from docutils import nodes
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
    for node in unread:
        node.parent.remove(node)
    return copy


def read_prose_only(app):
    """Give the search nothing but prose to read."""
    builder = app.builder
    if builder.format != "html":
        return
    index_page = builder.index_page
    builder.index_page = lambda pagename, doctree, title: index_page(pagename, prose(doctree), title)


def setup(app):
    """Connect both to the build."""
    app.add_transform(Names)
    app.connect("builder-inited", read_prose_only)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
