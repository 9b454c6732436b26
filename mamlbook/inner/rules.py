"""PyTorch's optimisers as rules of the inner loop, made differentiable by higher."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import higher
import torch
from higher.optim import DifferentiableOptimizer
from torch import Tensor, nn

from mamlbook.inner import adam  # noqa: F401  it registers its optimisers with higher
from mamlbook.numerics import Params
from mamlbook.torch_internals import has_step_hooks

Rule = Callable[..., torch.optim.Optimizer]
"""An optimiser of PyTorch, or a ``functools.partial`` of one: (parameters, lr=...) to an optimiser."""


def require_rule(rule: Rule, alpha: float | Tensor) -> None:
    """Refuse a rule that has no differentiable twin, before anything is computed.

    Raises:
        ValueError: the rule is no optimiser, higher does not know it or part of it, or it has a rate of its own.
    """
    if isinstance(rule, partial) and "lr" in rule.keywords:
        raise ValueError(
            f"rule: expected an optimiser whose rate is alpha, {alpha}, got {rule!r} with one of its own; leave lr out"
        )
    try:
        higher.get_diff_optim(_built(rule, alpha, blank := [_blank()]), blank)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ValueError(
            "rule: expected an optimiser of PyTorch that higher can differentiate, such as torch.optim.SGD, Adam or "
            f"functools.partial(torch.optim.SGD, momentum=0.9), got {rule!r} ({error})"
        ) from None


def differentiable(rule: Rule, alpha: float | Tensor, phi: Params, *, unroll: bool) -> DifferentiableOptimizer:
    """The differentiable twin of a rule, for weights such as ``phi``; a tensor alpha is differentiated as well."""
    # The twin is handed its weights at every step; of these it needs the number only, and higher copies them.
    weights = [_blank() for _ in phi]
    optimizer = _built(rule, alpha, weights)
    if optimizer.state:  # one that remembers from the beginning, as Adagrad does, has to know the shapes
        weights = [nn.Parameter(torch.zeros_like(p)) for p in phi]
        optimizer = _built(rule, alpha, weights)
    require_eps("rule", optimizer, phi)
    override = {"lr": [alpha]} if isinstance(alpha, Tensor) else None
    return higher.get_diff_optim(optimizer, weights, override=override, track_higher_grads=unroll)


def require_eps(name: str, optimizer: torch.optim.Optimizer, weights: Iterable[Tensor]) -> None:
    """Refuse an optimiser that divides by nothing where a float16 weight has no gradient.

    Raises:
        ValueError: its eps is zero in float16, and such a weight is among these.
    """
    eps = [group.get("eps") for group in optimizer.param_groups]
    lost = [value for value in eps if isinstance(value, float) and 0 < value <= 2**-25]
    if lost and any(weight.dtype == torch.float16 for weight in weights):
        kind = type(optimizer).__name__
        raise ValueError(
            f"{name}: expected an eps that float16 weights can hold, got {kind} with {lost[0]}, which is 0 there, so "
            "that weights without a gradient become nan; take weights in bfloat16 or float32, or a larger eps, as "
            f"functools.partial(torch.optim.{kind}, eps=1e-3)"
        )


class PlainSteps(Protocol):
    """A solver whose steps are those of plain gradient descent."""

    alpha: float | Tensor


def require_plain_rule(part: object, solver: Any) -> PlainSteps:
    """The solver, if its steps are those of plain gradient descent, which a part counts on.

    Raises:
        ValueError: names the part and the rule.
    """
    if getattr(solver, "rule", None) is not torch.optim.SGD:
        raise ValueError(
            f"rule: expected plain gradient descent, rule=torch.optim.SGD, beside {type(part).__name__}, got {solver}"
        )
    return solver


def _built(rule: Rule, alpha: float | Tensor, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    optimizer = rule(weights, lr=1.0 if isinstance(alpha, Tensor) else alpha)
    if any(group.get("maximize") for group in optimizer.param_groups):
        raise ValueError("higher ignores maximize=True, and an inner loop minimises")
    if isinstance(alpha, Tensor) and any(group["lr"] != 1 for group in optimizer.param_groups):
        raise ValueError("a learned alpha takes the place of the rates of all groups; let LearnedRates learn them")
    if has_step_hooks(optimizer):
        raise ValueError("higher ignores hooks on its steps; what changes gradients is a transform, such as Clipped")
    return optimizer


def _blank() -> nn.Parameter:
    return nn.Parameter(torch.empty(0, device="cpu"))
