"""One function per kind of picture; a notebook cell that ends with one shows it."""

from mamlbook.figures.curves import bars, curve, steps
from mamlbook.figures.diagrams import episode, two_loops, unrolled
from mamlbook.figures.limits import sensitivity, tracking
from mamlbook.figures.regression import adaptation

__all__ = ["adaptation", "bars", "curve", "episode", "sensitivity", "steps", "tracking", "two_loops", "unrolled"]
