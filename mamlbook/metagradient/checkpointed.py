"""MAML's gradient in the memory of a few steps: the others are computed a second time when they are needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.inner.base import Solver
from mamlbook.inner.descent import GradientDescent, InnerState
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.metagradient.regions import run_region
from mamlbook.model import Model
from mamlbook.numerics import Params, add_scaled, as_leaves
from mamlbook.torch_internals import tree_flatten, tree_map, tree_unflatten


class Checkpointed(MetaGradient):
    """The query loss, differentiated through the inner loop one stretch of steps at a time, the last one first.

    v_S = grad L_b(phi_S),  v_s = (d phi_{s + every} / d phi_s)^T v_{s + every},  grad s_b = v_0.

    On the way there the weights are kept at the beginning of each stretch, and no graph. On the way back each stretch
    is walked again with a graph, which is let go before the next. The gradient is MAML's; memory is that of ``every``
    steps and S / every copies of the weights, smallest near ``every`` = sqrt(S), the default; time is one more inner
    loop, 4S + 1 gradients instead of 3S + 1. Random steps draw on the way back what they drew on the way there.

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
            raise ValueError(f"solver: expected GradientDescent, whose steps can be walked again, got {solver}")

    def forward(self, batch: MetaBatch) -> Tensor:
        solver = batch.solver
        learned = tuple(p for p in solver.parameters() if p.requires_grad)
        return _Walk.apply(_Way(batch, self.every), *batch.theta, *learned)

    def extra_repr(self) -> str:
        return "" if self.every is None else f"every={self.every}"


class _Way:
    """The inner loop of one meta-batch as a chain of stretches."""

    def __init__(self, batch: MetaBatch, every: int | None):
        assert isinstance(batch.solver, GradientDescent)  # as ``require`` has seen to
        self.batch, self.solver = batch, batch.solver
        steps = self.solver.steps
        every = every or max(1, math.isqrt(steps))
        self.stretches = [range(first, min(first + every, steps)) for first in range(0, steps, every)]
        self.draws: list[_Draws] = []

    def there(self, theta: Params) -> Iterator[InnerState]:
        """The beginning of every stretch, and the end."""
        phi = self.solver.begin(self.batch.model, self.batch.tasks.support, theta)
        at = _plain(InnerState(phi))
        yield at
        for steps in self.stretches:
            self.draws.append(_Draws(phi[0].device))
            at = _plain(self._run("stretch of steps", self._step, theta, at, steps))
            yield at

    def _step(self, theta: Params, at: InnerState, support, steps: range) -> InnerState:
        at, _ = _cut(at)
        return _constant(self.solver.segment(self.batch.model, support, theta, at, steps, unroll=False))

    def back(self, theta: Params, at: InnerState, steps: range, v: list[Tensor]) -> tuple[list[Tensor], Params, Params]:
        """v times the Jacobians of a stretch: by what it began with, by theta itself, and by learned weights."""
        v = _plain(v)
        with self.draws[self.stretches.index(steps)].again():
            return self._run("stretch of steps, backwards", self._turn, theta, at, steps, v)

    def _turn(self, theta: Params, at: InnerState, support, steps: range, v: list[Tensor]):
        theta, learned = as_leaves(theta), tuple(p for p in self.solver.parameters() if p.requires_grad)
        at, begin = _cut(at)
        with torch.enable_grad():
            end = self.solver.segment(self.batch.model, support, theta, at, steps, unroll=True)
        moved = ((e, u) for e, u in zip(_differentiable(end), v, strict=True) if e.requires_grad)
        ends, pulls = zip(*moved, strict=True)
        found = torch.autograd.grad(ends, (*begin, *theta, *learned), pulls, materialize_grads=True)
        first, last = len(begin), len(begin) + len(theta)
        return list(found[:first]), found[first:last], found[last:]

    def _run(self, name: str, function, theta: Params, at: InnerState, steps: range, *more):
        # Without transforms all steps are alike, and one compiled stretch serves for all that are as long.
        steps = steps if self.solver.transforms else range(len(steps))
        support = self.batch.tasks.support

        def piece(theta, at, support, first, last, *more):
            return function(theta, at, support, range(first, last), *more)

        return run_region(name, piece, theta, at, support, steps.start, steps.stop, *more)

    def judged(self, phi: Params) -> Tensor:
        """The query losses, (B,)."""
        return run_region("query", self._judge, phi, self.batch.tasks.query)

    def _judge(self, phi: Params, query) -> Tensor:
        model = self.batch.model
        return model.losses(model(phi, query.x), query.y)

    def verdict(self, phi: Params, weights: Tensor) -> Params:
        """The gradients of the query losses at phi, each times its weight."""

        def gradient(phi: Params, query, weights: Tensor) -> Params:
            phi = as_leaves(phi)
            with torch.enable_grad():
                losses = self._judge(phi, query)
            return torch.autograd.grad(losses, phi, weights, materialize_grads=True)

        return run_region("query, backwards", gradient, phi, self.batch.tasks.query, weights)


class _Draws:
    """Where the random generators stand, to draw the same again."""

    def __init__(self, device: torch.device):
        self.devices = [device] if device.type == "cuda" else []
        self.states = torch.get_rng_state(), [torch.cuda.get_rng_state(each) for each in self.devices]

    @contextmanager
    def again(self) -> Iterator[None]:
        with torch.random.fork_rng(self.devices):
            torch.set_rng_state(self.states[0])
            for device, state in zip(self.devices, self.states[1], strict=True):
                torch.cuda.set_rng_state(state, device)
            yield


class _Walk(torch.autograd.Function):
    """The query losses as a function of theta and of the solver's learned weights; the gradient is the walk back."""

    @staticmethod
    def forward(ctx, way: _Way, *changing: Tensor) -> Tensor:
        theta = changing[: len(way.batch.theta)]
        ctx.way = way
        ctx.stops = list(way.there(theta))
        ctx.save_for_backward(*changing)
        return way.judged(ctx.stops[-1].phi)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, weights: Tensor):
        way, count = ctx.way, len(ctx.way.batch.theta)
        theta, learned = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        by_theta, by_learned = tuple(map(torch.zeros_like, theta)), tuple(map(torch.zeros_like, learned))
        *stops, end = ctx.stops
        v = list(way.verdict(end.phi, weights))
        v += [torch.zeros_like(t) for t in _differentiable(end)[len(v) :]]
        for at, steps in zip(reversed(stops), reversed(way.stretches), strict=True):
            v, direct, rates = way.back(theta, at, steps, v)
            by_theta, by_learned = add_scaled(by_theta, 1, direct), add_scaled(by_learned, 1, rates)
        return None, *add_scaled(by_theta, 1, _at_start(way, theta, v)), *by_learned


def _at_start(way: _Way, theta: Params, v: list[Tensor]) -> Params:
    """v times the Jacobian of phi^0 by theta."""
    if way.solver.start is None:
        return tuple(v[: len(theta)])
    theta = as_leaves(theta)
    with torch.enable_grad():
        phi = way.solver.begin(way.batch.model, way.batch.tasks.support, theta)
    moved = [(p, u) for p, u in zip(phi, v, strict=False) if p.requires_grad]
    return torch.autograd.grad([p for p, _ in moved], theta, [u for _, u in moved], materialize_grads=True)


def _differentiable(at: InnerState) -> list[Tensor]:
    return [t for t in tree_flatten(at)[0] if isinstance(t, Tensor) and t.is_floating_point()]


def _cut(at: InnerState) -> tuple[InnerState, list[Tensor]]:
    """The same numbers, to be differentiated afresh, as a whole and as a list."""
    leaves, spec = tree_flatten(at)
    fresh = [t.detach().requires_grad_() if isinstance(t, Tensor) and t.is_floating_point() else t for t in leaves]
    cut = tree_unflatten(fresh, spec)
    return cut, _differentiable(cut)


def _plain(at):
    """The same numbers, contiguous in memory, so that the compiled code of one stretch fits all."""
    return tree_map(lambda t: t.clone(memory_format=torch.contiguous_format) if isinstance(t, Tensor) else t, at)


def _constant(at: InnerState) -> InnerState:
    leaves, spec = tree_flatten(at)
    return tree_unflatten([t.detach() if isinstance(t, Tensor) else t for t in leaves], spec)
