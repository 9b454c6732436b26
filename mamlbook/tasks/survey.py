"""What a sample of tasks holds: the fingerprint and the target of every example, without the examples themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

import torch
from torch import Tensor

from mamlbook.tasks.base import Data, Tasks
from mamlbook.tasks.distribution import TaskDistribution, is_fixed
from mamlbook.tasks.preparation import prepared
from mamlbook.torch_internals import tree_leaves

CHUNK = 25  # pictures of so many tasks are held at a time
IGNORED = -100  # the label that cross_entropy passes over


class Seen(NamedTuple):
    """The examples of one set of one task: a fingerprint of each x, and the targets, (K,) labels or (K, d) numbers."""

    keys: list[bytes]
    y: Tensor


@dataclass
class Survey:
    """The tasks of a sample, in order, and the numbers that were met in them."""

    support: list[Seen] = field(default_factory=list)
    query: list[Seen] = field(default_factory=list)
    forms: dict[str, None] = field(default_factory=dict)
    classes: bool = True
    """Whether every target is a label."""
    numbers: int = 0
    strange: int = 0
    """How many of the numbers are nan or infinite."""
    largest: float = 0.0
    """The largest floating-point input, whatever its sign."""

    def add(self, tasks: Tasks) -> None:
        """Take note of a batch."""
        labels = [data.y for data in tasks[:2]]
        self.classes &= all(isinstance(y, Tensor) and y.ndim == 2 and not y.is_floating_point() for y in labels)
        self.forms[_form(*tasks[:2])] = None
        for data, seen in zip(tasks[:2], (self.support, self.query), strict=True):
            for tree in data:
                self._measure(tree, inputs=tree is data.x)
            seen.extend(Seen(*row) for row in zip(fingerprints(data.x), _targets(data.y), strict=True))

    def _measure(self, tree: Tensor, inputs: bool) -> None:
        for leaf in tree_leaves(tree):
            if leaf.is_floating_point():
                finite = leaf.isfinite()
                self.numbers += leaf.numel()
                self.strange += int((~finite).sum())
                if inputs:
                    self.largest = max(self.largest, leaf.where(finite, 0).abs().max().item())

    def examples(self, seen: list[Seen]) -> list[list[bytes]]:
        """What must not be met twice, for each task: pictures whatever their label, otherwise points with their y."""
        if self.classes:
            return [task.keys for task in seen]
        return [
            [key + row.numpy().tobytes() for key, row in zip(task.keys, task.y.double(), strict=True)] for task in seen
        ]

    def whole_tasks(self) -> list[tuple]:
        """Something that tells every task from every other."""
        both = zip(self.support, self.query, strict=True)
        return [(*s.keys, *q.keys, s.y.numpy().tobytes(), q.y.numpy().tobytes()) for s, q in both]


def surveyed(distribution: TaskDistribution, tasks: int, seed: int) -> Survey:
    """A sample of so many tasks; of a finite collection not more than it has.

    Raises:
        TypeError, ValueError: as ``prepared``, and what drawing raises.
    """
    survey, like = Survey(), torch.zeros(())
    for drawn in _draws(distribution, tasks, torch.Generator().manual_seed(seed)):
        ready = prepared(drawn, like)
        for batch in [ready] if isinstance(ready, Tasks) else ready:
            survey.add(batch)
    return survey


def _draws(distribution: TaskDistribution, tasks: int, generator: torch.Generator) -> Iterator[Tasks | list[Tasks]]:
    if is_fixed(distribution):
        drawn = distribution.draw(tasks, generator)
        yield drawn.pick(slice(tasks)) if isinstance(drawn, Tasks) else drawn
    elif isinstance(distribution, Sized):
        yield distribution.draw(min(tasks, len(distribution)), generator)
    else:
        for first in range(0, tasks, CHUNK):
            yield distribution.draw(min(CHUNK, tasks - first), generator)


def fingerprints(x) -> list[list[bytes]]:
    """A number that tells each example from others, for each task and example."""
    # Adding 0 makes -0.0 the same as 0.0.
    leaves = [(leaf + 0 if leaf.is_floating_point() else leaf).detach().cpu() for leaf in tree_leaves(x)]
    rows = [leaf.reshape(*leaf.shape[:2], -1).contiguous().view(torch.uint8).numpy() for leaf in leaves]
    tasks, examples = leaves[0].shape[:2]
    return [
        [blake2b(b"".join(row[b, k].tobytes() for row in rows), digest_size=8).digest() for k in range(examples)]
        for b in range(tasks)
    ]


def _targets(y) -> Tensor:
    """(B, K) labels, or all targets of an example in one row, (B, K, d)."""
    if isinstance(y, Tensor) and y.ndim == 2 and not y.is_floating_point():
        return y.detach().long().cpu()
    leaves = [leaf.detach().cpu() for leaf in tree_leaves(y)]
    return torch.cat([leaf.reshape(*leaf.shape[:2], -1).float() for leaf in leaves], 2)


def _form(support: Data, query: Data) -> str:
    """The numbers of examples, and the shapes of one."""
    shapes = {
        " and ".join(
            f"{name} {', '.join(str(tuple(t.shape[2:])) for t in tree_leaves(tree))}"
            for name, tree in zip("xy", data, strict=True)
        ): None
        for data in (support, query)
    }
    return f"{support.examples} + {query.examples} examples with {', later '.join(shapes)}"
