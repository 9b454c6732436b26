"""The pages on a GPU, or on a rehearsed one: the numbers that they print are those that are stored."""
# ruff: noqa: E402

import os
import re

import pytest

for tool in ("ipykernel", "nbclient", "nbformat", "nbval", "yaml"):  # a machine that only lends its GPU may have none
    pytest.importorskip(tool)

from compared import nbval, save
from cut_short import WRITTEN_OUT, outputs
from devices import rehearsal
from mamlbook.pages.nbval_tolerance import agree, tolerances
from tools.book import ROOT, notebooks
from tools.notebooks import load

LINE = 'device = "cuda" if torch.cuda.is_available() else "cpu"'
"""How a page takes the device."""

ON_THE_CPU = {
    "index": "its network runs in the figure, which Python does not compute",
    "gradients-of-gradients": "one task of a network of 13 weights, differentiated in every way; nothing is trained",
    "implicit": "loops of hundreds of inner steps, by hand and for a network of 97 weights; nothing is trained",
    "unrolling": "the same network and as many steps, and what their graph holds; nothing is trained",
    "cost": "it counts operations and bytes, which are those of every device",
    "higher": "single meta-gradients of small networks; nothing is trained",
    "in-context": "its attention layers have a few dozen numbers; the networks' results are stored",
    "any-network": "networks of a few hundred weights, differentiated once; its trainings are stored",
    "testing": "it compares printed text; nothing is trained",
    "reinforcement": "exact mazes of six logits; the policy of the plane is stored, and runs in the figure",
    "speed": "it counts requests, which are those of every device; its times are stored",
    "bayes": "closed forms of a few numbers; its networks are stored results",
}
"""The pages that have no use for a GPU, with the reason."""

UNCOMPARED = {"torch.autocast": "on a device of Python's it does nothing"}
"""What computes otherwise on the rehearsed device, with the reason: a cell with it runs, and is not compared."""

NOT_RUN = {"torch.nn.GRU(": "on a GPU without cuDNN PyTorch takes fused cells, which are written for CUDA"}
"""What the rehearsed device cannot compute, with the reason: a cell with it is left out."""


def code(path):
    """The code of a page."""
    return "\n".join(cell.source for cell in load(path).cells if cell.cell_type == "code")


PAGES = [path for path in notebooks() if path.stem not in ON_THE_CPU]
every_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def test_the_pages_without_a_device_are_excused():
    assert {path.stem for path in notebooks() if "device" not in code(path)} == set(ON_THE_CPU)


@every_page
def test_a_page_takes_the_device_once_and_as_everybody_does(path):
    assert code(path).count(LINE) == 1
    assert not re.search(r"""\.cuda\(|(to\(|device=|device\()["']cuda""", code(path))
    assert re.search(r"\.to\(device\)|\bdevice=device\b", code(path))


def on(device, path):
    """A page that takes this device, and no other."""
    notebook = load(path)
    for cell in notebook.cells:
        cell.source = cell.source.replace(LINE, f'device = "{device}"')
        if any(word in cell.source for word in NOT_RUN) and cell.cell_type == "code":
            cell.source = ""
    return notebook


def test_what_is_cut_short_stands_on_a_page():
    assert [long for long in WRITTEN_OUT if not any(long in code(path) for path in PAGES)] == []


@pytest.mark.skipif(rehearsal is None, reason="there is a GPU, and nothing to rehearse")
@every_page
def test_a_page_leaves_nothing_on_the_cpu(path):
    here = on("cpu", path)
    expected, found = (outputs(notebook, path.stem) for notebook in (here, on(rehearsal.NAME, path)))
    for number, shown in found.items():
        tags = here.cells[number].metadata.get("tags", [])
        if "nbval-ignore-output" not in tags and not any(word in here.cells[number].source for word in UNCOMPARED):
            alike = agree(expected[number], shown, **{"rtol": 0.0} | tolerances(tags))
            assert alike, f"cell {number}:\n{expected[number]}\n{shown}"


# In full a page computes for minutes on the rehearsed device, of which each operation takes several times as long.
@pytest.mark.parametrize(
    "device", [pytest.param("rehearsal", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]
)
@every_page
def test_a_page_prints_on_a_gpu_what_it_prints_here(path, device, tmp_path, monkeypatch):
    notebook = load(path)
    if device != "cuda":
        if rehearsal is None or any(word in code(path) for word in (*UNCOMPARED, *NOT_RUN)):
            pytest.skip("there is a GPU, and nothing to rehearse, or the page has what cannot be compared")
        notebook = on(device, path)
        first = next(cell for cell in notebook.cells if cell.cell_type == "code")
        first.source += "\nimport rehearsal"  # before anything is differentiated: PyTorch counts its devices then
        folders = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, folders)))
    status, failed = nbval(tmp_path, save(tmp_path, path.name, notebook))
    assert (status, failed) == (0, [])
