"""The field as one table: each algorithm is one composition of the four factors."""

from mamlbook.algorithms import gradient, implicit
from mamlbook.algorithms.base import Algorithm
from mamlbook.algorithms.gradient import fomaml, joint, maml, reptile
from mamlbook.algorithms.implicit import finite_difference, forward_mode, imaml, imaml_neumann, truncated

ALGORITHMS: dict[str, Algorithm] = {**gradient.ROWS, **implicit.ROWS}
"""Every algorithm by name; tests and comparison tables run over it, so a new row appears in both by itself."""

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "finite_difference",
    "fomaml",
    "forward_mode",
    "imaml",
    "imaml_neumann",
    "joint",
    "maml",
    "reptile",
    "truncated",
]
