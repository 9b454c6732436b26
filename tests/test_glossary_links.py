"""The first use of a term on a page leads to the glossary, once, and nothing but prose is touched."""

import re
import subprocess
import sys

import pytest

from site_extension import site_extension
from test_plain_pages import LINK, prose
from tools.book import ROOT, notebooks
from tools.notebooks import load

docutils = pytest.importorskip("docutils")
from docutils import nodes  # noqa: E402
from docutils.utils import new_document  # noqa: E402

GLOSSARY = ROOT / "book/appendix/glossary.md"
ENTRIES = re.findall(r"^(\S.*)\n  (.*)\n  See (\[.*\]\(.*\))\.$", GLOSSARY.read_text(), re.MULTILINE)
TERMS = [term for term, _, _ in ENTRIES]


@pytest.fixture(scope="module")
def extension():
    """Give the module of the site that links the terms."""
    return site_extension("glossary_links")


def linked(extension, *parts, terms=("Task", "Task weight", "Query loss", "MAML", "Way", "Shot")):
    """Link the terms in a document of these parts; give the words of the links and the document."""
    document = new_document("page")
    document += parts
    extension.link_first_uses(document, {term: (f"glossary.html#{term}", "What it is.") for term in terms})
    links = [node for node in document.findall(nodes.reference) if extension.CLASS in node["classes"]]
    return [link.astext() for link in links], document


def paragraph(*children):
    """Give a paragraph of texts and nodes."""
    return nodes.paragraph("", "", *(nodes.Text(one) if isinstance(one, str) else one for one in children))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A task, and another task.", ["task"]),
        ("Tasks first.", ["Tasks"]),
        ("The query losses of MAML", ["query losses", "MAML"]),
        ("task weights are not tasks", ["task weights", "tasks"]),
        ("a multitask, a task-like thing, MAML++x, taskbar, sub-task", ["MAML"]),
        ("maml in small letters, a query", []),
        ("in this way, 5-way 1-shot", ["5-way", "1-shot"]),
        ("the task's loss", ["task"]),
    ],
)
def test_a_term_is_found_as_a_word_of_its_own(extension, text, found):
    assert linked(extension, paragraph(text))[0] == found


def test_only_the_first_use_of_a_page_is_linked_and_the_words_stay(extension):
    middle = paragraph("Every task, every ", nodes.strong("", "task"), ".")
    parts = [paragraph("No term here."), middle, paragraph("A task.")]
    before = [part.astext() for part in parts]
    found, document = linked(extension, *parts)
    assert found == ["task"]
    assert [part.astext() for part in document.children] == before
    (link,) = document.findall(nodes.reference)
    assert link["refuri"] == "glossary.html#Task"
    assert link["reftitle"] == "Task: What it is."
    assert link.parent is document.children[1]


@pytest.mark.parametrize(
    "part",
    [
        nodes.title("", "A task"),
        paragraph(nodes.reference("", "a task", refuri="x")),
        paragraph(nodes.literal("", "task")),
        paragraph(nodes.math("", "task")),
        nodes.literal_block("", "task = MAML"),
        nodes.raw("", "<summary>task</summary>", format="html"),
        nodes.figure("", nodes.caption("", "A task")),
        nodes.admonition("", nodes.title("", "A task")),
        nodes.container("", paragraph("a task"), classes=["cell_output"]),
        nodes.table("", nodes.tgroup("", nodes.tbody("", nodes.row("", nodes.entry("", paragraph("a task")))))),
    ],
    ids=["title", "link", "code", "formula", "block", "raw", "caption", "box", "output", "table"],
)
def test_what_is_no_prose_is_left_alone(extension, part):
    after = paragraph("Then a task.")
    found, document = linked(extension, part, after)
    assert found == ["task"]
    assert list(document.findall(nodes.reference))[-1].parent is after


def test_points_of_lists_and_boxes_are_prose(extension):
    point = nodes.bullet_list("", nodes.list_item("", paragraph("a task")))
    box = nodes.admonition("", nodes.title("", "MAML"), paragraph("about MAML"))
    assert linked(extension, point, box)[0] == ["task", "MAML"]


def test_the_glossary_is_in_order_and_each_entry_is_told_and_introduced():
    assert 60 <= len(TERMS) <= 110
    assert [term.lower() for term in TERMS] == sorted(term.lower() for term in TERMS)
    block = GLOSSARY.read_text().split("```{glossary}\n")[1].split("```")[0]
    assert len(re.findall(r"^\S", block, re.MULTILINE)) == len(TERMS)  # every entry has the form that is read here
    for term, said, link in ENTRIES:
        assert said.endswith("."), term
        assert not re.search(r"[$`\[]", said), term  # it is shown as plain text, too
        assert "#" in LINK.fullmatch(link)[2], term


# Sections that explain a term in other words than its own, and the words in which they do.
IN_OTHER_WORDS = {
    "Adaptation": "gradient steps from the shared start",
    "Bi-level problem": "the inner level finds",
    "Confidence interval": "An interval of",
    "Differentiable optimiser": "a map from weights and a loss to new weights",
    "Finite difference": "compares the slope of the objective",
    "First order": "It replaces the Jacobian",
    "Fixed point": "The method stops moving where",
    "Gauss–Newton matrix": "Gauss–Newton",
    "Gradient flow": "infinitely many infinitely small steps",
    "Implicit gradient": "At the solution the gradient vanishes",
    "In-context learning": "Read the sum as attention",
    "Inner rate": "the rate $\\alpha$",
    "Meta-overfitting": "learned the rows of two pumps by heart",
    "Meta-test": "The number to report is the test error",
    "Meta-training": "outer rate beta",
    "Proximal term": "The last term is the **pull**",
    "Unrolling": "multiplied by these Jacobians",
}


def section(page: str, anchor: str) -> str:
    """The heading, text and code of a section of a notebook, with those below it."""
    found, level = [], 0
    for cell in load((GLOSSARY.parent / page).resolve()).cells:
        for line in cell.source.splitlines():
            heading = re.fullmatch(r"(#+) +(.*?) *", line) if cell.cell_type == "markdown" else None
            if heading and heading[2].replace("`", "").replace(" ", "-") == anchor:
                level = len(heading[1])
            elif heading and level and len(heading[1]) <= level:
                level = 0
            found += [line] if level else []
    return "\n".join(found)


@pytest.mark.parametrize(("term", "link"), [(term, link) for term, _, link in ENTRIES], ids=TERMS)
def test_the_section_that_an_entry_leads_to_speaks_of_the_term(term, link):
    text = section(*LINK.fullmatch(link)[2].split("#", 1))
    if term in IN_OTHER_WORDS:
        assert IN_OTHER_WORDS[term] in text
    else:
        for word in re.findall(r"\w+", term):
            assert re.search(rf"{word[:5]}", text, re.IGNORECASE), word


def test_a_section_that_does_not_speak_of_a_term_is_told():
    """The interval was once said to be explained where a comparison is made."""
    text = section("../practice/few-shot-images.ipynb", "How-many-test-tasks")
    assert IN_OTHER_WORDS["Confidence interval"] in text
    assert "## The table" not in text
    assert IN_OTHER_WORDS["Confidence interval"] not in section("../practice/baselines.ipynb", "The-comparison")
    assert section("../practice/baselines.ipynb", "No-such-section") == ""


def test_every_form_is_of_a_term_and_every_term_is_found_in_the_book(extension):
    assert set(extension.FORMS) <= set(TERMS)
    text = "\n".join(prose(load(path)) for path in notebooks())
    used = {term for term in TERMS if re.search(rf"(?<![\w-])(?:{extension.pattern((term,)).pattern})", text)}
    assert used == set(TERMS)


def test_a_term_is_found_by_its_name_unless_that_is_an_ordinary_word(extension):
    missed = {term for term in TERMS if not extension.first_uses(f"So {term}.", (term,), {term})}
    assert missed == {"In-context learning", "Return", "Shot", "Trace", "Way"}


CONFIGURATION = """
import sys
sys.path.insert(0, {extensions!r})
extensions = ["myst_nb", "glossary_links"]
nb_execution_mode, root_doc = "off", "book/page"
exclude_patterns = ["html"]
"""
PAGE = """# A task

A task is drawn, the *query loss* is taken, and `task` stays. Another task.

```{toctree}
appendix/glossary
```
"""
ENTRY = """# Glossary

```{glossary}
Query loss
  The loss of the "adapted" weights.
  See [A task](../page.md).

Task
  A small learning problem. It has data.
  See [A task](../page.md).
```
"""


def test_the_built_page_has_the_links_and_the_search_the_words(tmp_path):
    (tmp_path / "book/appendix").mkdir(parents=True)
    (tmp_path / "conf.py").write_text(CONFIGURATION.format(extensions=str(ROOT / "book/_ext")))
    (tmp_path / "book/page.md").write_text(PAGE)
    (tmp_path / "book/appendix/glossary.md").write_text(ENTRY)
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-W", "-b", "html", tmp_path, tmp_path / "html"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "html/book/page.html").read_text()
    links = re.findall(r'<a class="glossed reference internal" href="([^"]*)" title="([^"]*)">([^<]*)</a>', html)
    assert links == [
        ("appendix/glossary.html#term-Task", "Task: A small learning problem. It has data.", "task"),
        ("appendix/glossary.html#term-Query-loss", "Query loss: The loss of the “adapted” weights.", "query loss"),
    ]
    glossary = (tmp_path / "html/book/appendix/glossary.html").read_text()
    assert all(f'id="{href.partition("#")[2]}"' in glossary for href, _, _ in links)
    assert "glossed" not in glossary
    assert "glossed" not in (tmp_path / "html/searchindex.js").read_text()
