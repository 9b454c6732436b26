"""What the tests of the pages share: the figures of the built book."""

import pytest

from need import need
from shown import Shown


@pytest.fixture
def in_the_book(built, base, tabs):
    """Give a function that opens every page of the built book with a figure of some kind."""

    def pages(kind: str):
        found = [page for page in sorted(built.rglob("*.html")) if f'data-kind="{kind}"' in page.read_text("utf-8")]
        need(found, f"the built book has no figure of kind {kind}")
        for page in found:
            with Shown(tabs, base + page.relative_to(built).as_posix(), kind) as shown:
                yield shown

    return pages
