"""The field as one table: each algorithm is one composition of the four factors."""

from mamlbook.algorithms import adaptation, gradient, implicit, outer_loops, stability, stochastic
from mamlbook.algorithms.adaptation import anil, boil, cavia, dropgrad, lambda_pattern, lslr, meta_sgd
from mamlbook.algorithms.base import Algorithm
from mamlbook.algorithms.gradient import fomaml, joint, maml, reptile
from mamlbook.algorithms.implicit import finite_difference, forward_mode, imaml, imaml_neumann, truncated
from mamlbook.algorithms.outer_loops import (
    amfs_weights,
    conflict_averse,
    learned_weights,
    local_moml,
    moml,
    moml_v2,
    robust,
    softmax_weights,
)
from mamlbook.algorithms.stability import annealed, maml_plus_plus, multi_step_loss
from mamlbook.algorithms.stochastic import es_maml, evograd, sgld, sgld_score

PARTS: dict[str, dict[str, Algorithm]] = {
    "gradient": gradient.ROWS,
    "implicit": implicit.ROWS,
    "adaptation": adaptation.ROWS,
    "stability": stability.ROWS,
    "outer_loops": {**outer_loops.ROWS, **stochastic.ROWS},
}
"""The rows by the page that explains them."""

ALGORITHMS: dict[str, Algorithm] = {name: row for rows in PARTS.values() for name, row in rows.items()}
"""Every algorithm by name; tests and comparison tables run over it, so a new row appears in both by itself."""

__all__ = [
    "ALGORITHMS",
    "PARTS",
    "Algorithm",
    "amfs_weights",
    "anil",
    "annealed",
    "boil",
    "cavia",
    "conflict_averse",
    "dropgrad",
    "es_maml",
    "evograd",
    "finite_difference",
    "fomaml",
    "forward_mode",
    "imaml",
    "imaml_neumann",
    "joint",
    "lambda_pattern",
    "learned_weights",
    "local_moml",
    "lslr",
    "maml",
    "maml_plus_plus",
    "meta_sgd",
    "moml",
    "moml_v2",
    "multi_step_loss",
    "reptile",
    "robust",
    "sgld",
    "sgld_score",
    "softmax_weights",
    "truncated",
]
