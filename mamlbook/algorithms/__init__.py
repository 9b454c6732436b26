"""The field as one table: each algorithm is one composition of the four factors."""

from mamlbook.algorithms import adaptation, closed_form, gradient, implicit, outer_loops, stability, stochastic
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
from mamlbook.algorithms.linear_model import ClosedForm
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

ALGORITHMS: dict[str, Algorithm] = {
    **gradient.ROWS,
    **implicit.ROWS,
    **closed_form.ROWS,
    **adaptation.ROWS,
    **stability.ROWS,
    **outer_loops.ROWS,
    **stochastic.ROWS,
}
"""Every algorithm by name; tests and comparison tables run over it, so a new row appears in both by itself."""

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "ClosedForm",
    "amfs_weights",
    "anil",
    "annealed",
    "boil",
    "cavia",
    "conflict_averse",
    "dropgrad",
    "es_maml",
    "evograd",
    "fiml",
    "finite_difference",
    "fomaml",
    "forward_mode",
    "imaml",
    "imaml_neumann",
    "joint",
    "kernel_ridge",
    "lambda_pattern",
    "learned_weights",
    "line_search",
    "local_moml",
    "lslr",
    "maml",
    "maml_plus_plus",
    "meta_rkhs_1",
    "meta_rkhs_2",
    "meta_sgd",
    "moml",
    "moml_v2",
    "multi_step_loss",
    "ntk_ridge",
    "protomaml",
    "reptile",
    "robust",
    "sgld",
    "sgld_score",
    "softmax_weights",
    "truncated",
]
