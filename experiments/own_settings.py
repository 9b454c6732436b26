"""A fair comparison of a few methods: each gets settings of its own, found on validation tasks, and is then measured.

Every setting of a method is trained with every outer rate, from seeds that are used for nothing else. While the best
rate, or the best value of a setting that is followed, is the largest or the smallest that was tried, one three times as
far is tried too, at most twice. What is best is trained again from fresh seeds and measured on tasks that nothing was
chosen on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from experiments import fit_replicas
from experiments.field_search import FURTHER, SEARCH_SEED, TEST, VALIDATION, widened
from mamlbook import MetaLearner

Options = Mapping[str, float]
Build = Callable[..., MetaLearner]
Criterion = Callable[[Tensor], Tensor]


class Plan(NamedTuple):
    """What all methods of a comparison share; ``criteria`` say which of the judged numbers is to be small."""

    betas: Sequence[float]
    judge: Callable[[MetaLearner, int], Tensor]
    criteria: Mapping[str, Criterion]
    seeds: int
    training: Mapping[str, Any]  # what ``fit_replicas`` is told: tasks, device
    search_seeds: Sequence[int] = (SEARCH_SEED,)  # a setting is as good as the mean over the trainings from these
    follow: Sequence[str] = ()  # settings that are followed beyond the ends of their values, as the rate is


class Comparison:
    """The search of one method, which takes ``steps`` meta-steps on ``distribution``."""

    def __init__(self, build: Build, distribution: Any, steps: int, plan: Plan):
        self.build, self.distribution, self.steps, self.plan = build, distribution, steps, plan
        self.tried: list[tuple[Options, float, list[Tensor | None]]] = []

    def run(self, settings: Sequence[Options]) -> dict[str, Any]:
        """The search, and for each criterion what it chose and what that came to, a row for each seed."""
        for options in settings:
            self._try(options, list(self.plan.betas))
        for name in self.plan.criteria:
            for _ in range(FURTHER):
                self._widen(name)
        chosen = {name: self._best(name)[:2] for name in self.plan.criteria}
        measured: list[tuple[tuple[Options, float], list[Any]]] = []
        for setting in chosen.values():
            if setting not in [known for known, _ in measured]:
                measured.append((setting, self._measured(*setting)))
        return {
            "search": [
                {**options, "beta": beta, "judged": [_stored(one) for one in found]}
                for options, beta, found in self.tried
            ],
            "chosen": {name: {**options, "beta": beta} for name, (options, beta) in chosen.items()},
            "errors": {name: next(e for known, e in measured if known == setting) for name, setting in chosen.items()},
        }

    def _try(self, options: Options, betas: list[float]) -> None:
        every = self.plan.search_seeds
        found = self._judged(options, [beta for beta in betas for _ in every], [*every] * len(betas), VALIDATION)
        for place, beta in enumerate(betas):
            self.tried.append((options, beta, found[place * len(every) : (place + 1) * len(every)]))

    def _best(self, name: str) -> tuple[Options, float, list[Tensor | None]]:
        def score(entry: tuple) -> float:
            values = [float("inf") if found is None else self.plan.criteria[name](found).item() for found in entry[2]]
            mean = sum(values) / len(values)
            return mean if mean == mean else float("inf")

        return min(self.tried, key=score)

    def _widen(self, name: str) -> None:
        options, beta, _ = self._best(name)
        self._attempt(options, widened(self._betas(options), [beta]))
        for followed in self.plan.follow:
            options, beta, _ = self._best(name)
            if followed in options:
                alike = [known for known, _, _ in self.tried if {**known, followed: 0} == {**options, followed: 0}]
                tried = [known[followed] for known in alike]
                for value in widened(tried, [options[followed]]):
                    self._attempt({**options, followed: value}, [beta, *self.plan.betas])

    def _betas(self, options: Options) -> list[float]:
        return [beta for known, beta, _ in self.tried if known == options]

    def _attempt(self, options: Options, betas: Sequence[float]) -> None:
        """Try those of the rates that these settings have not been tried with."""
        new = [beta for beta in dict.fromkeys(betas) if beta not in self._betas(options)]
        if new:
            self._try(options, new)

    def _measured(self, options: Options, beta: float) -> list[Any]:
        seeds = list(range(self.plan.seeds))
        return [_stored(found) for found in self._judged(options, [beta] * len(seeds), seeds, TEST)]

    def _judged(self, options: Options, betas: list[float], seeds: list[int], on: int) -> list[Tensor | None]:
        """What each training came to; None where it became infinite or nan."""
        learners = [self.build(seed, **options) for seed in seeds]
        given = {"beta": betas, "seeds": seeds, "progress": False, **self.plan.training}
        histories = fit_replicas(learners, self.distribution, steps=self.steps, **given)
        return [
            self.plan.judge(learner, on) if history.error is None else None
            for learner, history in zip(learners, histories, strict=True)
        ]


def _stored(found: Tensor | None) -> list[float | None] | None:
    if found is None:
        return None
    return [float(f"{value:.5g}") if value == value else None for value in found.tolist()]
