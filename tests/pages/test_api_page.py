"""The pages of the programming interface: complete, and as readable as the docstrings they are made of."""

import importlib
import inspect
import pkgutil
import re

import pytest

import mamlbook
from site_extension import site_extension
from tools.book import ROOT

PUBLIC = [
    module.name
    for module in pkgutil.walk_packages(mamlbook.__path__, "mamlbook.")
    if hasattr(importlib.import_module(module.name), "__all__")
]


@pytest.fixture(scope="module")
def pages(built) -> dict[str, str]:
    """Give the pages as they are built, by the name of the part."""
    return {file.stem: file.read_text("utf-8") for file in sorted((built / "book/appendix/api").glob("*.html"))}


@pytest.fixture(scope="module")
def extension():
    """Give the module of the site that makes the page."""
    return site_extension("api_page")


@pytest.mark.parametrize("package", ["mamlbook", *PUBLIC])
def test_every_public_name_is_documented_once_and_listed_with_a_link(pages, built, package):
    entry = re.compile(r'<dt [^>]*id="(mamlbook[\w.]+)"')
    places = [(part, full) for part, text in pages.items() for full in entry.findall(text)]
    overview = (built / "book/appendix/api.html").read_text("utf-8")
    module = importlib.import_module(package)
    for name in [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]:
        here = [place for place in places if place[1].rpartition(".")[2] == name]
        assert here, name
        assert any(f'href="api/{part}.html#{full}"' in overview for part, full in here), name
    assert len({full for _, full in places}) == len(places)


def test_every_row_is_in_the_table(pages):
    table = pages["algorithms"].partition("What it is")[2]
    assert [name for name in mamlbook.ALGORITHMS if f">{name}</span>" not in table] == []


def test_no_default_shows_the_folder_of_the_machine_that_built_the_page(pages):
    for text in pages.values():
        assert str(ROOT) not in text
        assert "PosixPath" not in text


DOCSTRING = r"""
One sentence about phi_ and \*shape.

phi_b = theta - alpha grad L_b(theta),  b = 1..B.

With ``lam`` the distance |phi - theta| counts, see [Finn et al.,
2017](https://arxiv.org/abs/1703.03400).

    x = 1,  y = 2

Shapes: (B, K, d) to (B,).

Raises:
    ValueError: one thing or
        another.
    TypeError: the third.

>>> 1 + 1
2
"""
WRITTEN = r"""
One sentence about phi\_ and \*shape.

.. code-block:: none

   phi_b = theta - alpha grad L_b(theta),  b = 1..B.

With ``lam`` the distance \|phi - theta\| counts, see `Finn et al., 2017 <https://arxiv.org/abs/1703.03400>`__.

.. code-block:: none

   x = 1,  y = 2

**Shapes:** (B, K, d) to (B,).

**Raises:**

- ``ValueError``: one thing or another.
- ``TypeError``: the third.

>>> 1 + 1
2
"""


def test_a_docstring_becomes_restructured_text(extension):
    lines = DOCSTRING.strip().split("\n")
    extension.rewrite(lines)
    assert "\n".join(lines).strip() == WRITTEN.strip()


@pytest.mark.parametrize(
    ("signature", "written"),
    [
        ("(a: int = 1, *, folder=RESULTS)", "(a: int = 1, *, folder=RESULTS)"),
        ("(a=tuple(j for j in range(5)), b=2)", "(a=..., b=2)"),
        ("(a: list = <factory>, b: type = <class 'int'>)", "(a: list = ..., b: type = ...)"),
    ],
)
def test_a_default_without_words_is_three_dots(extension, signature, written):
    assert extension.readable(None, "function", "f", None, None, signature, None) == (written, None)
