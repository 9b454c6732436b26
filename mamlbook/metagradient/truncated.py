"""Truncation: differentiate through the last inner steps only."""

from __future__ import annotations

from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.inner.base import Solver
from mamlbook.inner.descent import GradientDescent, InnerState
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.local import require_proximal
from mamlbook.model import Model
from mamlbook.torch_internals import tree_map

EARLY = ("identity", "zero")


class Truncated(MetaGradient):
    """The query loss, differentiated through the last few inner steps; ``early`` says how the others are read.

    grad s_b = (J_{S-1} ... J_{S-last} E + sum_{s=S-last}^{S-1} J_{S-1} ... J_{s+1} P)^T grad L_b(phi_S),

    with J_s = d phi^{s+1} / d phi^s, and P = alpha lam I, by which a pull brings theta into every step. E stands for
    d phi^{S-last} / d theta. With "identity" it is I: the way to phi^{S-last} is a constant displacement of theta, and
    ``last`` = 0 would be FOMAML. With "zero" it is 0: phi^{S-last} is a constant, as in the paper, and without a pull
    nothing is left. ``last`` >= S is MAML in both. There are ``last`` Hessian-vector products however many steps there
    are, one fewer with "zero".

    Shapes: the result is (B,).

    Raises:
        ValueError: ``last`` is no whole number of at least 1, or ``early`` is unknown; when a learner is made, with
            "zero", a solver that is not ``GradientDescent`` or has no proximal term.

    References: [Shaban et al., 2019](https://arxiv.org/abs/1810.10667).
    """

    def __init__(self, last: int = 1, early: str = "identity"):
        super().__init__()
        self.last = whole_number("last", last, 1, "a whole number of steps")
        if early not in EARLY:
            raise ValueError(f"early: expected one of {EARLY}, got {early!r}")
        self.early = early

    def require(self, model: Model, solver: Solver) -> None:
        if self.early == "zero":
            require_proximal(solver, "with the early steps read as 0 theta is felt through it alone")
            if not isinstance(solver, GradientDescent):
                raise ValueError(f"solver: expected GradientDescent, whose steps can be cut in two, got {solver}")

    def forward(self, batch: MetaBatch) -> Tensor:
        solver = batch.solver
        if self.early == "identity" or (isinstance(solver, GradientDescent) and self.last >= solver.steps):
            return batch.query(batch.solve(unroll=self.last))
        return self._from_a_constant(batch)

    def _from_a_constant(self, batch: MetaBatch) -> Tensor:
        solver, model, support = batch.solver, batch.model, batch.tasks.support
        assert isinstance(solver, GradientDescent)  # as ``require`` has seen to
        first = solver.steps - self.last
        begin = InnerState(solver.begin(model, support, batch.theta))
        middle = solver.segment(model, support, batch.theta, _constant(begin), range(first), unroll=False)
        steps = range(first, solver.steps)
        end = solver.segment(model, support, batch.theta, _constant(middle), steps, unroll=True)
        return model.losses(model(end.phi, batch.tasks.query.x), batch.tasks.query.y)

    def extra_repr(self) -> str:
        return f"last={self.last}" + (f", early={self.early!r}" if self.early != "identity" else "")


def _constant(state: InnerState) -> InnerState:
    """The same numbers, of which nothing is known to depend on theta."""

    def fresh(leaf):
        if not isinstance(leaf, Tensor):
            return leaf
        return leaf.detach().requires_grad_(leaf.is_floating_point())

    return tree_map(fresh, state)
