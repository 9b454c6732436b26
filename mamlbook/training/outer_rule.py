"""The outer step: beta, and the optimizer that follows the meta-gradient at that rate."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mamlbook.checks import non_negative, takes
from mamlbook.inner.rules import require_eps
from mamlbook.learner import MetaLearner
from mamlbook.numerics import Params

Rate = float | Callable[[int], float]

# How an optimizer computes, which may change when a run goes on, and what is compared elsewhere.
_FREE = {"params", "lr", "foreach", "fused", "capturable", "differentiable"}

_WITH_KERNEL = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)


def rates(beta: Rate, steps: int) -> list[float]:
    """The outer rate of every meta-step.

    Raises:
        ValueError: beta, or what it returns for some step, is no finite number of at least 0, or beta is called
            otherwise.
    """
    if not callable(beta) or isinstance(beta, type):
        return [non_negative("beta", "outer rate", beta, " or a function of the step's number")] * steps
    if not takes(beta, 1):
        raise ValueError(
            f"beta: expected a number or a function of the step's number, from 0, got beta{inspect.signature(beta)}; "
            "let it take that number, as lambda step: 1e-3 does"
        )
    return [non_negative(f"beta({n}), the rate of meta-step {n + 1}", "outer rate", beta(n)) for n in range(steps)]


class OuterRule:
    """An optimizer over all that a learner learns, each parameter group at its own multiple of beta.

    ``optimizer(params, lr=beta)`` is called once, with the first rate above 0; the multiple of a group is what its
    ``lr`` is then of that rate, and lr_group(step) = beta(step) * multiple.

    Raises:
        TypeError: ``optimizer`` is no callable (params, lr=...) that returns a ``torch.optim.Optimizer``.
        ValueError: the optimizer has to evaluate the loss by itself, asks for sparse gradients, has a group without
            ``lr`` or a scheduler, or has been given weights of something else.
    """

    def __init__(self, optimizer: Callable[..., Optimizer], learner: MetaLearner, rates: list[float]):
        self.learner = learner
        if not learner.learned:
            raise ValueError("learner: expected weights to learn, got only frozen ones (requires_grad=False)")
        first = next((rate for rate in rates if rate > 0), 1.0)
        self.optimizer = _built(optimizer, learner, first)
        self.begun = [dict(group) for group in self.optimizer.param_groups]
        self.multiples = [float(group["lr"]) / first for group in self.optimizer.param_groups]
        self.learned = learner.learned
        # An old gradient of a weight that is now frozen would still be followed.
        self.optimizer.zero_grad(set_to_none=True)

    @property
    def name(self) -> str:
        """The name of the optimizer's class."""
        return type(self.optimizer).__qualname__

    def step(self, rate: float, gradients: Params) -> None:
        """One outer step along the gradients of all that is ``learned``."""
        for group, multiple in zip(self.optimizer.param_groups, self.multiples, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate * multiple)
            else:
                group["lr"] = rate * multiple
        for weight, gradient in zip(self.learned, gradients, strict=True):
            weight.grad = gradient
        self.optimizer.step()

    def fuse(self) -> None:
        """Let one kernel step all weights, where the optimizer has such a kernel and its user has chosen no other way.

        The numbers are those of the optimizer's own loop over the weights up to rounding.
        """
        if type(self.optimizer) not in _WITH_KERNEL:
            return
        for group in self.optimizer.param_groups:
            free = group["fused"] is None and group["foreach"] is None and not group["differentiable"]
            places = {weight.device.type for weight in group["params"]}
            if free and places <= {"cpu", "cuda"} and all(weight.is_floating_point() for weight in group["params"]):
                group["fused"] = True

    def settings(self) -> dict[str, Any]:
        """What decides how the optimizer steps, by name."""
        found: dict[str, Any] = {"optimizer": self.name, "parameter groups": len(self.begun)}
        for number, (group, multiple) in enumerate(zip(self.begun, self.multiples, strict=True), 1):
            where = f" of parameter group {number}" if len(self.begun) > 1 else ""
            found |= {f"weights{where} in the optimizer": len(group["params"]), f"lr{where} over beta": multiple}
            found |= {f"{name}{where}": value for name, value in group.items() if name not in _FREE}
        return found

    def state(self) -> dict[str, Any]:
        """What the optimizer remembers, such as momenta, with what it counts in its groups."""
        counted = [
            {name: value for name, value in now.items() if name not in _FREE and value is not begun.get(name)}
            for now, begun in zip(self.optimizer.param_groups, self.begun, strict=True)
        ]
        return self.optimizer.state_dict()["state"] | ({"groups": counted} if any(counted) else {})

    def remember(self, state: dict[str, Any]) -> None:
        """Take over what an optimizer of the same kind remembers; the settings stay this one's."""
        state, groups = copy.deepcopy(state), self.optimizer.state_dict()["param_groups"]
        for group, counted in zip(groups, state.pop("groups", []), strict=False):
            group |= counted
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor that the optimizer remembers, by a name that says of which weight."""
        names: dict[Tensor, str] = {weight: name for name, weight in self.learner.named_parameters()}
        return {
            f"the optimizer's {key} of {names.get(weight, 'a weight')}": value
            for weight, memory in self.optimizer.state.items()
            for key, value in memory.items()
            if isinstance(value, Tensor)
        }


def _built(optimizer: Any, learner: MetaLearner, rate: float) -> Optimizer:
    wanted = "optimizer: expected a callable (params, lr=...) giving a torch.optim.Optimizer, as torch.optim.Adam does"
    if isinstance(optimizer, Optimizer):
        kind = type(optimizer).__name__
        raise TypeError(f"{wanted}, got an {kind} object; pass the class, or lambda params, lr: {kind}(params, lr=lr)")
    if not callable(optimizer):
        raise TypeError(f"{wanted}, got {optimizer!r}")
    if isinstance(optimizer, partial) and "lr" in optimizer.keywords:
        raise TypeError(
            f"{wanted}, got {optimizer!r} with a rate of its own; the rate is beta: pass it to fit, and leave lr out"
        )
    try:
        built = optimizer(list(learner.learned), lr=rate)
    except (TypeError, ValueError) as error:
        refused = TypeError if isinstance(error, TypeError) else ValueError
        raise refused(f"{wanted}, got {optimizer!r}, which refuses that call: {error}") from error
    if not isinstance(built, Optimizer):
        raise TypeError(f"{wanted}, got {optimizer!r}, which made a {type(built).__name__}")
    _require_plain_steps(built)
    _require_own_weights(built, learner)
    require_eps("optimizer", built, learner.learned)
    return built


def _require_plain_steps(optimizer: Optimizer) -> None:
    name = type(optimizer).__name__
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ValueError(
            f"optimizer: expected one whose step() needs the gradients only, got {name}, which evaluates the loss "
            "several times a step (a closure), while every meta-step has tasks of its own; take Adam or SGD"
        )
    if isinstance(optimizer, torch.optim.SparseAdam):
        raise ValueError(f"optimizer: expected one for dense gradients, as meta-gradients are, got {name}; take Adam")
    for number, group in enumerate(optimizer.param_groups, 1):
        if group.get("maximize"):
            raise ValueError(
                f"optimizer: expected one that makes the loss small, got {name} with maximize=True; leave it out"
            )
        if "initial_lr" in group:  # each of torch's schedulers leaves it there
            raise ValueError(
                f"optimizer: expected one whose rates beta decides, got {name} with a scheduler, which would be of no "
                "effect; write its rule as a function of the step's number, beta=lambda step: ..."
            )
        non_negative(f"optimizer: lr of parameter group {number}", "rate", group.get("lr"))


def _require_own_weights(optimizer: Optimizer, learner: MetaLearner) -> None:
    own, learned = set(learner.parameters()), set(learner.learned)
    given = [weight for group in optimizer.param_groups for weight in group["params"]]
    strangers = [tuple(weight.shape) for weight in given if weight not in own]
    if strangers or learned.isdisjoint(given):
        found = f"one of shape {strangers[0]} that is not the learner's" if strangers else "frozen ones only"
        raise ValueError(f"optimizer: expected weights that the learner learns, got {found}; group those of `params`")
