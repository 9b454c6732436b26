"""The first page: every chapter has its card with its length, in order, and every path says how long it is."""

import re
import subprocess
import sys

import nbformat
import pytest

from site_extension import site_extension
from tools.book import ROOT, notebooks, pages
from tools.notebooks import load

INDEX = ROOT / "book/index.ipynb"
LINK = re.compile(r"\]\(([\w/-]+)\.ipynb\)")


@pytest.fixture(scope="module")
def extension():
    """Give the module of the site that says how long chapters are."""
    return site_extension("chapters")


def prose() -> str:
    """Give the text of the first page."""
    return "\n\n".join(cell.source for cell in load(INDEX).cells if cell.cell_type == "markdown")


def paths() -> dict[str, list[str]]:
    """List the pages of each path by its bold words."""
    section = prose().split("## Three paths")[1].split("\n## ")[0]
    points = re.findall(r"^- \*\*(.*?)\.\*\* (.*)$", section, re.MULTILINE)
    return {name: LINK.findall(words) for name, words in points}


def minutes(extension, names) -> int:
    """Add up the time of these pages."""
    return sum((extension.length(ROOT / f"book/{name}.ipynb") for name in names), extension.Length()).minutes


def test_every_chapter_has_one_card_in_the_order_of_the_book():
    rows = [line for line in prose().split("\n") if line.startswith("| [")]
    listed = [LINK.search(line)[1] for line in rows]
    chapters = [page.removeprefix("book/") for page in pages() if (ROOT / f"{page}.ipynb").is_file()]
    assert listed == [name for name in chapters if name != "index"]


def test_paths_lead_to_chapters_and_take_as_long_as_they_say(extension):
    chapters = {path.relative_to(ROOT / "book").with_suffix("").as_posix() for path in notebooks()}
    found = paths()
    assert list(found) == ["An evening", "A course", "A researcher"]
    assert all(len(names) > 3 and set(names) <= chapters for names in found.values())
    assert 60 <= minutes(extension, found["An evening"]) <= 120
    everything = minutes(extension, chapters - {"index"})
    assert minutes(extension, found["A course"]) / everything == pytest.approx(1 / 3, abs=0.03)


def test_the_words_for_a_task_stand_before_they_are_used():
    text = prose()
    told = text.index("## The words for a task")
    for word in ("support", "query", "episode", "shot", "ways"):
        assert text.index(word) > told, word


def a_page(*words: str):
    """Give a notebook of these Markdown cells and one code cell."""
    cells = [nbformat.v4.new_markdown_cell(one) for one in words]
    return nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell("1")])


def test_a_page_says_how_long_it_takes(extension, tmp_path):
    path = tmp_path / "page.ipynb"
    nbformat.write(a_page("# Page", "> - **Time** twenty-five minutes to read; to run, a minute."), path)
    assert extension.length(path) == (25, 1)
    nbformat.write(a_page("# Page", "> - **Time** some minutes to read."), path)
    with pytest.raises(ValueError, match=r"page\.ipynb: expected \*\*Time\*\*"):
        extension.length(path)
    assert str(extension.Length(65, 7)) == "1 h 5 min to read, 7 code cells"
    assert str(extension.Length(15, 0) + extension.Length(20, 2)) == "35 min to read, 2 code cells"
    assert str(extension.Length(120, 2)) == "2 h to read, 2 code cells"


CONFIGURATION = """
import sys
sys.path.insert(0, {extensions!r})
extensions = ["myst_nb", "chapters"]
nb_execution_mode, root_doc = "off", "page"
"""


def test_the_site_makes_cards_and_completes_paths(tmp_path):
    (tmp_path / "conf.py").write_text(CONFIGURATION.format(extensions=str(ROOT / "book/_ext")))
    table = "| Chapter | What it answers |\n| --- | --- |\n| [One](one.ipynb) | Why? |\n| [Two](two.ipynb) | How? |"
    other = "| Verdict | Number |\n| --- | --- |\n| [One](one.ipynb) | 1 |"
    path = "- **Both.** [One](one.ipynb), [Two](two.ipynb)\n- **Alone.** [One](one.ipynb)"
    time = "> **At a glance**\n>\n> - **Time**"
    words = {
        "page": f"# Page\n\n{table}\n\n{other}\n\n{path}",
        "one": f"# One\n\n{time} half an hour to read",
        "two": f"# Two\n\n{time} forty minutes to read",
    }
    for name, source in words.items():
        nbformat.write(a_page(source), tmp_path / f"{name}.ipynb")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", tmp_path, tmp_path / "html"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    html = (tmp_path / "html/page.html").read_text()
    cards = re.findall(r'<div class="chapter docutils container">(.*?)</div>', html, re.DOTALL)
    assert [re.sub(r"<.*?>|\n", " ", card).split() for card in cards] == [
        ["One", "Why?", "30", "min", "to", "read,", "1", "code", "cells"],
        ["Two", "How?", "40", "min", "to", "read,", "1", "code", "cells"],
    ]
    assert html.count("<table") == 1
    assert '<p class="chapters-total">All chapters: 1 h 10 min to read, 2 code cells.</p>' in html
    assert re.findall(r'<span class="path-time">(.*?)</span>', html) == [" 1 h 10 min to read, 2 code cells."]
