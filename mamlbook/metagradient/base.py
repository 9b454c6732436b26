"""What a meta-gradient has to offer."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from mamlbook.meta_batch import MetaBatch


class MetaGradient(Protocol):
    """One scalar per task, (B,): its value is the query loss L_b(phi_b), its theta-gradient the meta-gradient.

    Such a surrogate lets one ``backward()`` serve every method: the methods differ in how they read d phi / d theta,
    and in nothing else. Computing it changes nothing; one that remembers may have ``advance()``, see ``MetaLearner``.
    """

    def __call__(self, batch: MetaBatch) -> Tensor: ...
