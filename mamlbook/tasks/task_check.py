"""What commonly goes wrong in episodes, looked for in a sample of them before anything is trained."""

from __future__ import annotations

from collections.abc import Sized
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch

from mamlbook.checks import kind_of, seed_number, whole_number
from mamlbook.devices import on_cpu
from mamlbook.tasks.base import Data, Tasks
from mamlbook.tasks.distribution import FixedTasks, TaskDistribution, is_fixed
from mamlbook.tasks.label_check import label_verdicts, meaning
from mamlbook.tasks.preparation import prepared
from mamlbook.tasks.shared_tasks import what_is_shared
from mamlbook.tasks.survey import Survey, surveyed
from mamlbook.tasks.task_report import TaskReport, Verdict
from mamlbook.torch_internals import tree_leaves, tree_map

FEW = 8  # tasks that a learner is asked to solve
WIDE = 100.0  # inputs beyond it have hardly been scaled
OFTEN = 0.05  # share of repeated tasks that chance hardly makes where there are many
NOISE = 1e-4  # relative change of a prediction that rounding alone does not make


class Learner(Protocol):
    """Of a ``MetaLearner``, what asking it for predictions takes."""

    model: Any

    def adapt(self, support: Data) -> Any: ...

    def testing(self) -> AbstractContextManager: ...


@on_cpu()
def check_tasks(
    distribution: TaskDistribution | Tasks,
    *,
    tasks: int = 100,
    seed: int = 0,
    test: TaskDistribution | None = None,
    learner: Learner | None = None,
) -> TaskReport:
    """Draw tasks and report what commonly goes wrong in them.

    It looks for query examples that the support set has shown, labels that mean the same in every task, out of range,
    unequally often or missing, numbers that are none or too large, tasks that come again or do not follow the
    generator, and says what guessing achieves. With ``test``, the distribution that results will be reported on, it
    looks for what both share: examples, and tasks or classes of one name (``names``, one a task). Shared numbers are a
    warning; between pools a problem if the pictures agree. With ``learner``: predictions that depend on other queries.

    Raises:
        TypeError: this is no distribution, or no learner.
        ValueError: fewer than 2 tasks, or a seed that is none.

    >>> from mamlbook.tasks import Sinusoids, SupportAsQuery
    >>> check_tasks(Sinusoids()).problems
    []
    >>> print(check_tasks(SupportAsQuery(Sinusoids()))["query unseen"].sentence)
    of the query examples are in their task's support set; draw both sets of a task together, without replacement
    """
    seed = _seed_of(tasks, seed, learner)
    distribution = FixedTasks(distribution) if isinstance(distribution, Tasks) else distribution
    for name, given in (("distribution", distribution), ("test", test)):
        if given is not None and (isinstance(given, type) or not callable(getattr(given, "draw", None))):
            raise TypeError(f"{name}: expected a distribution with draw(tasks, generator), got {kind_of(given)}")
    surveys = []
    for name, sampled, first in (("distribution", distribution, seed), ("test", test, seed + 1)):
        try:
            surveys += [] if sampled is None else [surveyed(sampled, tasks, first)]
        except (TypeError, ValueError) as error:
            return TaskReport((Verdict("form", "problem", 0, f"of the tasks of {name} can be read: {error}"),))
    survey, *tested = surveys
    verdicts = [_form(survey), _values(survey), _fresh(survey, distribution, seed), _unseen(survey), meaning(survey)]
    verdicts += label_verdicts(survey)
    if test is not None:
        verdicts.append(what_is_shared((distribution, test), (survey, *tested)))
    if learner is not None:
        verdicts.append(_independence(learner, distribution, seed))
    return TaskReport(tuple(verdicts))


def _seed_of(tasks: int, seed: int, learner: Any) -> int:
    """The seed, after a look at what stands beside it."""
    whole_number("tasks", tasks, 2)
    if learner is not None and not callable(getattr(learner, "adapt", None)):
        raise TypeError(f"learner: expected a MetaLearner, as maml(model) makes one, got {kind_of(learner)}")
    return seed_number("seed", seed)


def _form(survey: Survey) -> Verdict:
    shown = "; ".join(list(survey.forms)[:3]) + ("; ..." if len(survey.forms) > 3 else "")
    kinds = "kind" if len(survey.forms) == 1 else "kinds"
    return Verdict("form", "ok", len(survey.forms), f"{kinds} of task: {shown}")


def _values(survey: Survey) -> Verdict:
    if survey.strange:
        sentence = "of the numbers are nan or infinite; take those examples out, or mend what computes them"
        return Verdict("values", "problem", survey.strange / survey.numbers, sentence)
    if survey.largest > WIDE:
        sentence = "is the largest input; scale inputs to about 1, as in x / 255 for pictures"
        return Verdict("values", "warning", survey.largest, sentence)
    sentence = "is the largest input, whatever its sign, and all numbers are finite"
    return Verdict("values", "ok", survey.largest, sentence)


def _fresh(survey: Survey, distribution: TaskDistribution, seed: int) -> Verdict:
    """Whether tasks come again, and follow the generator that they are drawn from."""
    count = len(survey.support)
    repeated = 1 - len(set(survey.whole_tasks())) / count
    if not isinstance(distribution, Sized):
        first, again, other = (surveyed(distribution, 2, s).whole_tasks() for s in (seed, seed, seed + 1))
        if first == other:
            fixed = is_fixed(distribution)
            sentence = "of the tasks are the same for every seed; draw them from the given generator"
            return Verdict("fresh tasks", "warning" if fixed else "problem", 1, sentence)
        if first != again:
            sentence = "of the tasks follow the seed alone; draw with the given generator, not with a global one"
            return Verdict("fresh tasks", "warning", 0, sentence)
    if repeated > OFTEN:
        sentence = f"of {count} tasks had come before; there are few, and they can be learnt by heart"
        return Verdict("fresh tasks", "warning", repeated, sentence)
    return Verdict("fresh tasks", "ok", repeated, f"of {count} tasks had come before")


def _unseen(survey: Survey) -> Verdict:
    """Whether the query set asks what the support set has told."""
    sets = zip(survey.examples(survey.support), survey.examples(survey.query), strict=True)
    found = [key in support for support, query in ((set(s), q) for s, q in sets) for key in query]
    share = sum(found) / len(found)
    sentence = "of the query examples are in their task's support set"
    if not share:
        return Verdict("query unseen", "ok", 0, sentence)
    cure = "; draw both sets of a task together, without replacement"
    return Verdict("query unseen", "problem" if share >= 0.01 else "warning", share, sentence + cure)


def _independence(learner: Learner, distribution: TaskDistribution, seed: int) -> Verdict:
    """How much the prediction of the first query example changes when the others become copies of it."""
    count = min(FEW, len(distribution)) if isinstance(distribution, Sized) else FEW
    drawn = distribution.draw(count, torch.Generator().manual_seed(seed))
    tasks = prepared(drawn if isinstance(drawn, Tasks) else drawn[0], learner.model.theta[0])
    changed = tree_map(lambda x: x[:, :1].expand_as(x), tasks.query.x)
    adapted = learner.adapt(tasks.support)
    with learner.testing(), torch.no_grad():
        before, after = (tree_leaves(adapted.predict(adapted.phi, x)) for x in (tasks.query.x, changed))
    change, size = 0.0, 0.0
    for a, b in zip(before, after, strict=True):
        change, size = max(change, (a - b)[:, 0].abs().max().item()), max(size, a.abs().max().item())
    relative = change / size if size else change
    sentence = "is the largest relative change of a prediction when the other query examples are changed"
    if relative <= NOISE:
        return Verdict("independence", "ok", relative, sentence)
    cure = "; they meet in batch statistics: predict with those of the support set, as SupportFirst does"
    return Verdict("independence", "warning", relative, sentence + cure)
