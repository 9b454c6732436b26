"""The pages on a GPU, or on a rehearsed one: the numbers that they print are those that are stored."""
# ruff: noqa: E402

import os
import re

import pytest

for tool in ("ipykernel", "nbclient", "nbformat", "nbval", "yaml"):  # a machine that only lends its GPU may have none
    pytest.importorskip(tool)

from compared import nbval, save
from devices import DEVICES
from tools.book import ROOT, notebooks
from tools.notebooks import load

LINE = 'device = "cuda" if torch.cuda.is_available() else "cpu"'
"""How a page takes the device."""


def code(path):
    """The code of a page."""
    return "\n".join(cell.source for cell in load(path).cells if cell.cell_type == "code")


PAGES = [path for path in notebooks() if "device" in code(path)]
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


@every_page
def test_a_page_takes_the_device_once_and_as_everybody_does(path):
    assert code(path).count(LINE) == 1
    assert re.findall(r"\bcuda\b", code(path)) == ["cuda", "cuda"]
    assert re.search(r"\.to\(device\)|\bdevice=device\b", code(path))


# Thousands of meta-steps, of which each operation takes the rehearsal several times as long: `-m slow`, and `-m gpu`.
LONG = {"objective"}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in LONG)) for path in PAGES]
)
def test_a_page_prints_on_a_gpu_what_it_prints_here(path, device, tmp_path, monkeypatch):
    notebook = load(path)
    if device != "cuda":
        for cell in notebook.cells:
            cell.source = cell.source.replace(LINE, "device = rehearsal.NAME")
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        first.source += "\nimport rehearsal"  # before anything is differentiated: PyTorch counts its devices then
        folders = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, folders)))
    status, failed = nbval(tmp_path, save(tmp_path, path.name, notebook))
    assert (status, failed) == (0, [])
