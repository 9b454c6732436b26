"""One function per kind of picture; a notebook cell that ends with one shows it."""

from mamlbook.figures.conflict import conflict
from mamlbook.figures.curves import bars, curve, steps, trade_off
from mamlbook.figures.diagrams import episode, two_loops, unrolled
from mamlbook.figures.field import field
from mamlbook.figures.fits import fits
from mamlbook.figures.limits import sensitivity, tracking
from mamlbook.figures.panels import panels
from mamlbook.figures.race import race
from mamlbook.figures.regression import adaptation
from mamlbook.figures.rows import rows
from mamlbook.figures.scaling import scaling, widths
from mamlbook.figures.settings import dots, heat

__all__ = [
    "adaptation",
    "bars",
    "conflict",
    "curve",
    "dots",
    "episode",
    "field",
    "fits",
    "heat",
    "panels",
    "race",
    "rows",
    "scaling",
    "sensitivity",
    "steps",
    "tracking",
    "trade_off",
    "two_loops",
    "unrolled",
    "widths",
]
