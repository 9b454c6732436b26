"""Labels and targets of a sample of tasks: their meaning, their range, how many there are, and what guessing gets."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import pairwise
from typing import Any

import torch

from mamlbook.tasks.survey import IGNORED, Seen, Survey
from mamlbook.tasks.task_report import Verdict

ENOUGH = 5  # returns of an input, below which nothing is concluded
SURE = 4  # standard deviations


def label_verdicts(survey: Survey) -> list[Verdict]:
    """Range, presence and balance of labels, and what guessing them achieves; for other targets only the last."""
    if not survey.classes:
        return _error_of_guessing(survey)
    tasks = _label_counts(survey)
    return [_range(tasks, _ways(tasks)), _presence(tasks), _balance(tasks), _chance(tasks, _ways(tasks))]


def meaning(survey: Survey) -> Verdict:
    """Whether an input that comes back in another task has the same target there: then nothing has to be adapted.

    Shuffled labels of N classes agree in 1/N of the cases.
    """
    what, chance = ("label", 1 / _ways(_label_counts(survey))) if survey.classes else ("target", 0.0)
    returns = _returns(survey)
    if len(returns) < ENOUGH:
        sentence = f"inputs came back in another task, too few to judge what their {what}s mean"
        return Verdict("meaning", "ok", len(returns), sentence)
    agreement = sum(before == after for *_, before, after in returns) / len(returns)
    spread = math.sqrt(chance * (1 - chance) / len(returns)) if survey.classes else 0.1
    sentence = f"of the inputs that came back in another task had the same {what} there, by chance {chance:.3g}"
    if agreement <= chance + SURE * spread:
        return Verdict("meaning", "ok", agreement, sentence)
    cure = "number the classes of each task anew, at random" if survey.classes else "let the tasks differ"
    return Verdict("meaning", "problem", agreement, f"{sentence}; a network can learn them by heart: {cure}")


def _returns(survey: Survey) -> set[tuple]:
    """(task, next task, target, next target) for each input of both; many inputs of one class count once."""
    places: defaultdict[bytes, dict[int, Any]] = defaultdict(dict)
    known = set()
    for number, whole in enumerate(survey.whole_tasks()):
        if whole in known:
            continue  # a task that comes again is one task
        known.add(whole)
        for seen in (survey.support[number], survey.query[number]):
            for key, y in zip(seen.keys, seen.y.tolist(), strict=True):
                places[key][number] = y if isinstance(y, int) else tuple(y)
    return {(a, b, met[a], met[b]) for met in places.values() for a, b in pairwise(met)}


def _label_counts(survey: Survey) -> list[tuple[dict[int, int], dict[int, int]]]:
    """How often each label of each task is in its support set, and in its query set."""
    return [(_counts(support), _counts(query)) for support, query in zip(survey.support, survey.query, strict=True)]


def _ways(tasks: list[tuple]) -> int:
    return max(1, *(len(support.keys() | query.keys()) for support, query in tasks))


def _counts(seen: Seen) -> dict[int, int]:
    labels, counts = seen.y[seen.y != IGNORED].unique(return_counts=True)
    return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def _range(tasks: list[tuple], ways: int) -> Verdict:
    labels = {label for sets in tasks for counts in sets for label in counts}
    low, high = min(labels, default=0), max(labels, default=0)
    if low < 0 or high >= ways:
        sentence = (
            f"is the largest label and {low} the smallest, in tasks of {ways} classes; number the classes of each task "
            f"from 0 to {ways - 1}"
        )
        return Verdict("labels", "problem", high, sentence)
    return Verdict("labels", "ok", high, f"is the largest label, in tasks of {ways} classes")


def _presence(tasks: list[tuple]) -> Verdict:
    share = sum(bool(query.keys() - support.keys()) for support, query in tasks) / len(tasks)
    sentence = "of the tasks ask about a class that their support set does not show"
    if not share:
        return Verdict("presence", "ok", 0, sentence)
    return Verdict("presence", "problem", share, f"{sentence}; draw the same number of examples of every class")


def _balance(tasks: list[tuple]) -> Verdict:
    labels = [support.keys() | query.keys() for support, query in tasks]
    unequal = [
        any(len({counts.get(label, 0) for label in own}) > 1 for counts in sets)
        for sets, own in zip(tasks, labels, strict=True)
    ]
    share = sum(unequal) / len(tasks)
    sentence = "of the tasks have more examples of one class than of another in a set"
    if not share:
        return Verdict("balance", "ok", 0, sentence)
    return Verdict("balance", "warning", share, f"{sentence}; accuracy then rewards guessing the commoner class")


def _chance(tasks: list[tuple], ways: int) -> Verdict:
    commonest = [max(query.values()) / sum(query.values()) for _, query in tasks if query]
    number = sum(commonest) / max(len(commonest), 1)
    sentence = f"is the accuracy of guessing, and {math.log(ways):.4g} the cross-entropy of equal scores"
    return Verdict("chance", "ok", number, sentence)


def _error_of_guessing(survey: Survey) -> list[Verdict]:
    targets = [seen.y for seen in survey.query]
    if len({y.shape[1:] for y in targets}) > 1 or targets[0].ndim != 2:
        return []
    y = torch.cat(targets).double()
    error = (y - y.mean(0)).square().mean().item()
    return [Verdict("chance", "ok", error, "is the mean squared error of predicting the mean of all targets")]
