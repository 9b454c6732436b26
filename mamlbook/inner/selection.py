"""Which weights adapt: all of a layer, the head, everything but the norms, or whatever a predicate accepts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import nn

from mamlbook.inner.transforms import Gradients, Place, Transform
from mamlbook.layers import BatchNorm, FixedNorm, TaskNorm
from mamlbook.model import Model
from mamlbook.torch_internals import BATCH_NORMS

if TYPE_CHECKING:
    from mamlbook.inner.base import Solver

NORMS = (BatchNorm, FixedNorm, TaskNorm, *BATCH_NORMS, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)


class Selector:
    """A choice of weights that depends on the network: from a model to the names that it chooses."""

    def __init__(self, name: str, choose: Callable[[Model], set[str]]):
        self.name, self.choose = name, choose

    def __repr__(self) -> str:
        return self.name


Choice = Selector | nn.Module | str | Callable[[str], bool]
"""A selector such as ``head``, a layer of the network or its name, or a predicate on the names of weights."""


def chosen(model: Model, *choices: Choice) -> set[str]:
    """The names of the weights that one of the choices chooses.

    Raises:
        ValueError: a choice matches none of the network's weights.
        TypeError: a choice is of another kind.
    """
    names: set[str] = set()
    for choice in choices:
        found = _matching(model, choice)
        if not found:
            raise ValueError(
                f"keep: expected a choice that matches weights of the network, got {_named(choice)}, which matches "
                f"none of {', '.join(model.names)}; choose among these, or let other weights require a gradient"
            )
        names |= found
    return names


def _matching(model: Model, choice: Choice) -> set[str]:
    if isinstance(choice, Selector):
        return choice.choose(model)
    if isinstance(choice, nn.Module):
        own = {id(weight) for weight in choice.parameters()}
        return {name for name, weight in zip(model.names, model.theta, strict=True) if id(weight) in own}
    if isinstance(choice, str):
        return {name for name in model.names if name == choice or name.startswith(f"{choice}.")}
    if not callable(choice):
        raise TypeError(f"keep: expected head, body, a layer, the name of one, or a predicate on names, got {choice!r}")
    return {name for name in model.names if choice(name)}


def _named(choice: Choice) -> str:
    if isinstance(choice, nn.Module):
        return type(choice).__name__
    return getattr(choice, "__name__", repr(choice))


def keep(*choices: Choice) -> Transform:
    """Adapt only these weights: phi_l <- phi_l - alpha m_l g_l with m_l in {0, 1}.

    A choice is ``head``, ``body``, ``without_norms`` or another ``Selector``, a layer or its name, or a predicate on
    the names of weights. The rest stay exactly at theta, and theta still learns from them in the outer loop.

    Raises:
        TypeError: no choice, or one of another kind.
        ValueError: when a learner is made, a choice that matches no weight of its network.

    >>> from mamlbook import Model, mlp
    >>> model = Model(mlp(1, 8, 1), nn.functional.mse_loss)
    >>> keep("head").adapts(model, step=0), keep(model.net.linear1).adapts(model, step=0)
    ([False, False, True, True], [True, True, False, False])
    """
    return Keep(*choices)


class Keep(Transform):
    """What ``keep`` makes: a mask over the weights, the same at every step."""

    def __init__(self, *choices: Choice):
        if not choices:
            raise TypeError("keep: expected what to adapt, such as keep(head) or keep('head'), got nothing")
        self.choices = choices

    def adapts(self, model: Model, step: int) -> list[bool]:
        names = chosen(model, *self.choices)
        return [name in names for name in model.names]

    def require(self, model: Model, solver: Solver) -> None:
        chosen(model, *self.choices)

    def __call__(self, gradients: Gradients, place: Place) -> Gradients:
        return gradients

    def __repr__(self) -> str:
        return f"keep({', '.join(map(_named, self.choices))})"


def _head(model: Model) -> set[str]:
    return {name for name in model.names if name.startswith(f"{model.require_head()}.")}


def _body(model: Model) -> set[str]:
    return set(model.names) - _head(model)


def _norms(model: Model) -> set[str]:
    norms = [name for name, layer in model.net.named_modules() if isinstance(layer, NORMS)]
    return {name for name in model.names if name.rpartition(".")[0] in norms}


def _without_norms(model: Model) -> set[str]:
    return set(model.names) - _norms(model)


head = Selector("head", _head)
"""The layer that makes the predictions, see ``Model.head``."""

body = Selector("body", _body)
"""Everything but the head."""

without_norms = Selector("without_norms", _without_norms)
"""Everything but the gains and offsets of norms: what the MAML paper adapts on Omniglot."""
