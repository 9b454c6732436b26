"""MAML's gradient in the memory of a few steps: the others are computed a second time when they are needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.devices import noise_kept, random_states, set_random_states
from mamlbook.inner.base import Solver
from mamlbook.inner.descent import GradientDescent, InnerState
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.regions import run_region
from mamlbook.model import Model
from mamlbook.numerics import Params, add_scaled, as_leaves
from mamlbook.tasks.base import Data
from mamlbook.torch_internals import tree_leaves, tree_map


class Checkpointed(MetaGradient):
    """The query loss, differentiated through the inner loop one segment of steps at a time, the last one first.

    v_S = grad L_b(phi_S),  v_s = (d phi_{s + every} / d phi_s)^T v_{s + every},  grad s_b = v_0.

    Forward, the weights are kept at the beginning of each segment, and no graph. Backward, each segment is computed
    again with a graph, which is let go before the next. The gradient is MAML's; memory is that of ``every`` steps and
    S / every copies of the weights, smallest near ``every`` = sqrt(S), the default; time is one more inner loop,
    4S + 1 gradients instead of 3S + 1. Random steps draw the second time what they drew the first time.

    PyTorch's own ``torch.utils.checkpoint`` is of no use here: the inner step's ``grad`` opens what was packed while
    it is being packed.

    Shapes: the result is (B,).

    Raises:
        ValueError: ``every`` is no whole number of at least 1; when a learner is made, a solver that is not
            ``GradientDescent``.

    References: [Griewank, 1992](https://doi.org/10.1080/10556789208805505), and for deep networks
    [Chen et al., 2016](https://arxiv.org/abs/1604.06174).
    """

    by_region = True

    def __init__(self, every: int | None = None):
        super().__init__()
        self.every = (
            None
            if every is None
            else whole_number("every", every, 1, "a whole number of steps", ", or None for sqrt(S)")
        )

    def require(self, model: Model, solver: Solver) -> None:
        if not isinstance(solver, GradientDescent):
            raise ValueError(f"solver: expected GradientDescent, whose steps can be computed again, got {solver}")

    def forward(self, batch: MetaBatch) -> Tensor:
        learned = tuple(p for p in batch.solver.parameters() if p.requires_grad)
        return _QueryLosses.apply(_InnerLoop(batch, self.every), *batch.theta, *learned)

    def extra_repr(self) -> str:
        return "" if self.every is None else f"every={self.every}"


class _QueryLosses(torch.autograd.Function):
    """The query losses of phi_S as a function of theta and of the solver's learned weights."""

    @staticmethod
    def forward(ctx, loop: _InnerLoop, *weights: Tensor) -> Tensor:
        ctx.loop, ctx.count = loop, len(loop.batch.theta)
        ctx.save_for_backward(*weights)
        *ctx.starts, ctx.end = loop.states(weights[: ctx.count])
        return loop.query_losses(ctx.end.phi)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, w: Tensor):
        loop, theta, learned = ctx.loop, ctx.saved_tensors[: ctx.count], ctx.saved_tensors[ctx.count :]
        by_theta, by_learned = tuple(map(torch.zeros_like, theta)), tuple(map(torch.zeros_like, learned))
        v = loop.query_gradient(ctx.end, w)
        for number in reversed(range(len(ctx.starts))):
            v, direct, of_learned = loop.vjp(number, theta, ctx.starts[number], v)
            by_theta, by_learned = add_scaled(by_theta, 1, direct), add_scaled(by_learned, 1, of_learned)
        return None, *add_scaled(by_theta, 1, loop.start_vjp(theta, v)), *by_learned


class _InnerLoop:
    """The inner loop of one meta-batch as a chain of segments, each a function of the state at which it begins."""

    def __init__(self, batch: MetaBatch, every: int | None):
        assert isinstance(batch.solver, GradientDescent)  # as ``require`` has seen to
        self.batch, self.solver = batch, batch.solver
        steps = self.solver.steps
        every = every or max(1, math.isqrt(steps))
        self.segments = [range(first, min(first + every, steps)) for first in range(0, steps, every)]
        self.draws: list[list[Tensor]] = []

    def states(self, theta: Params) -> Iterator[InnerState]:
        """Where each segment begins, and where the last one ends; without a graph."""
        state = _contiguous(InnerState(self._start(theta)))
        yield state
        for number in range(len(self.segments)):
            self.draws.append(random_states())
            state = _contiguous(self._run("segment", self._segment, number, theta, state))
            yield state

    def vjp(
        self, number: int, theta: Params, state: InnerState, v: list[Tensor]
    ) -> tuple[list[Tensor], Params, Params]:
        """v^T times the Jacobians of a segment's end: by the state at its beginning, by theta, by learned weights."""
        with noise_kept():
            set_random_states(self.draws[number])
            return self._run("segment, backward", self._segment_vjp, number, theta, state, _contiguous(v))

    def query_losses(self, phi: Params) -> Tensor:
        """L_b(phi_b), (B,)."""
        return run_region("query", self._query, phi, self.batch.tasks.query)

    def query_gradient(self, end: InnerState, w: Tensor) -> list[Tensor]:
        """The gradient of sum_b w_b L_b by the last state, of which only phi is judged."""

        def gradient(phi: Params, query: Data, w: Tensor) -> Params:
            phi = as_leaves(phi)
            with torch.enable_grad():
                losses = self._query(phi, query)
            return torch.autograd.grad(losses, phi, w, materialize_grads=True)

        by_phi = run_region("query, backward", gradient, end.phi, self.batch.tasks.query, w)
        return [*by_phi, *(torch.zeros_like(t) for t in _differentiable(end)[len(by_phi) :])]

    def start_vjp(self, theta: Params, v: list[Tensor]) -> Params:
        """v^T times the Jacobian of phi_0 by theta."""
        if self.solver.start is None:
            return tuple(v[: len(theta)])
        theta = as_leaves(theta)
        with torch.enable_grad():
            phi = self._start(theta)
        return _vjp(phi, theta, v[: len(phi)])

    def _start(self, theta: Params) -> Params:
        return self.solver.begin(self.batch.model, self.batch.tasks.support, theta)

    def _query(self, phi: Params, query: Data) -> Tensor:
        model = self.batch.model
        return model.losses(model(phi, query.x), query.y)

    def _segment(self, theta: Params, state: InnerState, support: Data, steps: range) -> InnerState:
        end = self.solver.segment(self.batch.model, support, theta, _fresh(state), steps, unroll=False)
        return tree_map(lambda t: t.detach() if isinstance(t, Tensor) else t, end)

    def _segment_vjp(self, theta: Params, state: InnerState, support: Data, steps: range, v: list[Tensor]):
        theta, learned = as_leaves(theta), tuple(p for p in self.solver.parameters() if p.requires_grad)
        begin = _fresh(state)
        with torch.enable_grad():
            end = self.solver.segment(self.batch.model, support, theta, begin, steps, unroll=True)
        inputs = _differentiable(begin)
        found = _vjp(_differentiable(end), (*inputs, *theta, *learned), v)
        first, last = len(inputs), len(inputs) + len(theta)
        return list(found[:first]), found[first:last], found[last:]

    def _run(self, name: str, function: Callable, number: int, theta: Params, state: InnerState, *more: Any) -> Any:
        # Without transforms all steps are alike, and one compiled segment serves for all that are as long.
        steps = self.segments[number] if self.solver.transforms else range(len(self.segments[number]))

        def piece(theta, state, support, first, last, *more):
            return function(theta, state, support, range(first, last), *more)

        return run_region(name, piece, theta, state, self.batch.tasks.support, steps.start, steps.stop, *more)


def _vjp(outputs: Sequence[Tensor], inputs: Sequence[Tensor], v: Sequence[Tensor]) -> Params:
    """v^T d outputs / d inputs, where outputs that depend on no input have nothing to add."""
    pairs = [(output, u) for output, u in zip(outputs, v, strict=True) if output.requires_grad]
    return torch.autograd.grad([o for o, _ in pairs], inputs, [u for _, u in pairs], materialize_grads=True)


def _is_differentiable(leaf: Any) -> bool:
    return isinstance(leaf, Tensor) and leaf.is_floating_point()


def _differentiable(state: InnerState) -> list[Tensor]:
    return list(filter(_is_differentiable, tree_leaves(state)))


def _fresh(state: InnerState) -> InnerState:
    """The same numbers, to be differentiated afresh."""
    return tree_map(lambda t: t.detach().requires_grad_() if _is_differentiable(t) else t, state)


def _contiguous(tree: Any) -> Any:
    """The same numbers, contiguous in memory, so that the compiled code of one segment fits all."""
    return tree_map(lambda t: t.clone(memory_format=torch.contiguous_format) if isinstance(t, Tensor) else t, tree)
