"""Show a picture as wide as it was drawn, whatever its pixels: a sharp one has several for each of the page.

A picture with a width of its own links to itself, so that a reader can open it alone and enlarge it.
"""

from docutils import nodes
from PIL import Image
from sphinx.transforms import SphinxTransform

PAGE = 96  # pixels an inch, by the definition of CSS


class Widths(SphinxTransform):
    """A PNG that says how many pixels it has an inch is as wide as its inches are."""

    default_priority = 870

    def apply(self, **kwargs):
        """Write the width of each picture."""
        for picture in self.document.findall(nodes.image):
            if picture["uri"].endswith(".png") and "width" not in picture:
                with Image.open(self.env.relfn2path(picture["uri"], self.env.docname)[1]) as opened:
                    dots = opened.info.get("dpi", (PAGE, PAGE))[0]
                    if round(dots) != PAGE:
                        picture["width"] = f"{round(opened.width * PAGE / dots)}px"


def setup(app):
    """Add the transform."""
    app.add_transform(Widths)
    return {"parallel_read_safe": True}
