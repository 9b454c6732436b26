"""One function per kind of picture; a notebook cell that ends with one shows it."""

from mamlbook.pages.figures.curves import bars, curve, steps, trade_off
from mamlbook.pages.figures.diagrams import episode, two_loops, unrolled
from mamlbook.pages.figures.field_chart import field
from mamlbook.pages.figures.fitted_waves import fits
from mamlbook.pages.figures.gradient_conflict import conflict
from mamlbook.pages.figures.limits import sensitivity, tracking
from mamlbook.pages.figures.panel_grid import panels
from mamlbook.pages.figures.race_chart import race
from mamlbook.pages.figures.regression import adaptation
from mamlbook.pages.figures.row_table import rows
from mamlbook.pages.figures.scaling_charts import scaling, widths
from mamlbook.pages.figures.settings import dots, heat

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
