"""What the pages are reached by, and what the package leaves alone until a page asks for it."""

import json
import subprocess
import sys

import pytest

import mamlbook.pages

HEAVY = ["matplotlib", "IPython", "mamlbook.pages"]


def loaded(*lines: str) -> list[str]:
    """Tell which heavy modules a fresh interpreter has after these lines."""
    code = "\n".join(["import json, sys", *lines, f"print(json.dumps([m for m in {HEAVY} if m in sys.modules]))"])
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def test_the_package_alone_imports_neither_pages_nor_what_they_draw_with():
    assert loaded("import mamlbook") == []


def test_claims_and_results_are_there_without_matplotlib():
    names = ", ".join(name for name in mamlbook.pages.__all__ if name != "figures")
    assert loaded(f"from mamlbook.pages import {names}") == ["mamlbook.pages"]


def test_pages_and_figures_are_attributes_that_need_no_further_import():
    assert loaded("import mamlbook", "mamlbook.pages.figures.race") == ["matplotlib", "mamlbook.pages"]


@pytest.mark.parametrize("module", [mamlbook.pages, mamlbook.pages.figures], ids=lambda module: module.__name__)
def test_every_name_that_is_promised_exists_and_no_other(module):
    assert all(hasattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'"):
        _ = module.nothing
