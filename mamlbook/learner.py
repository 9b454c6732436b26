"""The composition model x solver x meta-gradient x weighting, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mamlbook.inner.base import Adapted, Solver
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.exact import Exact
from mamlbook.model import Model
from mamlbook.numerics import Params
from mamlbook.tasks.base import Data, Tasks, require_tasks
from mamlbook.weighting import UniformWeights, Weighting


class MetaLearner(nn.Module):
    """Everything that decides how theta learns: the four factors of the book's formula.

    theta <- theta - beta sum_b w_b (d phi_b / d theta)^T grad L_b(phi_b),  phi_b = solver(theta, support_b).

    Calling it on tasks gives the scalar to call ``backward()`` on, and the query losses after adaptation, (B,).
    ``meta_steps`` counts the outer steps taken so far.
    """

    def __init__(
        self,
        model: Model,
        solver: Solver,
        metagradient: MetaGradient | None = None,
        weighting: Weighting | None = None,
    ):
        super().__init__()
        self.model = model
        self.solver = solver
        self.metagradient = Exact() if metagradient is None else metagradient
        self.weighting = UniformWeights() if weighting is None else weighting
        self.meta_steps = 0

    def forward(self, tasks: Tasks) -> tuple[Tensor, Tensor]:
        require_tasks(tasks)
        batch = MetaBatch.of(self.model, self.solver, tasks)
        surrogates = self.metagradient(batch)
        weights = self.weighting(surrogates, batch)
        return (weights * surrogates).sum(), surrogates.detach()

    def adapt(self, support: Data, steps: int | None = None) -> Adapted:
        """Solve new tasks from the learned start, without a graph; ``steps`` may differ from training."""
        with self.testing():
            return self.solver(self.model, support, unroll=0, steps=steps)

    def meta_gradient(self, tasks: Tasks) -> Params:
        """The direction that one outer step would follow, as a tuple of (\\*shape); the weights are left alone."""
        surrogate, _ = self(tasks)
        return torch.autograd.grad(surrogate, self.model.theta, materialize_grads=True)

    @property
    def learned(self) -> Params:
        """Everything that the outer loop learns: theta, then the weights of solver, meta-gradient and weighting."""
        return tuple(p for p in self.parameters() if p.requires_grad)

    def gradients(self, tasks: Tasks) -> tuple[Params, Tensor]:
        """The gradients of all that is ``learned``, and the query losses after adaptation, (B,)."""
        surrogate, losses = self(tasks)
        return torch.autograd.grad(surrogate, self.learned, materialize_grads=True), losses

    def advance(self) -> None:
        """An outer step has been taken: what remembers, a memory or a schedule, moves on.

        Only here, and not when a meta-gradient is computed, does anything change besides the weights.
        """
        self.meta_steps += 1
        for part in self.modules():
            if part is not self and hasattr(part, "advance"):
                part.advance()

    @contextmanager
    def testing(self) -> Iterator[None]:
        """Evaluation mode for a while: what is random in training, such as dropout, is off."""
        training = self.training
        self.eval()
        try:
            yield
        finally:
            self.train(training)
