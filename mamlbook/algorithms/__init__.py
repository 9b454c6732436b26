"""The field as one table: each algorithm is one composition of the four factors."""

from mamlbook.algorithms import adaptation, closed_form, gradient, implicit, stability
from mamlbook.algorithms.adaptation import anil, boil, cavia, dropgrad, lambda_pattern, lslr, meta_sgd
from mamlbook.algorithms.base import Algorithm
from mamlbook.algorithms.closed_form import (
    fiml,
    kernel_ridge,
    line_search,
    meta_rkhs_1,
    meta_rkhs_2,
    ntk_ridge,
    protomaml,
)
from mamlbook.algorithms.gradient import fomaml, joint, maml, reptile
from mamlbook.algorithms.implicit import finite_difference, forward_mode, imaml, imaml_neumann, truncated
from mamlbook.algorithms.stability import annealed, maml_plus_plus, multi_step_loss

PARTS: dict[str, dict[str, Algorithm]] = {
    "gradient": gradient.ROWS,
    "implicit": implicit.ROWS,
    "closed-form": closed_form.ROWS,
    "adaptation": adaptation.ROWS,
    "stability": stability.ROWS,
}
"""The rows by the page that explains them."""

ALGORITHMS: dict[str, Algorithm] = {name: row for rows in PARTS.values() for name, row in rows.items()}
"""Every algorithm by name; tests and comparison tables run over it, so a new row appears in both by itself."""

__all__ = [
    "ALGORITHMS",
    "PARTS",
    "Algorithm",
    "anil",
    "annealed",
    "boil",
    "cavia",
    "dropgrad",
    "fiml",
    "finite_difference",
    "fomaml",
    "forward_mode",
    "imaml",
    "imaml_neumann",
    "joint",
    "kernel_ridge",
    "lambda_pattern",
    "line_search",
    "lslr",
    "maml",
    "maml_plus_plus",
    "meta_rkhs_1",
    "meta_rkhs_2",
    "meta_sgd",
    "multi_step_loss",
    "ntk_ridge",
    "protomaml",
    "reptile",
    "truncated",
]
