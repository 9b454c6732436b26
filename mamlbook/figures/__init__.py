"""One function per kind of picture; a notebook cell that ends with one shows it."""

from mamlbook.figures.curves import bars, curve, steps
from mamlbook.figures.diagrams import episode, two_loops, unrolled
from mamlbook.figures.panels import panels
from mamlbook.figures.regression import adaptation

__all__ = ["adaptation", "bars", "curve", "episode", "panels", "steps", "two_loops", "unrolled"]
