"""Judge in the page the exercises whose answer is a number, as the judge of their cell would.

``python -m tools.answers`` has asked each judge which numbers it accepts. What it said is used only if it was asked
with the code that the page has now; otherwise the build ends. Claim and bounds are read from the exercise's own cell.
``judged.js`` compares, ``answering.js`` asks and keeps.
"""

import sys
from functools import cache
from pathlib import Path

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from mamlbook.pages.claims import bounds_in_words  # noqa: E402
from tools.answers import exercises, kept, stale  # noqa: E402 - the repository's own tools are no installed package

CLASS = "judged"


@cache
def numeric(path: Path) -> dict[int, dict]:
    """Give the exercises of a page whose answer is a number, by the place of their cell."""
    found = exercises(path)
    known = kept().get(found[0].page, []) if found else []
    if old := stale(path.stem, found, known):
        raise ExtensionError(f"{', '.join(old)}: the code that judges has changed; run python -m tools.answers")
    return {
        one.cell: {"claim": one.claim, "says": bounds_in_words(**one.bounds), "accepts": answers["accepts"]}
        for one, answers in zip(found, known, strict=True)
        if answers["accepts"]
    }


class Exercises(SphinxTransform):
    """The cell of an exercise is marked, so that the script finds it."""

    default_priority = 200

    def apply(self, **kwargs):
        """Give each such cell its class."""
        path = Path(self.env.doc2path(self.env.docname))
        wanted = numeric(path) if path.suffix == ".ipynb" else {}
        self.env.note_dependency(str(ROOT / "book/answers.json"))
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") == "cell_code" and cell.get("cell_index") in wanted:
                cell["classes"].append(CLASS)


def setup(app):
    """Add the transform."""
    app.add_transform(Exercises)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
