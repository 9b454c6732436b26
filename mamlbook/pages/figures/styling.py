"""The book's look, written once: colours, dash patterns and markers per role, for still and for interactive figures.

A role always has the same colour, dash pattern and marker, so that colour alone never carries meaning. The colours
of the first eight roles stay apart under protanopia, deuteranopia and tritanopia and have a contrast of at least 3
with the background, white in the light and #121212 in the dark theme; ``theta`` is ink, and ``imaml`` and the two
tasks of a toy problem share their colours with roles that never appear beside them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

COLOURS = {
    "maml": "#0A5BA6",
    "joint": "#DD6500",
    "random": "#C9489E",
    "fomaml": "#6B4400",
    "reptile": "#1F9D78",
    "truth": "#6A717B",
    "support": "#1F2328",
    "query": "#7A1FC2",
    "theta": "#1F2328",
    "task1": "#1F9D78",
    "task2": "#7A1FC2",
    "imaml": "#7A1FC2",
}

DARK_COLOURS = {
    "maml": "#58A9F0",
    "joint": "#FF7A1A",
    "random": "#D3529A",
    "fomaml": "#EBCB7A",
    "reptile": "#35E0A1",
    "truth": "#AFB7C1",
    "support": "#F3F5F7",
    "query": "#9A5CFF",
    "theta": "#F3F5F7",
    "task1": "#35E0A1",
    "task2": "#9A5CFF",
    "imaml": "#9A5CFF",
}

NAMES = {
    "maml": "MAML",
    "joint": "joint training",
    "random": "random start",
    "fomaml": "FOMAML",
    "reptile": "Reptile",
    "imaml": "iMAML",
}

# Lengths of strokes and gaps in pixels, () for a solid line.
DASHES: dict[str, tuple[int, ...]] = {
    "maml": (),
    "joint": (9, 4),
    "random": (9, 3, 2, 3),
    "fomaml": (5, 3),
    "reptile": (12, 3, 3, 3, 3, 3),
    "truth": (1, 5),
    "support": (),
    "query": (),
    "theta": (3, 3),
    "task1": (),
    "task2": (6, 3),
    "imaml": (9, 3, 2, 3, 2, 3),
}

# Names that matplotlib's are looked up from, see `line`; the interactive figures draw the same shapes.
MARKERS = {
    "maml": "circle",
    "joint": "square",
    "random": "triangle",
    "fomaml": "diamond",
    "reptile": "cross",
    "truth": "none",
    "support": "circle",
    "query": "diamond",
    "theta": "circle",
    "task1": "circle",
    "task2": "square",
    "imaml": "triangle",
}

# For curves that are no role: settings of one method, or what only one page has.
NEUTRAL: dict[str, tuple[str, tuple[int, ...], str]] = {
    "first": ("#1F2328", (), "circle"),
    "second": ("#59616B", (6, 3), "square"),
    "third": ("#8B949E", (2, 3), "triangle"),
    "fourth": ("#6E7781", (12, 3, 2, 3), "diamond"),
}

DARK_NEUTRAL = {"first": "#F3F5F7", "second": "#AFB7C1", "third": "#7D8590", "fourth": "#949DA7"}

MATPLOTLIB_MARKERS = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D", "cross": "X", "none": ""}

PIXELS = 2  # of a picture, for each pixel of the page

INK, MUTED, GRID = "#1F2328", "#59616B", "#E4E7EB"

SETTINGS: dict[RcKeyType, Any] = {
    "figure.dpi": 96,
    "savefig.dpi": 96,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so every machine draws the same letters
    "font.size": 12,  # read on a phone too, at six tenths of the size
    "text.color": INK,
    "axes.facecolor": "white",
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 12,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "lines.linewidth": 2,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 11,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw with matplotlib in the book's look inside this context.

    >>> with style():
    ...     plt.rcParams["axes.spines.top"]
    False
    """
    with plt.rc_context(SETTINGS):
        yield


class Picture(Figure):
    """A figure that a notebook shows with two pixels for each of the page, so that letters are sharp everywhere."""

    def _ipython_display_(self) -> None:  # matplotlib's own way has only one for each
        from IPython.display import display  # only a notebook has it

        drawn = io.BytesIO()
        self.savefig(drawn, format="png", dpi=PIXELS * self.dpi, bbox_inches="tight")
        size = struct.unpack(">II", drawn.getvalue()[16:24])  # where a PNG says how large it is
        width, height = (pixels // PIXELS for pixels in size)
        data = {"image/png": drawn.getvalue(), "text/plain": repr(self)}
        display(data, metadata={"image/png": {"width": width, "height": height}}, raw=True)


@contextmanager
def drawing(
    width: float = 6.6, height: float = 3.6, *, rows: int = 1, columns: int = 1, **subplots: Any
) -> Iterator[tuple]:
    """A new matplotlib figure and its axes in the book's look, sizes in inches; draw on them inside this context.

    The figure is closed at the end, so that a notebook shows it once: where a cell ends with it. The axes are one or
    an array of them, like those of ``plt.subplots``, which takes the other arguments.
    """
    with style():
        fig, axes = plt.subplots(rows, columns, figsize=(width, height), FigureClass=Picture, **subplots)
        try:
            yield fig, axes
        finally:
            plt.close(fig)


def look(role: str) -> tuple[str, tuple[int, ...], str]:
    """The colour on white, the dash pattern and the marker of a role or a neutral curve.

    Raises:
        ValueError: it is neither.
    """
    if role not in COLOURS and role not in NEUTRAL:
        raise ValueError(f"role: expected one of {', '.join([*COLOURS, *NEUTRAL])}, got {role}")
    return NEUTRAL.get(role) or (COLOURS[role], DASHES[role], MARKERS[role])


def line(role: str, *, markers: bool = False) -> dict[str, Any]:
    """The colour, dash pattern and (if wanted) marker of a role or a neutral curve, as arguments of ``ax.plot``.

    Raises:
        ValueError: it is neither.

    >>> line("joint")["color"]
    '#DD6500'
    """
    colour, strokes, shape = look(role)
    # matplotlib counts dashes in line widths, this table in pixels of a line two wide.
    dashes = (0, tuple(length / 2 for length in strokes)) if strokes else "solid"
    return {"color": colour, "linestyle": dashes, "marker": MATPLOTLIB_MARKERS[shape] if markers else ""}
