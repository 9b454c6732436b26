"""The fastest way to compute a learner's meta-gradients, found by measuring."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mamlbook.devices import noise_kept, random_states, wait_for
from mamlbook.execution.compiled import Compiled
from mamlbook.execution.tracing import NotTraceable
from mamlbook.execution.ways import COMPILED, EAGER, Execution, Gradients
from mamlbook.files import cache_folder, replacing
from mamlbook.learner import MetaLearner
from mamlbook.numerics import Params
from mamlbook.tasks.base import Tasks
from mamlbook.torch_internals import tree_leaves

WORTH_MEASURING = 10.0
"""Seconds that a run has to take before other numbers of tasks at a time are tried."""
WORTH_COMPILING = 120.0
"""Seconds that it has to take before a compiler, which takes from seconds to minutes, is."""
CHUNKS = (1, 4)


class Measured(NamedTuple):
    """What one way takes: seconds a meta-step, and seconds to compile it first."""

    step: float
    compiling: float = 0.0


class Executor:
    """Meta-gradients in the way asked for, or with None in the one that is found to be the fastest.

    Calling it on tasks, or on a list of tasks, one for each size, gives what ``learner.gradients`` gives, up to
    rounding. ``calls`` is the number of calls to come and ``seconds`` how long they may take, on which it depends what
    is worth trying:

    - Under ten seconds, nothing is tried: Python takes all tasks at once.
    - From there on, Python takes one and four tasks at a time as well, and the fastest stays. In smaller portions
      everything fits a processor's caches, and a convolution is an ordinary one.
    - From two minutes on, the compiler is tried, and stays if what it saves is more than what it took.

    Learners that draw random numbers get all tasks at once: in portions they would draw other ones. What was measured
    is kept in ``executions.json`` in the cache folder, by learner, shapes, device and version of PyTorch, so that the
    next run begins with it. ``announce`` is told when the compiler begins, ``say`` what was chosen and why.

    Raises:
        ValueError, NotTraceable, RuntimeError: when called, if the way asked for cannot be gone.
    """

    def __init__(
        self,
        learner: MetaLearner,
        execution: Execution | None,
        calls: int,
        seconds: float = math.inf,
        announce: Callable[[str], None] | None = None,
        say: Callable[[str], None] | None = None,
    ):
        self.learner, self.execution = learner, execution
        self.announce, self.say = announce, say or (lambda text: None)
        self._left, self._ends = calls, time.monotonic() + seconds
        self._started, self._short = False, False
        self._ways: dict[Execution, Gradients] = {}

    @property
    def compiling(self) -> float:
        """The seconds spent on tracing and compiling so far."""
        return sum(way.seconds for way in self._ways.values() if isinstance(way, Compiled))

    def __call__(self, tasks: Tasks | Sequence[Tasks]) -> tuple[Params, Tensor]:
        if not isinstance(tasks, Tasks):
            return self._of_unequal_size(tasks)
        self._left -= 1
        if self.execution is None and not self._short:
            return self._first(tasks)
        return self._way(self.execution or EAGER)(tasks)

    def _way(self, execution: Execution) -> Gradients:
        if execution not in self._ways:
            self._ways[execution] = execution.of(self.learner, self.announce)
        return self._ways[execution]

    def _of_unequal_size(self, batches: Sequence[Tasks]) -> tuple[Params, Tensor]:
        if self.execution not in (None, EAGER):
            raise ValueError(
                f"distribution: expected draw to return Tasks of one size for execution {str(self.execution)!r}, got a "
                "list of Tasks; leave execution out"
            )
        return self.learner.gradients(batches)

    def _first(self, tasks: Tasks) -> tuple[Params, Tensor]:
        """The first meta-steps, of which the second says how long the run will take."""
        known = _recall(self._key(tasks))
        if not known and not self._started:
            self._started = True  # what PyTorch loads late, it loads now
            return self.learner.gradients(tasks)
        started = _clock(tasks)
        result = self.learner.gradients(tasks)
        self._settle(tasks, known | {EAGER: known.get(EAGER, Measured(_clock(tasks) - started))})
        return result

    def _settle(self, tasks: Tasks, known: dict[Execution, Measured]) -> None:
        before = len(known)
        self._short = self._takes(known) <= WORTH_MEASURING
        if self._short:
            return
        with noise_kept():
            self._measure(tasks, known)
        self.execution = min(known, key=lambda way: self._cost(way, known[way]))
        if len(known) > before:
            _remember(self._key(tasks), known)
        times = ", ".join(f"{way} {1e3 * took.step:.3g}" for way, took in known.items())
        self.say(f"execution: {self.execution} (milliseconds a meta-step: {times})")

    def _takes(self, known: dict[Execution, Measured]) -> float:
        """The seconds that are left to go in the fastest way that is known."""
        return min(self._left * min(took.step for took in known.values()), self._ends - time.monotonic())

    def _cost(self, way: Execution, measured: Measured) -> float:
        """The seconds to come; what this run has compiled already costs nothing more."""
        return (0.0 if way in self._ways else measured.compiling) + self._left * measured.step

    def _measure(self, tasks: Tasks, known: dict[Execution, Measured]) -> None:
        """Try what is not known yet, the quick ways first."""
        portions = [] if self._draws(tasks) else [n for n in CHUNKS if n < tasks.size]
        for portion in portions:
            self._try(Execution(tasks=portion), tasks, known)
        best = min(known, key=lambda way: known[way].step)
        others = [Execution(True, portion) for portion in portions[:1]]
        # The way that Python is faster in is tried first, and the other one only if there is a lot of time to save.
        for way in sorted([COMPILED, *others], key=lambda way: way.tasks != best.tasks):
            spent = sum(took.compiling for took in known.values())
            if self._takes(known) > max(WORTH_COMPILING, 20 * spent):
                self._try(way, tasks, known)

    def _try(self, way: Execution, tasks: Tasks, known: dict[Execution, Measured]) -> None:
        if way in known:
            return
        compiled_before = self.compiling
        try:
            gradients = self._way(way)
            gradients(tasks)  # compiles, and fills caches
            known[way] = Measured(_seconds(gradients, tasks), self.compiling - compiled_before)
        except (ValueError, NotTraceable, RuntimeError) as error:
            # A way that this learner or this machine does not have is not the fastest.
            self._ways.pop(way, None)
            self.say(f"execution: not {way}: {str(error).splitlines()[0]}")

    def _draws(self, tasks: Tasks) -> bool:
        """Whether computing moves a random generator on."""
        before = random_states()
        self.learner.gradients(tasks)
        return not all(map(torch.equal, before, random_states()))

    def _key(self, tasks: Tasks) -> str:
        weights = [(tuple(p.shape), str(p.dtype), p.requires_grad) for p in self.learner.parameters()]
        leaves = [(tuple(t.shape), str(t.dtype)) for t in tree_leaves(tasks)]
        place = self.learner.model.theta[0].device
        device = torch.cuda.get_device_name(place) if place.type == "cuda" else str(place)
        described = [str(self.learner), weights, leaves, device, torch.get_num_threads(), torch.__version__]
        return hashlib.sha256(repr(described).encode()).hexdigest()


def _clock(tasks: Tasks) -> float:
    wait_for(tree_leaves(tasks)[0].device)
    return time.perf_counter()


def _seconds(gradients: Gradients, tasks: Tasks) -> float:
    """The shortest of three calls, or of fewer if they take long."""
    times: list[float] = []
    while len(times) < 3 and sum(times) < 1.0:
        started = _clock(tasks)
        gradients(tasks)
        times.append(_clock(tasks) - started)
    return min(times)


def _stored() -> dict[str, list]:
    try:
        found = json.loads((cache_folder() / "executions.json").read_text())
        return found if isinstance(found, dict) else {}
    except (OSError, ValueError):
        return {}  # a cache that cannot be read is like none


def _recall(key: str) -> dict[Execution, Measured]:
    try:
        return {Execution(*way): Measured(*took) for way, took in _stored().get(key, [])}
    except TypeError:
        return {}


def _remember(key: str, known: dict[Execution, Measured]) -> None:
    try:
        with replacing(cache_folder() / "executions.json") as temporary:
            temporary.write_text(json.dumps(_stored() | {key: list(known.items())}))
    except OSError:
        return  # it will be measured again
