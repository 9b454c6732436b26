"""Several learners of one kind at once: their meta-gradients in one batched computation."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.func import vmap

from mamlbook.devices import noise_kept, random_states, set_random_states
from mamlbook.execution.tracing import Tracer, finished, without_draws
from mamlbook.execution.ways import Execution
from mamlbook.learner import MetaLearner
from mamlbook.numerics import Params
from mamlbook.parts import Part
from mamlbook.tasks.base import Tasks
from mamlbook.torch_internals import check_on_device, place_of, trace, tree_flatten, tree_unflatten, with_values

CLOSE = 1e-2
"""How far, relatively, a replica's first meta-gradient may be from its learner's own, in single precision."""

ROUNDED = 10
"""How many times as far as one last digit of its weights moves the learner's own meta-gradient, where that is more."""


class _Code(NamedTuple):
    """Operations on all replicas, the form of one's outputs, what makes one's draws, if it makes any, and what the last
    outputs, which are conditions, say where they do not hold.
    """

    function: Callable
    form: Any
    draws: Callable | None
    conditions: list[str]


class Replicas:
    """The meta-gradients of R learners that differ in their numbers only, such as those of several seeds.

    Calling it on R batches of tasks of one shape gives for each learner what its ``gradients`` would give, up to
    rounding. One learner's meta-step is traced, its operations are batched over the learners, and the result is walked
    by Python, or compiled. A network that is too small to fill a processor takes little longer for several.

    Until ``release`` the learners' weights and buffers are views of one tensor each. Random numbers are those that each
    learner would draw by itself after ``torch.manual_seed(noise[r])``, or from where the global generator is now.

    Raises:
        ValueError: the learners are not of one kind; when called, the batches are not of one shape, or a learner
            computes other numbers by itself, because something differs that is no weight or buffer.
        NotTraceable, RuntimeError: when called, as for ``Compiled``.
    """

    def __init__(
        self,
        learners: Sequence[MetaLearner],
        execution: Execution,
        noise: Sequence[int] | None = None,
        announce: Callable[[str], None] | None = None,
    ):
        _require_alike(learners)
        self.learners, self.execution, self.compiling = list(learners), execution, 0.0
        self.announce = announce or (lambda text: None)
        self._tracer = Tracer(learners[0])
        names = [*dict(learners[0].named_parameters()), *dict(learners[0].named_buffers())]
        self._places = [[place_of(learner, name) for learner in learners] for name in names]
        with torch.no_grad():
            self._stacked = [torch.stack([place[key] for place, key in row]) for row in self._places]
        self._views: list[list[Tensor]] = [[place[key] for place, key in row] for row in self._places]
        for row, stacked in zip(self._views, self._stacked, strict=True):
            for view, storage in zip(row, stacked, strict=True):
                view.data = storage
        self._noise = [_noise_of(seed) for seed in noise or ()] or [random_states()] * len(learners)
        self._codes: dict[tuple, _Code] = {}

    def __call__(self, batches: Sequence[Tasks]) -> list[tuple[Params, Tensor]]:
        with torch.no_grad():
            self._follow()
            inputs = [torch.stack(leaves) for leaves in zip(*map(_leaves, batches), strict=True)]
        tensors = self._stacked + inputs
        mode = [part.phase for part in self.learners[0].modules() if isinstance(part, Part)]
        key = (*((t.shape, t.dtype) for t in inputs), *mode)
        if key in self._codes:
            return self._run(self._codes[key], tensors)
        self._codes[key] = self._make(batches, tensors)
        noise = list(self._noise)
        found = self._run(self._codes[key], tensors)
        self._require_own(found, batches, noise)
        return found

    def release(self) -> None:
        """Give each learner back tensors of its own."""
        for row in self._views:
            for view in row:
                view.data = view.data.clone()

    def _follow(self) -> None:
        """Take over tensors that a learner has put in the place of its own, as a memory does when it moves on."""
        for row, views, stacked in zip(self._places, self._views, self._stacked, strict=True):
            for number, (place, key) in enumerate(row):
                if place[key] is not views[number]:
                    stacked[number].copy_(place[key])
                    place[key] = views[number]

    def _make(self, batches: Sequence[Tasks], tensors: list[Tensor]) -> _Code:
        self.announce("tracing the replicas, and compiling them" if self.execution.compiled else "tracing the replicas")
        begun = time.perf_counter()
        one = [t[0] for t in tensors]
        graph, form = self._tracer.trace(self.learners[0].gradients, (batches[0],), one)
        draws, constants = without_draws(graph, one)
        drawn = [torch.stack([number] * len(batches)) for number in constants[len(one) :]]
        together = [t.detach() for t in tensors] + drawn
        conditions = _made_batchable(graph)
        with noise_kept():
            batched = trace(vmap(graph), *together)
        with_values(batched, *together)
        code = finished(batched, together, compiled=self.execution.compiled)
        self.compiling += time.perf_counter() - begun
        return _Code(code, form, draws if drawn else None, conditions)

    def _run(self, code: _Code, tensors: list[Tensor]) -> list[tuple[Params, Tensor]]:
        with torch.no_grad():
            drawn = [] if code.draws is None else self._drawn(code.draws, tensors)
            outputs = list(code.function(*tensors, *drawn))
            for message in reversed(code.conditions):
                check_on_device(outputs.pop().all(), message)
        found = []
        for number, learner in enumerate(self.learners):
            result, staged = tree_unflatten([output[number] for output in outputs], code.form)
            stages = [part for part in learner.modules() if isinstance(part, Part) and part.remembers]
            for part, value in zip(stages, staged, strict=True):
                part.staged = value
            found.append(result)
        return found

    def _drawn(self, draws: Callable, tensors: list[Tensor]) -> list[Tensor]:
        """What each learner draws, from a generator that goes on where it had left it."""
        of_each = []
        with noise_kept():
            for number, noise in enumerate(self._noise):
                set_random_states(noise)
                of_each.append(draws(*(t[number] for t in tensors)))
                self._noise[number] = random_states()
        return [torch.stack(numbers) for numbers in zip(*of_each, strict=True)]

    def _require_own(self, found: list, batches: Sequence[Tasks], noise: list[list[Tensor]]) -> None:
        for number, (learner, batch, state) in enumerate(zip(self.learners, batches, noise, strict=True)):
            wanted = _gradient(learner, batch, state)
            got = torch.cat([g.flatten() for g in found[number][0]])
            # What overflows does so either way, and is found out when the losses are read.
            apart = (got - wanted).norm()
            if not wanted.isfinite().all() or apart <= CLOSE * wanted.norm():
                continue
            # A solve that is ill conditioned, at weights that a rate has spoilt, makes much of the last digits.
            if not apart <= ROUNDED * (_rounded_otherwise(learner, batch, state) - wanted).norm():
                raise ValueError(
                    f"learners: expected learners that differ in weights and buffers only, but number {number} "
                    "computes another meta-gradient by itself than as a replica of the first; numbers that differ, "
                    "such as alpha, have to be parameters or buffers, or take the learners one by one"
                )


def _gradient(learner: MetaLearner, batch: Tasks, noise: list[Tensor]) -> Tensor:
    """A learner's own meta-gradient as one vector, with the global generators at ``noise``."""
    with noise_kept():
        set_random_states(noise)
        return torch.cat([g.flatten() for g in learner.gradients(batch)[0]])


def _rounded_otherwise(learner: MetaLearner, batch: Tasks, noise: list[Tensor]) -> Tensor:
    """The same with every weight moved by one last digit, towards the weight before it."""
    weights = [weight.detach() for weight in learner.parameters()]
    values = [weight.clone() for weight in weights]
    try:
        for weight in weights:
            weight.copy_(torch.nextafter(weight, weight.flatten().roll(1).view_as(weight)))
        return _gradient(learner, batch, noise)
    finally:
        for weight, value in zip(weights, values, strict=True):
            weight.copy_(value)


def _made_batchable(graph: fx.GraphModule) -> list[str]:
    """Put in another form what cannot be batched, and give the messages of conditions that became outputs."""
    aten, checks = torch.ops.aten, []
    for node in list(graph.graph.nodes):
        if node.target is aten.view.default:
            node.target = aten.reshape.default  # batched, not every view is one
        elif node.target is aten._assert_async.msg:
            checks.append(node.args)
            graph.graph.erase_node(node)
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    output.args = ([*output.args[0], *(condition for condition, _ in checks)],)
    graph.recompile()
    return [message for _, message in checks]


def _require_alike(learners: Sequence[MetaLearner]) -> None:
    first = [(name, value.shape, value.dtype) for name, value in _tensors(learners[0])]
    for number, learner in enumerate(learners):
        own = [(name, value.shape, value.dtype) for name, value in _tensors(learner)]
        if own != first or str(learner) != str(learners[0]) or learner.meta_steps != learners[0].meta_steps:
            raise ValueError(
                f"learners: expected learners of one kind, as built by one function from several seeds, but number "
                f"{number} differs from the first in its parts, its settings or the meta-steps it has taken; take them "
                "one by one"
            )
    owners = {id(value) for learner in learners for _, value in _tensors(learner)}
    if len(owners) < len(first) * len(learners):
        raise ValueError("learners: expected learners with weights of their own, got some that share them; copy them")


def _tensors(learner: MetaLearner) -> list[tuple[str, Tensor]]:
    return [*learner.named_parameters(), *learner.named_buffers()]


def _leaves(tasks: Tasks) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(tasks)[0] if isinstance(leaf, Tensor)]


def _noise_of(seed: int) -> list[Tensor]:
    """Where the global generators are after ``torch.manual_seed(seed)``."""
    with noise_kept():
        torch.manual_seed(seed)
        return random_states()
