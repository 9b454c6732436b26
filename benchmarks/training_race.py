"""The race of whole meta-trainings: a few steps are held to Adam in double precision, a few hundred to ``fit``."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean
from typing import NamedTuple

import numpy as np

from benchmarks.contenders.mamlbook import learner_of
from benchmarks.job import Job, Workload, distance
from benchmarks.race import Race, Wanted, Wrong
from benchmarks.reference import adam, reference
from benchmarks.trainers import BETA
from benchmarks.workers import Pace, Runner
from benchmarks.workloads import distribution, job
from mamlbook.training import fit

FOLLOWED, FOLLOWED_ERROR = 3, 1e-4  # meta-steps on given tasks, and how far from Adam they may lead
# Meta-steps after which the query loss of so many new tasks is at most so many times that after ``fit``, and at least
# that divided by it. Tasks differ from one contender to the next, which makes about a tenth; untrained it is 1.7
# times that after one inner step, and 4 times that after five.
TRAINED, BAND, JUDGES = 400, 1.3, 200
UNSEEN = 1_000  # the seed of the new tasks


class Right(NamedTuple):
    """A job, others with the tasks that are followed, and new tasks.

    Of each replica: the weights after those that are followed, and the query loss of the new ones after ``fit``.
    """

    wanted: Job
    followed: list[Job]
    theta: list[tuple[np.ndarray, ...]]
    judges: Job
    losses: list[float]


class TrainingRace(Race):
    """Contenders that meta-train, each in a process of its own for each workload, begun twice with the same cache."""

    body = "training"
    pace = Pace(block=1.0, untimed=20, trial=20)

    def _wanted(self, workload: Workload) -> Wanted:
        data, wanted = job(workload, device=self.device)
        followed = [job(workload, device=self.device, seed=seed)[1] for seed in range(FOLLOWED)]
        theta = [adam(jobs, BETA) for jobs in zip(*(each.alone() for each in followed), strict=True)]
        judges = job(replace(workload, tasks=JUDGES, replicas=1), seed=UNSEEN)[1]
        losses = [_loss_of_fit(replace(judges, theta=each.theta), workload.tasks) for each in wanted.alone()]
        facts = {
            "flops": sum(reference(each).operations for each in wanted.alone()),
            "data": data,
            "replicas": workload.replicas,
            "beta": BETA,
            "trained": TRAINED,
            "loss_of_fit": mean(losses),
        }
        return Wanted(facts, Right(wanted, followed, theta, judges, losses))

    def _ready(self, name: str, workload: Workload, right: Right) -> Runner:
        cold, second = (self._started(name, workload, right.wanted) for _ in range(2))
        facts = {"first_call_seconds": cold, "second_start_seconds": second}
        facts["error"] = self._followed(name, right)
        facts["loss"] = self._trained(name, right)
        self.say(
            f"  {name}: {cold:.2f} s at first, {second:.2f} s the second time, {facts['error']:.1e} from Adam, "
            f"query loss {facts['loss']:.3f} after {TRAINED} meta-steps, where fit has {mean(right.losses):.3f}"
        )
        runner = Runner(name, self.workers[name], self.pace, facts)
        runner.warm(self._wait())
        self._ask(name, "repeat", runner.times)  # a loop of this length may have to be compiled
        return runner

    def _started(self, name: str, workload: Workload, wanted: Job) -> float:
        """The seconds until a new process has taken the first meta-steps; compiled code is kept for the next one."""
        if name in self.workers:
            self._end(name)
        self._begin(name, cache=f"-{workload.name.replace(' ', '-')}")
        return self._ask(name, "first", wanted)

    def _followed(self, name: str, right: Right) -> float:
        """How far the weights are from Adam's after the meta-steps on given tasks, over the way that those have gone.

        Raises:
            Wrong: it is far.
        """
        answer = self._ask(name, "follow", right.followed)
        errors = []
        for each, theta, expected in zip(right.wanted.alone(), self._alone(answer, right), right.theta, strict=True):
            start = each.theta
            gone = [np.subtract(t, s, dtype=np.float64) for t, s in zip(theta, start, strict=True)]
            errors.append(distance(gone, tuple(e - s for e, s in zip(expected, start, strict=True))))
        if not max(errors) < FOLLOWED_ERROR:
            raise Wrong(f"{FOLLOWED} meta-steps of it end {max(errors):.1e} from Adam's, more than {FOLLOWED_ERROR:g}")
        return max(errors)

    def _trained(self, name: str, right: Right) -> float:
        """The query loss of new tasks after a training, the mean over replicas.

        Raises:
            Wrong: that of some replica is not what ``fit`` comes to.
        """
        answer = self._ask(name, "train", TRAINED)
        losses = [query_loss(replace(right.judges, theta=theta)) for theta in self._alone(answer, right)]
        for loss, expected in zip(losses, right.losses, strict=True):
            if not expected / BAND < loss < expected * BAND:
                raise Wrong(
                    f"its query loss after {TRAINED} meta-steps is {loss:.3g}, not within a factor of {BAND:g} of "
                    f"{expected:.3g}, where fit is"
                )
        return mean(losses)

    def _alone(self, answer: list[np.ndarray], right: Right) -> list[tuple[np.ndarray, ...]]:
        """The weights of each replica in an answer.

        Raises:
            Wrong: they have not the shapes of the job's weights.
        """
        shapes, expected = [t.shape for t in answer], [t.shape for t in right.wanted.theta]
        if shapes != expected:
            raise Wrong(f"weights: expected shapes {expected}, got {shapes}")
        return [each.theta for each in replace(right.wanted, theta=tuple(answer)).alone()]

    def _finish(self, workload: Workload, runners: list[Runner], missing: dict[str, str]) -> None:
        for name in list(self.workers):
            self._end(name)


def query_loss(job: Job) -> float:
    """The mean query loss of the job's tasks after its inner steps, in double precision."""
    return reference(job.first(job.workload.tasks, method="fomaml")).loss


def _loss_of_fit(judges: Job, tasks: int) -> float:
    """The query loss of the judges where ``fit`` comes to from their weights, on draws that no contender has."""
    learner = learner_of(judges)
    waves = distribution(judges.workload)[1]
    fit(learner, waves, steps=TRAINED, tasks=tasks, beta=BETA, seed=1, progress=False)
    return query_loss(replace(judges, theta=tuple(p.detach().cpu().numpy() for p in learner.parameters())))
