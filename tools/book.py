"""What the repository says about itself: its address, its pages, its set-up cell."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = re.compile(r"https://[\w.-]+(?:/[\w.-]+){2,}")

# The first code cell of every page. It must run on Colab's IPython, and leave Colab's torch alone.
SETUP = """\
# @title Set-up: mamlbook, installed where it is missing, and what it runs on
import importlib.util
import os
import subprocess
import sys

# The tensors are small: a second thread would wait more than it helps.
os.environ.setdefault("OMP_NUM_THREADS", "1")
if importlib.util.find_spec("mamlbook") is None:  # on Colab, leaving torch alone
    spec = "git+{url}"
    spec = os.environ.get("MAMLBOOK_SPEC", spec)
    quietly = ["-q", "--disable-pip-version-check", "--root-user-action=ignore"]
    pip = [sys.executable, "-m", "pip", "install", *quietly]
    subprocess.run([*pip, spec], check=True)
    importlib.invalidate_caches()

from mamlbook.pages import running_on

print(running_on())"""
SETUP_TAGS = ["hide-input", "nbval-ignore-output", "remove-output"]
SETUP_START = SETUP.split("\n", 1)[0]


def repository(root: Path = ROOT) -> str:
    """Give the address in _config.yml."""
    return yaml.safe_load((root / "_config.yml").read_text())["repository"]["url"]


def setup_source(url: str) -> str:
    """Give the set-up cell for a repository."""
    return SETUP.format(url=url)


def is_setup(cell) -> bool:
    """Whether a notebook cell is the set-up cell."""
    return cell["cell_type"] == "code" and cell["source"].startswith(SETUP_START)


def toc_entries(node) -> list[str]:
    """List the pages below a node of the table of contents, in order."""
    if isinstance(node, list):
        return [page for item in node for page in toc_entries(item)]
    if not isinstance(node, dict):
        return []
    own = [node[key] for key in ("root", "file") if key in node]
    return own + [page for value in node.values() for page in toc_entries(value)]


def pages(root: Path = ROOT) -> list[str]:
    """List every page of the book, without its suffix."""
    return toc_entries(yaml.safe_load((root / "_toc.yml").read_text()))


def page_files(root: Path = ROOT) -> list[Path]:
    """List the files of the pages, in order."""
    files = [root / f"{page}{suffix}" for page in pages(root) for suffix in (".ipynb", ".md")]
    return [path for path in files if path.is_file()]


def notebooks(root: Path = ROOT) -> list[Path]:
    """List the pages that are notebooks."""
    return [path for path in page_files(root) if path.suffix == ".ipynb"]
