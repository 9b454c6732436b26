"""Link the first use of each term on a page to its definition, in the words of the glossary.

A term is found in the prose: in paragraphs and the points of lists, not in headings, links, code, formulas, tables,
captions or what a cell has printed. The link stands only in what is written, so that the search reads the same words as
without it.
"""

import re
from functools import cache

from docutils import nodes
from sphinx import addnodes

GLOSSARY = "book/appendix/glossary"
UNLINKED = (GLOSSARY, "book/appendix/api", "book/appendix/bibliography", "book/appendix/reproducibility")
"""Pages and folders that are looked up, not read."""
CLASS = "glossed"

# How a term is written in prose, where that is not its name with or without an s. Some names, such as "way", are also
# ordinary words, and are found in one form only.
FORMS = {
    "Batch norm": "batch norm(?:alisation)?",
    "Bi-level problem": "bi-level(?: problems?)?",
    "Checkpoint": "checkpoint",  # several are mostly saved weights
    "Confidence interval": "confidence intervals?|95 % interval",
    "Empirical Bayes": "empirical Bayes",
    "Fine-tuning": "fine-tun(?:ing|es?|ed)",
    "First order": "first[ -]order",
    "Gauss–Newton matrix": "Gauss–Newton matri(?:x|ces)",
    "GPU kernel": "GPU kernels?|kernels for a GPU",  # there are other kernels
    "Hessian": "Hessians?",
    "Hessian-vector product": "Hessian-vector products?",
    "In-context learning": "learn(?:ing|s) in (?:the|its) context",
    "Jacobian": "Jacobians?",
    "Kernel ridge regression": "kernel ridge(?: regression)?",
    "Langevin noise": "Langevin(?: noise)?",
    "Line search": "line search(?:es)?",
    "Meta-batch": "meta-batch(?:es)?",
    "Meta-overfitting": "meta-overfitting|overfitting",
    "Moreau envelope": "Moreau envelopes?",
    "Neural tangent kernel": "tangent kernel|neural tangent kernel|Neural tangent kernel",
    "Policy": "polic(?:y|ies)",
    "Pre-training": "pre-train(?:ing|ed)",
    "Prior": "priors?(?! to| work)",
    "Query loss": "query loss(?:es)?",
    "Reptile": "Reptile",
    "Return": "(?:expected|mean) returns?",
    "Shot": r"\d+-shot|shots",
    "Support loss": "support loss(?:es)?",
    "Trace": "traces",
    "Trajectory": "trajector(?:y|ies)",
    "Unrolling": "unroll(?:ing|ed)",
    "Way": r"\d+-way",
}
OUTSIDE = (
    nodes.Titular,
    nodes.reference,
    nodes.literal,
    nodes.math,
    nodes.table,
    nodes.caption,
    nodes.citation,
    nodes.raw,
    addnodes.pending_xref,
    addnodes.desc,
)


def form(term: str) -> str:
    """Give the pattern of a term in prose: its name, small where it is a word, with an s or without."""
    name = term if re.search(r"[A-Z].*[A-Z]", term) else term[0].lower() + term[1:]
    return FORMS.get(term, f"{re.escape(name)}s?")


@cache
def pattern(terms: tuple[str, ...]) -> re.Pattern:
    """Give what finds these terms, each in a group: as words of their own, also at the head of a sentence."""
    groups = []
    for number, term in sorted(enumerate(terms), key=lambda one: -len(one[1])):  # of two that begin alike, the longer
        text = form(term)
        head = f"|{text[0].upper()}{text[1:]}" if text[0].islower() else ""
        groups.append(f"(?P<t{number}>{text}{head})")
    return re.compile(rf"(?<![\w-])(?:{'|'.join(groups)})(?![\w-])")


def in_prose(text: nodes.Text) -> bool:
    """Whether a text is prose."""
    node, prose = text.parent, False
    while node is not None and not isinstance(node, nodes.document):
        if isinstance(node, OUTSIDE) or "cell_output" in node.get("classes", []):
            return False
        prose = prose or isinstance(node, nodes.paragraph)
        node = node.parent
    return prose


def first_uses(text: str, terms: tuple[str, ...], left: set[str]) -> list[tuple[int, int, str]]:
    """List where terms that are left are first used in a text, and take them out of ``left``."""
    found = []
    for match in pattern(terms).finditer(text):
        term = terms[int(match.lastgroup[1:])]
        if term in left:
            left.discard(term)
            found.append((match.start(), match.end(), term))
    return found


def link_first_uses(doctree: nodes.document, definitions: dict[str, tuple[str, str]]) -> None:
    """Put a link around the first use of each term; ``definitions`` gives address and words of each."""
    terms, left = tuple(definitions), set(definitions)
    for text in [node for node in doctree.findall(nodes.Text) if in_prose(node)]:
        words, end, parts = text.astext(), 0, []
        for start, stop, term in first_uses(words, terms, left):
            address, said = definitions[term]
            link = nodes.reference(
                "", words[start:stop], internal=True, refuri=address, reftitle=f"{term}: {said}", classes=[CLASS]
            )
            parts += [nodes.Text(words[end:start]), link]
            end = stop
        if parts:
            text.parent.replace(text, [part for part in (*parts, nodes.Text(words[end:])) if part.astext()])


def definitions(glossary: nodes.document) -> dict[str, tuple[str, str]]:
    """Read from the page of the glossary the anchor and the definition of each term."""
    found = {}
    for item in glossary.findall(nodes.definition_list_item):
        terms = [child for child in item.children if isinstance(child, nodes.term)]
        said = item.children[-1][0].astext().split("\nSee ")[0]
        found |= {term.astext(): (term["ids"][0], said) for term in terms}
    return found


def link_page(app, doctree, docname: str) -> None:
    """Link the terms of a page as it is written."""
    if app.builder.format != "html" or docname.startswith(UNLINKED) or GLOSSARY not in app.env.all_docs:
        return
    address = app.builder.get_relative_uri(docname, GLOSSARY)
    told = definitions(app.env.get_doctree(GLOSSARY))
    link_first_uses(doctree, {term: (f"{address}#{anchor}", said) for term, (anchor, said) in told.items()})


def setup(app):
    """Connect it to the writing of each page."""
    app.connect("doctree-resolved", link_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
