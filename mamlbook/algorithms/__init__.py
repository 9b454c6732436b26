"""The field as one table: each algorithm is one composition of the four factors."""

from mamlbook.algorithms import gradient, stability
from mamlbook.algorithms.base import Algorithm
from mamlbook.algorithms.gradient import fomaml, joint, maml, reptile
from mamlbook.algorithms.stability import annealed, maml_plus_plus, multi_step_loss

ALGORITHMS: dict[str, Algorithm] = {**gradient.ROWS, **stability.ROWS}
"""Every algorithm by name; tests and comparison tables run over it, so a new row appears in both by itself."""

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "annealed",
    "fomaml",
    "joint",
    "maml",
    "maml_plus_plus",
    "multi_step_loss",
    "reptile",
]
