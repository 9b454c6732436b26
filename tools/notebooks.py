"""Run notebooks and write them so that a second run changes nothing.

python -m tools.notebooks PATH...            run, normalise, store the outputs
python -m tools.notebooks --check PATH...    say which stored notebooks are not normal; run nothing
"""

import argparse
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from mamlbook.files import replacing
from tools.book import SETUP_TAGS, is_setup, notebooks

METADATA = {
    "accelerator": "GPU",  # what Colab is asked for
    "colab": {"gpuType": "T4", "provenance": []},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

# What a tag folds in the built book is folded in JupyterLab, and on Colab where only code can be.
FOLDS = {
    "hide-cell": {"jupyter": {"outputs_hidden": True, "source_hidden": True}, "cellView": "form"},
    "hide-input": {"jupyter": {"source_hidden": True}, "cellView": "form"},
    "hide-output": {"jupyter": {"outputs_hidden": True}},
}
SOLUTION = "# @title Solution"
PROMPTS = {
    "solution": {"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"},
    "set-up": {"code_prompt_show": "Set-up", "code_prompt_hide": "Set-up"},
}


def execute(notebook, folder: Path) -> None:
    """Run a notebook in place, in a fresh kernel whose working folder is the given one."""
    NotebookClient(
        notebook,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        timeout=1800,
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()


def is_solution(cell) -> bool:
    """Whether a notebook cell is the solution of an exercise."""
    return "hide-cell" in cell.metadata.get("tags", [])


def metadata(cell) -> dict:
    """Give the metadata of a cell: its tags, what folds it in every viewer, and what the book says of its picture."""
    tags = SETUP_TAGS if is_setup(cell) else cell.metadata.get("tags", [])
    book = dict(PROMPTS["set-up"] if is_setup(cell) else PROMPTS["solution"] if is_solution(cell) else {})
    if "image" in (told := cell.metadata.get("mystnb", {})):
        book["image"] = told["image"]
    kept = {"tags": list(tags)} if tags else {}
    kept |= {"mystnb": book} if book else {}
    for tag in FOLDS:
        kept |= FOLDS[tag] if tag in tags else {}
    return kept


def normalise(notebook):
    """Keep of a notebook what a reader or a test uses: text, code, outputs, tags; and fold what is tagged."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"
        cell["source"] = cell["source"].rstrip()
        if is_solution(cell) and not cell["source"].startswith(SOLUTION):
            cell["source"] = f"{SOLUTION}\n{cell['source']}"
        cell.metadata = nbformat.from_dict(metadata(cell))
        for output in cell.get("outputs", []):
            if "metadata" in output:  # of a picture its size on the page, which is half of its pixels
                sizes = {kind: told for kind, told in output["metadata"].items() if kind.startswith("image/")}
                output["metadata"] = nbformat.from_dict(sizes)
    nbformat.validate(notebook)
    return notebook


def text(notebook) -> str:
    """Give the file's text, byte for byte the same for the same notebook."""
    return nbformat.writes(notebook, indent=1, sort_keys=True) + "\n"


def write(path: Path, new: str) -> bool:
    """Write a file in one step, and only when its text changes; say whether it did."""
    if path.exists() and path.read_text() == new:
        return False
    with replacing(path) as temporary:
        temporary.write_text(new)
    return True


def load(path: Path):
    """Read a notebook, or say in one sentence why it cannot be read."""
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:
        raise SystemExit(f"{path} is not a notebook: {error}") from error


def check(path: Path) -> bool:
    """Say whether the stored notebook is the one that `normalise` would write."""
    normal = path.read_text() == text(normalise(load(path)))
    if not normal:
        print(f"{path} is not normal: run make notebooks, or python -m tools.notebooks {path}")
    return normal


def update(path: Path) -> None:
    """Run one notebook and store it; on an error the file stays as it was."""
    notebook = load(path)
    try:
        execute(notebook, path.parent)
    except CellExecutionError as error:
        raise SystemExit(f"{path} failed and was left as it was:\n{error}") from None
    print(f"{path}: {'updated' if write(path, text(normalise(notebook))) else 'unchanged'}", flush=True)


def main() -> None:
    """Run or check the notebooks named, or all of the table of contents."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only say which are not normal")
    parser.add_argument("paths", nargs="*", type=Path)
    arguments = parser.parse_args()
    paths = arguments.paths or notebooks()
    if arguments.check:
        sys.exit(not all([check(path) for path in paths]))
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in the tests: the same sums in the same order
    for path in paths:
        update(path)


if __name__ == "__main__":
    main()
