"""The field as one table: each algorithm is one composition of the four factors."""

from mamlbook.algorithms import gradient, outer_loops, stochastic
from mamlbook.algorithms.base import Algorithm
from mamlbook.algorithms.gradient import fomaml, joint, maml, reptile

ALGORITHMS: dict[str, Algorithm] = {**gradient.ROWS, **outer_loops.ROWS, **stochastic.ROWS}
"""Every algorithm by name; tests and comparison tables run over it, so a new row appears in both by itself."""

__all__ = ["ALGORITHMS", "Algorithm", "fomaml", "joint", "maml", "reptile"]
