"""What training and test have in common: tasks and classes by their names and looks, and examples."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence, Sized
from itertools import product
from typing import Any

import torch
from torch import Tensor

from mamlbook.tasks.collection import WaveCollection
from mamlbook.tasks.distribution import SupportAsQuery, TaskDistribution
from mamlbook.tasks.families import Mixture, Signs
from mamlbook.tasks.images import Episodes
from mamlbook.tasks.pool import Pool
from mamlbook.tasks.survey import Survey, fingerprints
from mamlbook.tasks.task_report import Verdict

LEVELS = ("ok", "warning", "problem")
ALIKE = 7  # classes nearest to their namesakes: of those numbered at random so many are, once in 10,000 times
SHOWN = 3  # shared names that a sentence lists
SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")  # folders above classes

Names = tuple[Hashable, ...]


def what_is_shared(distributions: Sequence[TaskDistribution], surveys: Sequence[Survey]) -> Verdict:
    """The worst that is found in common between training and test, the two entries of each argument.

    Tasks with names share a task where they share a name, also if they share no example: a table that was split by
    rows. Two data sets may both count from 0, though. A shared number is therefore a warning between tables, whose
    column of tasks somebody wrote. Between pools, whose classes are numbered unless they are given names, it is a
    problem if the pictures agree, and nothing otherwise: for at least ``ALIKE`` test classes, and for half of those
    that have a namesake, the training class of the nearest mean picture is the namesake.
    """
    train, test = map(list, map(_parts, distributions))
    found = [verdict for pair in product(train, test) for verdict in _shared_tasks(*pair)]
    if not all(isinstance(part, Episodes) for part in (*train, *test)):
        found.append(_shared_examples(*surveys))
    return max(found, key=lambda verdict: LEVELS.index(verdict.level))  # the first of equals


def _parts(distribution: Any) -> Iterator[Any]:
    """What a distribution draws from; one that is not the package's may choose among the tasks of another."""
    inside = {SupportAsQuery: "distribution", Signs: "curves", Mixture: "distributions"}.get(type(distribution))
    if inside is None:
        yield distribution
        return
    held = getattr(distribution, inside)
    for part in held if isinstance(held, tuple) else (held,):
        yield from _parts(part)


def _shared_tasks(train: Any, test: Any) -> Iterator[Verdict]:
    if isinstance(train, Episodes) and isinstance(test, Episodes):
        yield _shared_classes(train.pool, test.pool)
    elif isinstance(train, WaveCollection) and isinstance(test, WaveCollection):
        yield _shared_waves(train, test)
    elif (names := _names(train)) and (asked := _names(test)):
        yield _shared_names(names, asked)


def _names(distribution: Any) -> Names | None:
    """What the tasks of a collection are called, if they are called anything."""
    names = getattr(distribution, "names", None)
    if not isinstance(names, tuple | list) or not all(isinstance(name, Hashable) for name in names):
        return None
    return tuple(names) if isinstance(distribution, Sized) and len(names) == len(distribution) else None


def _shared_names(train: Names, test: Names) -> Verdict:
    """Whether two collections have tasks in common, by their names."""
    known = set(train)
    shared = [name for name in test if name in known]
    told = [name for name in shared if not _is_number(name)]
    share = len(shared) / len(test)
    if not shared:
        return Verdict("test unseen", "ok", 0, "of the test tasks have the name of a training task")
    if told:
        sentence = f"of the test tasks: training and test share the tasks {_listed(told)}: split by task, not by row"
        return Verdict("test unseen", "problem", share, sentence)
    sentence = (
        "of the test tasks have the number of a training task: if training and test share the tasks "
        f"{_listed(shared)}, split by task, not by row; if these are others, give them other names"
    )
    return Verdict("test unseen", "warning", share, sentence)


def _shared_waves(train: WaveCollection, test: WaveCollection) -> Verdict:
    known, waves = ([tuple(wave) for wave in c.waves.tolist()] for c in (train, test))
    shared = sum(wave in known for wave in waves)
    if not shared:
        return Verdict("test unseen", "ok", 0, "of the test waves are waves of the training")
    sentence = "of the test waves are waves of the training; give the two collections other amplitudes or phases"
    return Verdict("test unseen", "problem", shared / len(waves), sentence)


def _shared_classes(train: Pool, test: Pool) -> Verdict:
    """Whether two pools have pictures or names of classes in common."""
    seen = set(fingerprints(train.drawings[None])[0])
    keys = iter(fingerprints(test.drawings[None])[0])
    known, names = (tuple(map(_class_name, pool.names)) for pool in (train, test))
    numbers_tell = _alike(train, test, known, names)
    told = {name for name in known if numbers_tell or not _is_number(name)}
    shared = [
        called
        for called, name, count in zip(test.names, names, test.counts.tolist(), strict=True)
        if sum(next(keys) in seen for _ in range(count)) or name in told
    ]
    if not shared:
        return Verdict("test unseen", "ok", 0, "of the test classes have a name or a picture of the training pool")
    sentence = (
        f"of the test classes have a name or a picture of the training pool, such as {shared[0]}; split the classes, "
        "as class_split does"
    )
    return Verdict("test unseen", "problem", len(shared) / len(test), sentence)


def _shared_examples(train: Survey, test: Survey) -> Verdict:
    """Whether two samples of tasks have examples in common."""
    seen, asked = (
        {key for sets in (s.support, s.query) for task in s.examples(sets) for key in task} for s in (train, test)
    )
    share = len(seen & asked) / len(asked)
    sentence = "of the test examples were also drawn for training"
    if not share:
        return Verdict("test unseen", "ok", 0, sentence)
    return Verdict("test unseen", "problem", share, sentence + "; split the classes or tasks before drawing from them")


def _is_number(name: Hashable) -> bool:
    return isinstance(name, int | float) or str(name).isdigit()


def _class_name(name: str) -> str:
    """Without the folder of a split, so that train/cat and test/cat are one class."""
    first, _, rest = name.partition("/")
    return rest if rest and first.lower() in SPLITS else name


def _listed(names: Sequence[Hashable]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")


def _alike(train: Pool, test: Pool, known: Names, asked: Names) -> bool:
    """Whether classes of one name look alike."""
    places = {name: place for place, name in enumerate(known)}
    shared = [(place, places[name]) for place, name in enumerate(asked) if name in places]
    if len(shared) < ALIKE or train.drawings.shape[1:] != test.drawings.shape[1:]:
        return False
    mine, namesakes = torch.tensor(shared).T
    nearest = torch.cdist(_mean_pictures(test)[mine], _mean_pictures(train)).argmin(1)
    return int((nearest == namesakes).sum()) >= max(ALIKE, len(shared) / 2)


def _mean_pictures(pool: Pool) -> Tensor:
    """(classes, pixels)."""
    return torch.stack([drawings.float().mean(0).flatten() for drawings in pool.images]).cpu()
