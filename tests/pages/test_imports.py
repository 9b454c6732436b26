"""What the pages are reached by, and what the package leaves alone until a page asks for it."""

import json
import subprocess
import sys

import pytest

import mamlbook.pages

HEAVY = ["matplotlib", "IPython", "mamlbook.pages"]
NAMES = ", ".join(name for name in mamlbook.pages.__all__ if name != "figures")
# What is run, one line after the other, and which heavy modules a fresh interpreter then has.
LINES = {
    "import mamlbook": [],
    f"from mamlbook.pages import {NAMES}": ["mamlbook.pages"],
    "mamlbook.pages.figures.race": ["matplotlib", "mamlbook.pages"],
}


def test_the_package_leaves_pages_and_pages_leave_figures_until_they_are_asked_for():
    tell = f"print(json.dumps([module for module in {HEAVY} if module in sys.modules]))"
    code = "\n".join(["import json, sys", *(f"{line}\n{tell}" for line in LINES)])
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout
    assert dict(zip(LINES, map(json.loads, told.splitlines()), strict=True)) == LINES


def test_pages_are_an_attribute_of_the_package_that_needs_no_import_of_its_own():
    code = "import mamlbook; mamlbook.pages.figures.race, mamlbook.pages.check"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", [mamlbook.pages, mamlbook.pages.figures], ids=lambda module: module.__name__)
def test_every_name_that_is_promised_exists_and_no_other(module):
    assert all(hasattr(module, name) for name in module.__all__)
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing'"):
        _ = module.nothing
