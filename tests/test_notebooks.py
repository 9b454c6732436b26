"""The notebooks: written as the house writes them, compared strictly, and able to run alone on Colab."""

import copy
import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import nbformat
import pytest

from compared import nbval, save
from mamlbook.pages.nbval_tolerance import TAG, agree, tolerances
from need import need
from tools.book import ROOT, SETUP_TAGS, is_setup, notebooks, pages, repository, setup_source
from tools.notebooks import SOLUTION, load, normalise, text, write

NOTEBOOKS = notebooks()
LINES_IN_A_CELL = 25
LINES_ON_A_PAGE = 120  # that are seen, of at most 82 characters
WORDS_ON_A_PAGE = 2_500
IGNORED_CELLS = 2
IGNORING = re.compile(r"nbval[-_](ignore[-_]output|skip)", re.IGNORECASE)
RUNNING_ON = r"mamlbook \S+, torch \S+, .+\n"
TOLD = 2  # times at most that a page says one number with its interval
INTERVAL = re.compile(r"(?<![\d.])(\d[\d,]*(?:\.\d+)?)\s*(?:±|\\pm)\s*(\d[\d,]*(?:\.\d+)?)")
FORBIDDEN = re.compile(r"^\s*(?:import|from)\s+matplotlib|torch\.manual_seed", re.MULTILINE)

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(notebook, setup: bool = True) -> list:
    """List the code cells, with or without the set-up cell."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and (setup or not is_setup(cell))]


def code_lines(cell) -> int:
    """Count the lines of a cell that are neither empty nor its title."""
    return sum(bool(line.strip()) and line != SOLUTION for line in cell.source.splitlines())


def texts(cell) -> list[str]:
    """List the stored outputs of a cell that nbval compares as text."""
    plain = [output["data"].get("text/plain", "") for output in cell.outputs if "data" in output]
    return plain + [output["text"] for output in cell.outputs if output.output_type == "stream"]


# ---------------------------------------------------------------- how they are written


def test_every_page_of_the_table_of_contents_exists_once():
    missing = [
        page for page in pages() if sum((ROOT / f"{page}{suffix}").is_file() for suffix in (".ipynb", ".md")) != 1
    ]
    assert not missing
    strangers = set(ROOT.glob("book/**/[!.]*.ipynb")) - set(NOTEBOOKS)
    assert not [path for path in strangers if ".ipynb_checkpoints" not in path.parts]


@every_notebook
def test_is_stored_in_normal_form(path):
    assert path.read_text() == text(normalise(load(path))), "run: make notebooks"


@every_notebook
def test_was_run_from_top_to_bottom(path):
    cells = code_cells(load(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), "run: make notebooks"
    assert all(cell.source.strip() for cell in cells), "an empty cell"


@every_notebook
def test_stores_no_error_that_is_not_meant(path):
    for cell in code_cells(load(path)):
        if "raises-exception" not in cell.metadata.get("tags", []):
            assert not [output for output in cell.outputs if output.output_type == "error"], cell.source


@every_notebook
def test_stores_nothing_that_went_to_stderr(path):
    for cell in code_cells(load(path)):
        assert not [output.text for output in cell.outputs if output.get("name") == "stderr"], cell.source


@every_notebook
def test_almost_every_output_is_compared(path):
    ignored = [
        cell
        for cell in code_cells(load(path), setup=False)
        if IGNORING.search(" ".join([*cell.metadata.get("tags", []), cell.source]))
    ]
    assert len(ignored) <= IGNORED_CELLS


@every_notebook
def test_tolerances_are_readable_and_narrow(path):
    for cell in code_cells(load(path)):
        tags = [tag for tag in cell.metadata.get("tags", []) if tag.startswith(("nbval-rtol", "nbval-atol"))]
        assert all(TAG.fullmatch(tag) for tag in tags), tags
        assert tolerances(tags).get("rtol", 0) <= 0.1
        assert tolerances(tags).get("atol", 0) <= 0.1


@every_notebook
def test_leaves_plotting_and_seeding_to_the_package(path):
    for cell in code_cells(load(path)):
        assert not FORBIDDEN.search(cell.source), cell.source


@every_notebook
def test_is_short_enough_to_read(path):
    cells = code_cells(load(path), setup=False)
    seen = [cell for cell in cells if not any(tag.startswith("hide-") for tag in cell.metadata.get("tags", []))]
    assert max(map(code_lines, cells), default=0) <= LINES_IN_A_CELL
    assert sum(map(code_lines, seen)) <= LINES_ON_A_PAGE
    prose = "\n".join(cell.source for cell in load(path).cells if cell.cell_type == "markdown")
    assert len(re.sub(r"\$\$.*?\$\$|\$[^$]*\$|</?[a-z][^<>]*>", " ", prose, flags=re.DOTALL).split()) <= WORDS_ON_A_PAGE


def told_too_often(notebook) -> list[str]:
    """List the numbers with an interval that a page says more than twice; an output, a paragraph, a row counts once."""
    places = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            places += cell.source.split("\n")
        else:
            shown = [output.get("text") or output.get("data", {}).get("text/html", "") for output in cell.outputs]
            places.append("\n".join([*shown, *texts(cell)]))
    said = Counter(number for place in places for number in {f"{a} ± {b}" for a, b in INTERVAL.findall(place)})
    return [number for number, times in said.items() if times > TOLD]


@every_notebook
def test_tells_a_number_with_its_interval_twice_at_most(path):
    assert not told_too_often(load(path))


def test_a_number_that_is_told_three_times_is_found():
    html = {"text/html": "<td>0.28 ± 0.13</td><td>0.28 ± 0.13</td>", "text/plain": "<HTML>"}
    outputs = [
        nbformat.v4.new_output("stream", text="0.28 ± 0.13\n0.28 ± 0.13\n"),
        nbformat.v4.new_output("display_data", html),
    ]
    row, paragraph = "| ahead | $0.28\\pm0.13$ and 1.28 ± 0.13 |", "Ahead by −0.28 ± 0.13, and by 5.28 ± 0.13."
    for output in outputs:
        notebook = nbformat.v4.new_notebook()
        notebook.cells = [nbformat.v4.new_code_cell("1", outputs=[output]), nbformat.v4.new_markdown_cell(row)]
        assert told_too_often(notebook) == []
        notebook.cells.append(nbformat.v4.new_markdown_cell(paragraph))
        assert told_too_often(notebook) == ["0.28 ± 0.13"]


@every_notebook
def test_begins_with_the_set_up_cell(path):
    cells = code_cells(load(path))
    assert [is_setup(cell) for cell in cells] == [True] + [False] * (len(cells) - 1)
    assert cells[0].source == setup_source(repository())
    assert cells[0].metadata["tags"] == SETUP_TAGS
    (printed,) = cells[0].outputs
    assert re.fullmatch(RUNNING_ON, printed["text"])


def test_normalising_again_changes_nothing(tmp_path):
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {}})
    notebook.cells.append(nbformat.v4.new_code_cell("1 + 1  ", metadata={"tags": ["a"], "collapsed": False}))
    once = text(normalise(notebook))
    path = tmp_path / "page.ipynb"
    assert write(path, once)
    assert text(normalise(load(path))) == once
    assert not write(path, once)
    assert list(tmp_path.iterdir()) == [path]


# ---------------------------------------------------------------- the tolerance


@pytest.mark.parametrize(
    ("stored", "new", "same"),
    [
        ("loss 1.2345", "loss 1.2346", True),
        ("loss 1.2345", "loss 1.2962", False),  # 5 %
        ("loss 1.2345", "gain 1.2345", False),
        ("[ 9.99, 3]", "[10.01, 3]", True),
        ("step 100 loss 1.0", "step 101 loss 1.0", False),  # integers are exact
        ("0.12", "0.13", True),  # one step of the last digit may be rounding
        ("0.01", "0.02", False),  # not when it doubles the number
        ("0.5", "0.534", False),  # digits of another length are no rounding
        ("1.2e-07", "1.5e-07", False),  # small is no excuse
        ("1e-16", "3e-16", False),
        ("0.0", "1e-9", False),
        ("1.0", "nan", False),
        ("nan", "nan", True),
        ("-1.000", "1.000", False),
        ("1. 2.", "1. 3.", False),  # how torch and numpy print whole numbers
        ("1.234s", "1.235s", True),
        ("conv4 1.0", "conv5 1.0", False),
        ("tensor([0.1000, 2.0000])", "tensor([0.1001, 2.0003])", True),
        ("1.0", "1.0 1.0", False),
    ],
)
def test_agreement_under_one_per_cent(stored, new, same):
    assert agree(stored, new, rtol=1e-2) is same
    assert agree(new, stored, rtol=1e-2) is same


def test_small_numbers_are_forgiven_only_on_request():
    assert agree("1e-16", "3e-16", rtol=1e-2, atol=1e-12)
    assert not agree("1e-10", "3e-10", rtol=1e-2, atol=1e-12)


@pytest.mark.parametrize(
    ("tags", "stored", "status"),
    [
        ([], "loss 1.2345", 0),
        ([], "loss 1.2346", 1),
        (["nbval-rtol:1e-2"], "loss 1.2346", 0),
        (["nbval-rtol:1e-2"], "loss 1.2962", 1),
    ],
)
def test_a_tag_sets_the_tolerance_of_its_cell(tmp_path, tags, stored, status):
    cell = nbformat.v4.new_code_cell("print('loss 1.2345')", metadata={"tags": tags}, execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", text=f"{stored}\n")]
    path = tmp_path / "page.ipynb"
    write(path, text(normalise(nbformat.v4.new_notebook(cells=[cell]))))
    assert nbval(tmp_path, path)[0] == status


# ---------------------------------------------------------------- a wrong number fails


def with_number(notebook) -> tuple[int, str] | None:
    """Find the first compared output that holds a number of three digits or more; give its cell and the number."""
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code" or IGNORING.search(" ".join([*cell.metadata.get("tags", []), cell.source])):
            continue
        for output in texts(cell):
            if found := re.search(r"(?<![\w.])[1-9]\d*\.\d{2,}(?![\w.])", output):
                return index, found[0]
    return None


def with_inner_step(notebook) -> int | None:
    """Find the cell that writes the inner step by hand."""
    steps = [i for i, c in enumerate(notebook.cells) if c.cell_type == "code" and re.search(r"- alpha \*", c.source)]
    return steps[0] if steps else None


def first_page(found):
    """Give the first notebook in which the given search finds something, and what it found."""
    for path in NOTEBOOKS:
        notebook = load(path)
        if (what := found(notebook)) is not None:
            return notebook, what
    pytest.fail(f"no notebook of the book has anything for {found.__name__}")


def test_a_changed_number_fails_and_the_untouched_copy_passes(tmp_path):
    notebook, (index, number) = first_page(with_number)
    notebook.cells = notebook.cells[: index + 1]
    changed = copy.deepcopy(notebook)
    decimals = len(number.partition(".")[2])
    for output in changed.cells[index].outputs:
        if "text" in output:
            output["text"] = output["text"].replace(number, f"{1.05 * float(number):.{decimals}f}")
        elif "text/plain" in output.get("data", {}):
            plain = output["data"]["text/plain"]
            output["data"]["text/plain"] = plain.replace(number, f"{1.05 * float(number):.{decimals}f}")
    assert changed != notebook
    assert nbval(tmp_path, save(tmp_path, "untouched.ipynb", notebook)) == (0, [])
    status, failed = nbval(tmp_path, save(tmp_path, "changed.ipynb", changed))
    assert status == 1
    assert len(failed) == 1


def test_the_wrong_sign_of_the_inner_step_fails(tmp_path):
    notebook, index = first_page(with_inner_step)
    notebook.cells[index].source = notebook.cells[index].source.replace("- alpha *", "+ alpha *")
    assert nbval(tmp_path, save(tmp_path, "flipped.ipynb", notebook))[0] == 1


# ---------------------------------------------------------------- Colab

PROBE = """
import hashlib, importlib.metadata, json, torch
record = importlib.metadata.distribution("torch").read_text("RECORD")
print(json.dumps([torch.__version__, torch.__file__, hashlib.sha256(record.encode()).hexdigest()]))
"""

RUN = """
import nbformat, nbclient
notebook = nbformat.read("page.ipynb", 4)
try:
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
finally:
    nbformat.write(notebook, "ran.ipynb")
    print([cell.outputs for cell in notebook.cells if cell.cell_type == "code"][0])
"""


def repository_copy(folder: Path) -> Path:
    """Commit the present working tree to a new repository."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
    )
    need(listed.returncode == 0, "the working tree is no git repository")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    git = ["git", "-C", folder, "-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "The working tree."]):
        subprocess.run(git + command, check=True)
    return folder


# Another Python whose packages are Colab's: `make colab` has one.
COLAB_PYTHON = os.environ.get("MAMLBOOK_COLAB_PYTHON", sys.executable)


def colab_like(folder: Path, python: str) -> Path:
    """Make an environment that has everything that this Python has, but for mamlbook; give the Python of it."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    # An old setuptools that comes with the environment would hide the one that torch needs.
    subprocess.run([folder / "bin/python", "-m", "pip", "uninstall", "-q", "-y", "setuptools"], check=True)
    packages = folder / "packages"
    packages.mkdir()
    where = "import nbformat, pathlib; print(pathlib.Path(nbformat.__file__).parents[1])"
    site = Path(subprocess.run([python, "-c", where], check=True, capture_output=True, text=True).stdout.strip())
    for entry in site.iterdir():
        if "mamlbook" not in entry.name and entry.name != "pip":
            (packages / entry.name).symlink_to(entry)
    (own,) = folder.glob("lib/python3*/site-packages")
    (own / "here.pth").write_text(f"{packages}\n")
    return folder / "bin/python"


def test_a_chapter_runs_alone_on_a_machine_without_the_package(tmp_path):
    for name in ("repository", "empty"):
        (tmp_path / name).mkdir()
    source = repository_copy(tmp_path / "repository")
    python = colab_like(tmp_path / "venv", COLAB_PYTHON)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST_", "JUPYTER"))},
        "MAMLBOOK_SPEC": f"git+{source.as_uri()}",
        "PIP_NO_INDEX": "1",  # whatever else the set-up cell would fetch is an error
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this as: do not isolate; setuptools is at hand
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }

    def run(code: str) -> str:
        done = subprocess.run(
            [python, "-c", code], cwd=tmp_path / "empty", env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    missing = "import importlib.util; print(importlib.util.find_spec('mamlbook'))"
    assert run(missing).strip() == "None"
    before = json.loads(run(PROBE))
    notebook = load(next((path for path in NOTEBOOKS if path.stem != "index"), NOTEBOOKS[0]))
    notebook.cells.append(nbformat.v4.new_code_cell("import mamlbook\nprint(mamlbook.__file__)"))
    save(tmp_path / "empty", "page.ipynb", notebook)
    run(RUN)
    ran = load(tmp_path / "empty/ran.ipynb")
    (printed,) = code_cells(ran)[0].outputs  # nothing of the installation
    assert re.fullmatch(RUNNING_ON, printed["text"])
    assert Path(ran.cells[-1].outputs[0].text.strip()).is_relative_to(tmp_path / "venv")
    assert json.loads(run(PROBE)) == before
