"""What a start looks like, what a meta-gradient is and what it costs."""

from mamlbook.analysis.bayes import (
    Belief,
    error_covariance,
    gain_of_prior,
    gain_of_steps,
    implied_prior,
    log_marginal,
    marginal_mean,
    mixture_posterior,
    posterior,
    posterior_of_steps,
    start_covariance,
)
from mamlbook.analysis.costs import Cost, KernelCounter, OperationCounter, SavedTensors, cost, peak
from mamlbook.analysis.diagnostics import (
    agreement,
    alignment,
    gauss_newton_product,
    hessian_product,
    largest_curvature,
    meta_gradients,
    task_gradients,
    unsolved,
)
from mamlbook.analysis.gradient_audit import gradient_check
from mamlbook.analysis.pattern_search import MeasuredPattern, SearchResult, candidates, measure, restricted, search
from mamlbook.analysis.rounding import TF32, RoundedProducts
from mamlbook.analysis.similarity import activations, change, linear_cka, mean_cca
from mamlbook.analysis.verdict import GradientCheck

__all__ = [
    "TF32",
    "Belief",
    "Cost",
    "GradientCheck",
    "KernelCounter",
    "MeasuredPattern",
    "OperationCounter",
    "RoundedProducts",
    "SavedTensors",
    "SearchResult",
    "activations",
    "agreement",
    "alignment",
    "candidates",
    "change",
    "cost",
    "error_covariance",
    "gain_of_prior",
    "gain_of_steps",
    "gauss_newton_product",
    "gradient_check",
    "hessian_product",
    "implied_prior",
    "largest_curvature",
    "linear_cka",
    "log_marginal",
    "marginal_mean",
    "mean_cca",
    "measure",
    "meta_gradients",
    "mixture_posterior",
    "peak",
    "posterior",
    "posterior_of_steps",
    "restricted",
    "search",
    "start_covariance",
    "task_gradients",
    "unsolved",
]
