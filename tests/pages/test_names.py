"""What the prose calls by name is there: in the package, in the page's code, in PyTorch or in what it measures."""

import builtins
import importlib
import inspect
import pkgutil
import re
from functools import cache

import nbformat
import pytest
import torch

import mamlbook
from tools.book import ROOT, page_files

CODE = re.compile(r"(?<![`}])`([^`\n]+)`(?!`)")  # and not a role's argument
CALLED = re.compile(r"[A-Za-z_][\w.]*(\(.*\))?")
OTHER = re.compile(r"[A-Z_]+|\w+\.zip")  # a setting of the environment, a file of data
COMMANDS, SPELLED = {"pip", "torchrun"}, {"nan", "inf"}
FLAGS = {"create_graph", "copy_initial_weights", "track_higher_grads"}  # of torch.autograd and of higher
WHOLE = ("mamlbook.", "torch.", "higher.")


@cache
def names() -> frozenset[str]:
    """Every name in the package: modules, what stands in them, members and parameters."""
    found = set()
    for module in pkgutil.walk_packages(mamlbook.__path__, "mamlbook."):
        found |= {module.name.rpartition(".")[2], "mamlbook"}
        for name, value in vars(importlib.import_module(module.name)).items():
            found.add(name)
            if inspect.isclass(value):
                found |= set(dir(value))
            if inspect.isclass(value) or inspect.isfunction(value):
                try:
                    found |= set(inspect.signature(value).parameters)
                except ValueError:  # a type of C
                    continue
    return frozenset(found)


@cache
def others() -> frozenset[str]:
    torch_itself = (torch, torch.Tensor, torch.nn, torch.autograd)
    measured = (ROOT / "benchmarks" / "requirements.txt").read_text()
    known = {name for place in (builtins, *torch_itself) for name in dir(place)} | set(re.findall(r"\w+", measured))
    return frozenset(known | COMMANDS | SPELLED | FLAGS | set(mamlbook.ALGORITHMS))


def unknown(text: str, code: str) -> list[str]:
    """The names in a page's prose that nothing bears."""
    own = set(re.findall(r"\w+", code))
    called = [token for token in CODE.findall(text) if CALLED.fullmatch(token) and not OTHER.fullmatch(token)]
    return [token for token in called if not (ROOT / token).exists() and not exists(token.split("(")[0], own)]


def exists(name: str, own: set[str]) -> bool:
    if not name.startswith(WHOLE):
        return set(re.findall(r"[A-Za-z_]\w*", name)) <= names() | others() | own
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def read(path) -> tuple[str, str]:
    if path.suffix == ".md":
        return path.read_text(), ""
    cells = nbformat.read(path, as_version=4).cells
    return tuple("\n".join(cell.source for cell in cells if cell.cell_type == kind) for kind in ("markdown", "code"))


PROSE = [*page_files(), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.stem)
def test_every_name_in_the_prose_exists(path):
    assert unknown(*read(path)) == []


def test_a_name_that_is_gone_is_found():
    assert unknown("`fit` and `gap(u, v)`, `mamlbook.figures` and `theta`", "") == ["gap(u, v)", "mamlbook.figures"]
