"""The race of one meta-gradient: held to one in double precision, then timed."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.job import Job, Workload, distance
from benchmarks.race import Race, Wanted, Wrong
from benchmarks.reference import Reference, reference
from benchmarks.workers import Pace, Runner
from benchmarks.workloads import job

# How far a gradient in single precision may be from the reference. Convolutions with batch norm are ill-conditioned
# for everybody, so that right and wrong are told apart in double precision, on so many tasks.
SINGLE, SINGLE_CONVOLUTIONAL, DOUBLE, DOUBLE_TASKS = 1e-3, 0.1, 1e-8, 2
LONG = 20.0  # seconds of a first call, mostly compilation, that are spent a second time only if doubt remains


class Right(NamedTuple):
    """Jobs with their references: in single precision, and in double precision if that is to be asked for as well."""

    single: tuple[Job, Reference]
    double: tuple[Job, Reference] | None


class GradientRace(Race):
    """Contenders that compute one meta-gradient, each in a process that lasts from one workload to the next."""

    body = "gradient"
    pace = Pace(block=0.2, untimed=1, trial=3)

    def _wanted(self, workload: Workload) -> Wanted:
        data, wanted = job(workload, self.data, self.device)
        doubled = wanted.first(DOUBLE_TASKS, "float64") if workload.convolutional else None
        exact = reference(wanted)
        right = Right((wanted, exact), doubled and (doubled, reference(doubled)))
        return Wanted({"flops": exact.operations, "data": data}, right)

    def _ready(self, name: str, workload: Workload, right: Right) -> Runner:
        if name not in self.workers:
            self._begin(name)
        bound = SINGLE_CONVOLUTIONAL if right.double else SINGLE
        seconds, error = self._checked(name, *right.single, bound)
        facts = {"first_call_seconds": seconds, "error": error}
        if right.double and (seconds < LONG or error > SINGLE):
            _, facts["double_error"] = self._checked(name, *right.double, DOUBLE)
            self._checked(name, *right.single, bound)
        runner = Runner(name, self.workers[name], self.pace, facts)
        runner.warm(self._wait())
        return runner

    def _checked(self, name: str, wanted: Job, exact: Reference, bound: float) -> tuple[float, float]:
        """The seconds of the first call, and the distance of its gradient from the reference, below the bound."""
        answer = self._ask(name, "first", wanted)
        try:
            error = distance(answer["gradient"], exact.gradient)
        except ValueError as reason:
            raise Wrong(str(reason)) from None
        self.say(f"  {name}: {answer['seconds']:.2f} s at first, {error:.1e} from the reference in {wanted.dtype}")
        if not error < bound:
            raise Wrong(f"its gradient is {error:.1e} from the reference in {wanted.dtype}, more than {bound:g}")
        if not abs(answer["loss"] - exact.loss) < bound * max(1, abs(exact.loss)):
            raise Wrong(f"its mean query loss is {answer['loss']:.6g}, and {exact.loss:.6g} is right")
        return answer["seconds"], error

    def _finish(self, workload: Workload, runners: list[Runner], missing: dict[str, str]) -> None:
        for runner in runners if workload.kind == "memory" else ():
            taken = self._guarded(runner.name, missing, self._ask, "bytes")
            runner.facts |= {} if taken is None else {"bytes": taken}
