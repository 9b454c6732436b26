"""What a meta-gradient has to offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from mamlbook.inner.base import Adapted
from mamlbook.numerics import Params

Query = Callable[[Params], Tensor]
"""The query losses of given weights: phi -> (B,)."""


class MetaGradient(Protocol):
    """One scalar per task, whose value is the query loss L_b(phi_b) and whose theta-gradient is the meta-gradient.

    Such a surrogate lets one ``backward()`` serve every method: the methods differ in how they read d phi / d theta,
    and in nothing else. ``unroll`` tells the solver whether its steps will be differentiated.
    """

    unroll: bool

    def __call__(self, theta: Params, adapted: Adapted, query: Query, index: Tensor) -> Tensor: ...
