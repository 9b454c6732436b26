"""The ledger of what the pages say: complete, and moved by what moves."""

import subprocess
import sys

import nbformat
import pytest

from need import need
from tools.book import ROOT, notebooks
from tools.ledger import again, at, entries, found, main, moved, of_the_book

CODE, MARKDOWN = nbformat.v4.new_code_cell, nbformat.v4.new_markdown_cell


def cell(source, printed="", **metadata):
    outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)] if printed else []
    return CODE(source, id=metadata.pop("id", "some"), metadata=metadata, outputs=outputs)


@pytest.fixture
def page():
    table = "| Claim | Verdict |\n| --- | --- |\n| It works. | **true when** rates are small | 0.5 against 2 |"
    return nbformat.v4.new_notebook(
        cells=[
            cell("check(...)", "✓ two ways: agree: below 1e-12\n✓ it holds\nno number here\n"),
            cell("print(error)", "error 0.25\n", id="error", tags=["nbval-rtol:1e-2", "nbval-atol:1e-12"]),
            cell("print(time)", "12 seconds\n", id="time", tags=["nbval-ignore-output"]),
            MARKDOWN(table),
        ]
    )


def test_what_a_page_says_is_found(page):
    checked, bare, printed, verdict = entries("some/page", page)
    assert checked[2:] == ("check", "two ways: agree", "below 1e-12", "the same text")
    assert bare[2:5] == ("check", "it holds", "true")
    assert printed == ("some/page", "error", "printed", "error 0.25", "", "rtol 1e-2, atol 1e-12")
    assert verdict[2:5] == ("verdict", "It works.", "**true when** rates are small 0.5 against 2")


def test_nothing_that_the_book_says_is_left_out():
    """Counted in the files themselves, by what a check prints and by how a verdict is set."""
    texts = [path.read_text("utf-8") for path in notebooks()]
    listed = of_the_book()
    assert sum(text.count('"✓ ') for text in texts) == sum(entry.kind == "check" for entry in listed)
    rows = sum(text.count(" | **" + word) for text in texts for word in ("true", "false", "not settled"))
    assert rows == sum(entry.kind == "verdict" for entry in listed)


def test_a_number_that_moves_is_named(page):
    before = entries("some/page", page)
    page.cells[1].outputs[0].text = "error 0.26\n"
    assert moved(before, entries("some/page", page)) == ["-some/page  error 0.25", "+some/page  error 0.26"]
    assert not moved(before, before)


def test_a_page_is_run_again(tmp_path):
    path = tmp_path / "book/part/page.ipynb"
    path.parent.mkdir(parents=True)
    notebook = nbformat.v4.new_notebook(cells=[cell("print(1 + 1)", "3\n"), cell("print(0.5)", "0.5\n", id="same")])
    nbformat.write(notebook, path)
    stored = path.read_text()
    assert again(path, tmp_path) == ["-part/page  3", "+part/page  2"]
    assert path.read_text() == stored


def test_a_revision_can_be_compared():
    asked = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True)
    need(asked.returncode == 0, "the working tree is no git repository")
    assert "variants/reptile" in {entry.page for entry in at("HEAD")}
    with pytest.raises(ValueError, match="revision: expected one of this repository, got 'nowhere'"):
        at("nowhere")


def test_a_page_is_known_by_its_name():
    assert found("variants/reptile") == found("reptile") == ROOT / "book/variants/reptile.ipynb"
    with pytest.raises(ValueError, match=r"page: expected one of .*variants/reptile.*, got 'reptiles'"):
        found("reptiles")


def test_the_command_lists_a_page_and_refuses_another(capsys):
    main(["--page", "reptile"])
    listed = capsys.readouterr().out.splitlines()
    assert listed
    assert all(line.startswith("variants/reptile  ") for line in listed)
    done = subprocess.run(
        [sys.executable, "-m", "tools.ledger", "--page", "x"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("page: expected one of")
