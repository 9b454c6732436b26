"""The notebooks are plain Jupyter Markdown, and the site puts back what it has for each plain form."""

import copy
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from pybtex.database import parse_file

from mamlbook import ALGORITHMS
from site_extension import site_extension
from tools.book import ROOT, notebooks
from tools.notebooks import FOLDS, SOLUTION, is_solution, load, normalise, text, write

NOTEBOOKS = notebooks()
LINK = re.compile(r"\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)")
VERDICT = re.compile(r"\*\*(true when|true|false|not settled)\*\*")
CAPTION = re.compile(r"\*Figure\. [^*]+[^*\s]\*")
PAPER = "https://arxiv.org/abs/1703.03400"
BOX = re.compile(r"(?:\A|\n\n)> \*\*([^*]+)\*\*\n>\n> ")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def extension():
    """Give the module of the site that makes the page."""
    return site_extension("plain_pages")


@pytest.fixture(scope="module")
def entries():
    """Give the entries of the bibliography."""
    return parse_file(str(ROOT / "book/references.bib")).entries


def prose(notebook) -> str:
    """Give the text of a notebook's Markdown cells."""
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


# ---------------------------------------------------------------- no mark that a plain viewer shows as source

# What MyST or another dialect reads as a mark and Jupyter does not, each with an example.
RAW = {
    "role": (r"\{[\w:.+-]+\}`", "{cite:t}`finn2017`"),
    "attributes": (r"[\])`]\{[^}\n]*[.#=][^}\n]*\}", "[false]{.no}"),
    "fence of colons": (r"^ *:{3,}", ":::{admonition} Summary"),
    "directive": (r"^ *[`~]{3,}\s*\{", "```{note}"),
    "option": (r"^:[\w-]+:", ":class: tip"),
    "target": (r"^\([\w-]+\)=\s*$", "(here)="),
    "label of a formula": (r"\$\$\s*\([\w:-]+\)", "$$ (eq-objective)"),
    "substitution": (r"\{\{\s*\w+\s*\}\}", "{{ name }}"),
    "comment": (r"^%", "% later"),
    "block break": (r"^\+\+\+", "+++"),
    "definition": (r"^: ", ": a term"),
    "footnote": (r"\[\^[\w-]+\]", "[^1]"),
    "alert of one viewer": (r"^> *\[![A-Z]+\]", "> [!NOTE]"),
    "reference in double brackets": (r"\[\[", "[[objective]]"),
    "link without words": (r"\[\]\(", "[](objective.ipynb)"),
    "front matter": (r"\A---$", "---"),
}
CODE = re.compile(r"^ *(```|~~~)(?! *\{).*?^ *\1|(?<![}`])`[^`\n]+`", re.MULTILINE | re.DOTALL)
MATHS = re.compile(r"\$\$.*?\$\$|(?<![\\$])\$[^$\n]+\$", re.DOTALL)


def raw(source: str) -> list[str]:
    """Name the marks of a Markdown cell that a plain viewer shows as source; code and formulas may hold anything."""
    plain = MATHS.sub("$$", CODE.sub("code", source))
    return [name for name, (pattern, _) in RAW.items() if re.search(pattern, plain, re.MULTILINE)]


@every_notebook
def test_shows_no_mark_as_source(path):
    found = [(raw(cell.source), cell.source) for cell in load(path).cells if cell.cell_type == "markdown"]
    assert not [marks for marks in found if marks[0]]


# A line that begins with HTML is HTML to the next empty line: Markdown in it stays source.
IN_HTML = re.compile(r"<summary>(?:(?!</summary>).)*[`$*]", re.DOTALL)


@every_notebook
def test_a_summary_holds_no_markdown(path):
    assert not IN_HTML.findall(prose(load(path)))


def test_markdown_in_a_summary_is_found():
    assert IN_HTML.search("<details><summary>With `net.eval()`.</summary>")
    assert not IN_HTML.search("<details><summary>With <code>net.eval()</code>.</summary>\n\n`a`\n\n</details>")


@pytest.mark.parametrize(("name", "example"), [(name, example) for name, (_, example) in RAW.items()])
def test_every_mark_is_found(name, example):
    assert name in raw(example)
    assert not raw(f"A line.\n\n```python\n{example}\n```")


def test_code_and_formulas_are_no_marks():
    assert not raw("`x[^1]` and `[a]{.b}`, $\\{x\\}$, $x_{{ij}}$ and\n\n$$\n\\phi^{(s)}\n$$\n\n[words](page.ipynb)")


# ---------------------------------------------------------------- citations and references


def test_every_entry_of_the_bibliography_has_one_address_of_its_own(extension, entries):
    addresses = [extension.address(entry) for entry in entries.values()]
    assert all(address and address.startswith("https://") for address in addresses)
    assert len(set(addresses)) == len(addresses)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("finn2017", "Finn et al. (2017)"),  # three authors
        ("glorot2010", "Glorot and Bengio, 2010"),
        ("khabarlak2022", "Khabarlak (2022)"),
    ],
)
def test_a_citation_names_authors_and_year(extension, entries, key, words):
    assert words in extension.forms(entries[key])


def wrongly_cited(source: str, extension, entries) -> list[str]:
    """List the links to papers of the bibliography that have other words than authors and year."""
    forms = {extension.address(entry): extension.forms(entry) for entry in entries.values()}
    return [words for words, target in LINK.findall(source) if target in forms and words not in forms[target]]


@every_notebook
def test_a_link_to_a_paper_names_its_authors_and_year(path, extension, entries):
    assert not wrongly_cited(prose(load(path)), extension, entries)


def test_so_does_a_docstring(extension, entries):
    for path in (ROOT / "mamlbook").rglob("*.py"):
        assert not wrongly_cited(" ".join(path.read_text().split()), extension, entries), path


def test_a_wrong_year_is_found(extension, entries):
    links = [f"[{words}]({PAPER})" for words in ("Finn et al. (2017)", "Finn et al., 2018", "MAML", "Finn (2017)")]
    assert wrongly_cited(", ".join(links), extension, entries) == ["Finn et al., 2018", "MAML", "Finn (2017)"]


def headings(path: Path) -> set[str]:
    """List the anchors of a page, as Jupyter makes them from its headings."""
    source = path.read_text() if path.suffix == ".md" else prose(load(path))
    return {line.replace("`", "").replace(" ", "-") for line in re.findall(r"^#{1,6} +(.*?) *$", source, re.MULTILINE)}


def dead(path: Path, source: str) -> list[str]:
    """List the links of a page to pages or sections that are not there."""
    missing = []
    for target in [target for _, target in LINK.findall(source) if not target.startswith("https://")]:
        name, _, section = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        if page.suffix not in (".ipynb", ".md") or not page.is_file() or (section and section not in headings(page)):
            missing.append(target)
    return missing


@every_notebook
def test_every_link_leads_to_a_page_and_a_section(path):
    assert not dead(path, prose(load(path)))


def test_a_link_that_leads_nowhere_is_found():
    path = ROOT / "book/variants/implicit.ipynb"
    there = "[a](unrolling.ipynb) [b](#Exactly,-on-two-bowls) [c](../appendix/notation.md#The-formula)"
    assert not dead(path, there)
    nowhere = ["nowhere.ipynb", "#nowhere", "unrolling.ipynb#Nowhere", "unrolling", "/book/variants/unrolling.ipynb"]
    assert dead(path, " ".join(f"[a]({target})" for target in nowhere)) == nowhere


# ---------------------------------------------------------------- solutions, captions, verdicts


@every_notebook
def test_every_exercise_has_a_solution_and_every_solution_is_folded(path):
    cells = [cell for cell in load(path).cells if cell.cell_type == "code"]
    for exercise, solution in zip(cells, [*cells[1:], None], strict=True):
        if re.search(r"= \.\.\.", exercise.source):
            assert solution is not None
            assert is_solution(solution), exercise.source
            assert solution.source.startswith(f"{SOLUTION}\n")
            assert solution.metadata.items() >= FOLDS["hide-cell"].items()


def test_what_is_tagged_is_folded():
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell("answer = 1", metadata={"tags": [tag]}) for tag in FOLDS]
    for cell, folds in zip(normalise(copy.deepcopy(notebook)).cells, FOLDS.values(), strict=True):
        assert cell.metadata.items() >= folds.items()
    assert normalise(notebook).cells[0].source == f"{SOLUTION}\nanswer = 1"


def spoilt(notebook) -> list[str]:
    """List what folded outputs show of themselves and should not: JupyterLab leaves their first line to be seen."""
    folded = [cell.outputs[0] for cell in notebook.cells if "hide-output" in cell.metadata.get("tags", [])]
    firsts = [(output.get("text") or next(iter(output.data.values()))).split("\n")[0] for output in folded]
    return [line for line in firsts if re.search(r"[0-9`<]", line)]


@every_notebook
def test_a_folded_output_begins_with_a_line_that_tells_nothing(path):
    assert not spoilt(load(path))


def test_a_line_that_tells_is_found():
    outputs = [
        nbformat.v4.new_output("stream", text="code   verdict\nfirst 0.5"),
        nbformat.v4.new_output("stream", text="first 0.5"),
        nbformat.v4.new_output("display_data", data={"text/markdown": "```python\nx\n```"}),
    ]
    hidden = {"tags": ["hide-output"]}
    cells = [nbformat.v4.new_code_cell("1", outputs=[output], metadata=hidden) for output in outputs]
    assert spoilt(nbformat.v4.new_notebook(cells=cells)) == ["first 0.5", "```python"]


@every_notebook
def test_a_page_names_only_rows_that_there_are(path):
    named = re.findall(r"\brow `([^`]+)`", prose(load(path)))
    assert set(named) <= set(ALGORITHMS)


def pictures(cell) -> int:
    """Count the stored pictures of a cell."""
    return sum("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def uncaptioned(notebook) -> list[str]:
    """List the pictures without a caption under them, and the captions without a picture above."""
    wrong = []
    for above, cell in zip([None, *notebook.cells], [*notebook.cells, None], strict=True):
        caption = cell is not None and cell.cell_type == "markdown" and cell.source.startswith("*Figure.")
        pictured = above is not None and pictures(above)
        if caption != bool(pictured) or pictured > 1 or (caption and not CAPTION.fullmatch(cell.source)):
            wrong.append((above or cell).source)
    return wrong


@every_notebook
def test_every_picture_has_its_caption_under_it_and_words_for_who_cannot_see_it(path):
    notebook = load(path)
    assert not uncaptioned(notebook)
    for cell in notebook.cells:
        if pictures(cell):
            assert len(cell.metadata["mystnb"]["image"]["alt"]) > 40


def test_a_picture_without_a_caption_is_found():
    notebook = next(found for path in NOTEBOOKS if any(map(pictures, (found := load(path)).cells)))
    at = next(number for number, cell in enumerate(notebook.cells) if pictures(cell))
    without, astray, open_ended = (copy.deepcopy(notebook) for _ in range(3))
    del without.cells[at + 1]
    astray.cells.insert(at + 1, nbformat.v4.new_markdown_cell("Between."))
    open_ended.cells[at + 1].source += " And more."
    assert [len(uncaptioned(found)) for found in (without, astray, open_ended)] == [1, 2, 1]


def verdict_cells(source: str) -> list[str]:
    """List what stands in the columns that are called Verdict."""
    found, column = [], None
    for line in source.split("\n"):
        row = [entry.strip() for entry in line.strip().strip("|").split(" | ")] if line.startswith("|") else []
        if "Verdict" in row:
            column = row.index("Verdict")
        elif not row:
            column = None
        elif column is not None and not set(line) <= set("|- :"):
            found.append(row[column])
    return found


@every_notebook
def test_every_verdict_begins_with_a_bold_word_of_the_site(path, extension):
    verdicts = verdict_cells(prose(load(path)))
    assert all(found and found[1] in extension.VERDICTS for found in map(VERDICT.match, verdicts)), verdicts
    assert path.stem == "index" or 4 <= len(verdicts) <= 5


# ---------------------------------------------------------------- what the site makes of them


def article(built: Path, path: Path) -> str:
    """Give the HTML of a page of the book."""
    page = (built / path.relative_to(ROOT).with_suffix(".html")).read_text("utf-8")
    return page[page.index("<article") : page.index("</article>")]


@every_notebook
def test_the_site_has_every_citation_verdict_box_and_caption(path, built, extension, entries):
    source, html = prose(load(path)), article(built, path)
    addresses = {extension.address(entry) for entry in entries.values()}
    citations = [words for words, target in LINK.findall(source) if target in addresses]
    spans = re.findall(r'<span class="bibtex-citation".*?</span>', html)
    assert [re.sub(r"<.*?>", "", span) for span in spans] == citations
    assert all(re.search(r'href="[^"]*bibliography\.html#\S+" title="[^"]{40,}"', span) for span in spans)
    assert len(re.findall(r'<span class="(?:yes|no|when)">', html)) == len(VERDICT.findall(source))
    titles = re.findall(r'<div class="[^"]*admonition">\s*<p class="admonition-title">(.*?)</p>', html)
    assert titles == BOX.findall(source)
    numbered = re.findall(r'<figcaption>\s*<p><span class="caption-number">Fig\. \d+ </span>', html)
    assert len(numbered) == len(CAPTION.findall(source))
    assert "@title" not in html
    assert html.count("Show the solution") == sum(map(is_solution, load(path).cells))


CONFIGURATION = """
import sys
sys.path.insert(0, {extensions!r})
extensions = ["myst_nb", "sphinxcontrib.bibtex", "plain_pages"]
nb_execution_mode, numfig, root_doc = "off", True, "page"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors, myst_heading_slug_func = 3, "plain_pages.anchor"
bibtex_bibfiles, bibtex_reference_style = ["references.bib"], "author_year_round"
"""
FAULTS = {
    f"[Finn et al. (2018)]({PAPER})": "'Finn et al. (2018)' links to finn2017",
    f"[the paper]({PAPER})": "'the paper' links to finn2017",
    "[a](nowhere.ipynb)": "not found: 'nowhere.ipynb'",
    "[a](#nowhere)": "not found: 'nowhere' ",
    "*Figure. A caption without a picture.*": "a caption that does not stand right after one picture",
}


def build(folder: Path, *cells) -> tuple[str, str]:
    """Build a book of one notebook; give its HTML and its warnings."""
    references = (ROOT / "book/references.bib").read_text()
    (folder / "references.bib").write_text(references[: references.index("\n}\n") + 3])
    (folder / "conf.py").write_text(CONFIGURATION.format(extensions=str(ROOT / "book/_ext")))
    bibliography = nbformat.v4.new_markdown_cell("## Papers\n\n```{bibliography}\n```")
    write(folder / "page.ipynb", text(normalise(nbformat.v4.new_notebook(cells=[*cells, bibliography]))))
    command = [sys.executable, "-m", "sphinx", "-q", "-n", "-b", "html", folder, folder / "html"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return (folder / "html/page.html").read_text(), done.stderr


def test_every_fault_of_a_page_is_a_warning_of_the_build(tmp_path):
    cells = [nbformat.v4.new_markdown_cell(line) for line in ("# Faults", *FAULTS)]
    warnings = build(tmp_path, *cells)[1]
    assert not [said for said in FAULTS.values() if said not in warnings], warnings


def test_every_plain_form_becomes_what_the_site_has_for_it(tmp_path):
    picture = nbformat.v4.new_output("display_data", data={"image/png": "iVBORw0KGgo=", "text/plain": "a picture"})
    cells = [
        nbformat.v4.new_markdown_cell(
            f"# A page, with signs\n\n[Finn et al. (2017)]({PAPER}), **true when** it rains."
        ),
        nbformat.v4.new_code_cell(f"{SOLUTION}\nanswer = 1", outputs=[picture]),
        nbformat.v4.new_markdown_cell("*Figure. Here is $x$.*"),
        nbformat.v4.new_markdown_cell(
            "> **Summary**\n>\n> - One point.\n\n> A quotation.\n\n[up](#A-page,-with-signs)"
        ),
    ]
    html, warnings = build(tmp_path, *cells)
    assert not warnings
    assert re.search(
        r'<span class="bibtex-citation" id="id\d+">Finn <em>et al\.</em> \(<a [^>]*>2017</a>\)</span>', html
    )
    assert '<span class="when">true when</span>' in html
    assert re.search(r'<span class="caption-number">Fig\. 1 </span><span class="caption-text">Here is <span', html)
    assert re.search(r'<div class="summary admonition">\s*<p class="admonition-title">Summary</p>', html)
    assert html.count("<blockquote>") == 1
    assert '<a class="reference internal" href="#a-page-with-signs">up</a>' in html
    assert "@title" not in html


def test_a_link_in_an_output_leads_to_the_built_page(tmp_path):
    link = (
        '<a href="../variants/page.ipynb#Exactly,-on-two-bowls?">a</a> <a href="other.ipynb">b</a> <i>"x.ipynb y"</i>'
    )
    output = nbformat.v4.new_output("display_data", data={"text/html": link, "text/plain": "links"})
    cells = [
        nbformat.v4.new_markdown_cell("# A page\n\n`page.ipynb`"),
        nbformat.v4.new_code_cell("1", outputs=[output]),
    ]
    html, warnings = build(tmp_path, *cells)
    assert not warnings
    assert '<a href="../variants/page.html#exactly-on-two-bowls">a</a> <a href="other.html">b</a>' in html
    assert '"x.ipynb y"' in html
    assert "page.ipynb</span>" in html
