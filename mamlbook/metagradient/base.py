"""What a meta-gradient has to offer."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from mamlbook.meta_batch import MetaBatch
from mamlbook.parts import Part


class MetaGradient(Part, nn.Module, ABC):
    """One scalar per task, (B,): its value is the query loss L_b(phi_b), its theta-gradient the meta-gradient.

    Such a surrogate lets one ``backward()`` serve every method: the methods differ in how they read d phi / d theta,
    and in nothing else. Computing it changes nothing; one that remembers has an ``advance()``, see ``Part``.
    """

    by_region: bool = False
    """Whether it works region by region (``mamlbook.metagradient.regions``), each of which is compiled by itself."""

    @abstractmethod
    def forward(self, batch: MetaBatch) -> Tensor: ...
