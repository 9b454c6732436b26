"""The field as one table: each algorithm is one composition of the four factors."""

from mamlbook.algorithms import adaptation, gradient
from mamlbook.algorithms.adaptation import anil, boil, cavia, dropgrad, lambda_pattern, lslr, meta_sgd
from mamlbook.algorithms.base import Algorithm
from mamlbook.algorithms.gradient import fomaml, joint, maml, reptile

ALGORITHMS: dict[str, Algorithm] = {**gradient.ROWS, **adaptation.ROWS}
"""Every algorithm by name; tests and comparison tables run over it, so a new row appears in both by itself."""

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "anil",
    "boil",
    "cavia",
    "dropgrad",
    "fomaml",
    "joint",
    "lambda_pattern",
    "lslr",
    "maml",
    "meta_sgd",
    "reptile",
]
