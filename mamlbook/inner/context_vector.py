"""A few inputs that stand for the task, and are all that adapts."""

from __future__ import annotations

import torch

from mamlbook.inner.selection import Selector
from mamlbook.model import Model
from mamlbook.numerics import Params
from mamlbook.tasks.base import Data


def _context(model: Model) -> set[str]:
    names = {name for name in model.names if name.startswith("context.")}
    if not names:
        raise ValueError(
            "net: expected a layer called 'context' that learns, got "
            f"{', '.join(dict.fromkeys(name.partition('.')[0] for name in model.names))}; build a perceptron by "
            "networks.contextual, or put layers.Context in front of your network, as nn.Sequential(OrderedDict("
            "context=Context(5), net=net)), whose inputs it makes wider by 5"
        )
    return names


context = Selector("context", _context)
"""The layer that holds a network's task parameters, which ``networks.contextual`` calls ``context``."""


def reset_context(model: Model, support: Data, theta: Params) -> Params:
    """Where the steps begin: at theta, but with a context of zeros, phi^0 = (0, theta without its context).

    A start that is given and not learned: no gradient reaches the context of theta.

    Raises:
        ValueError: the network has no layer called ``context``.
    """
    own = _context(model)
    # The zeros ask for a gradient, or the inner loop would leave them as they are.
    return tuple(
        torch.zeros_like(t, requires_grad=True) if name in own else t
        for name, t in zip(model.names, theta, strict=True)
    )
