"""A table as tasks: each row is an example, and one of its columns says which task the row belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mamlbook.checks import kind_of, seed_number, whole_number
from mamlbook.devices import on_cpu
from mamlbook.tasks.base import Data, Tasks
from mamlbook.tasks.distribution import require_draw
from mamlbook.tasks.preparation import as_tensor
from mamlbook.tasks.splits import bounds


class TaskTable:
    """The rows of a table, grouped by task: machines with their readings, people with their answers.

    A draw takes B different tasks, and of each task shots + queries different rows, uniformly: the first are the
    support set, the others the query set. ``task`` is the column that groups the rows, of names or of numbers. Tasks
    are numbered in the order in which the table first names them (``names``), and ``index`` is that number.

    Shapes: ``task`` is (rows,), ``x`` and ``y`` are tensors or NumPy arrays (rows, ...). A column of numbers, (rows,),
    is taken for (rows, 1), as networks read and predict it; whole numbers in ``y`` are labels and stay (rows,). Drawn
    tensors are (B, shots, ...) and (B, queries, ...).

    Raises:
        TypeError: ``x`` or ``y`` is no array of numbers, or ``task`` no column.
        ValueError: a row has no task, the columns differ in length or are empty, shots or queries are below 1, or a
            task has too few rows.

    >>> table = TaskTable(["a", "a", "b", "b", "b"], torch.arange(5.0), torch.arange(5.0), shots=1, queries=1)
    >>> table, table.names
    (TaskTable(2 tasks of 2 to 3 rows, shots=1, queries=1), ('a', 'b'))
    >>> table.draw(2, torch.Generator().manual_seed(0)).support.x.shape
    torch.Size([2, 1, 1])
    """

    @on_cpu()
    def __init__(self, task: Sequence | np.ndarray | Tensor, x: Any, y: Any, *, shots: int = 5, queries: int = 5):
        self.shots, self.queries = whole_number("shots", shots), whole_number("queries", queries)
        column = _names(task)
        self.x, self.y = _column("x", x), _column("y", y)
        if not len(column) == len(self.x) == len(self.y) or not column:
            raise ValueError(
                "task, x, y: expected columns of one length, with at least one row, got "
                f"{len(column)}, {len(self.x)} and {len(self.y)} rows"
            )
        self.names = tuple(dict.fromkeys(column))
        numbers = {name: number for number, name in enumerate(self.names)}
        self.number = torch.tensor([numbers[name] for name in column])  # (rows,)
        self.counts = self.number.bincount()
        needed = self.shots + self.queries
        if self.counts.min() < needed:
            name, least = self.names[int(self.counts.argmin())], int(self.counts.min())
            raise ValueError(
                f"shots + queries: expected at most the {least} rows of task {name!r}, got {self.shots} + "
                f"{self.queries}; ask for fewer, or leave out the {int((self.counts < needed).sum())} tasks with fewer "
                f"than {needed} rows"
            )

    def __len__(self) -> int:
        return len(self.names)

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        """Tasks without repetition, each with fresh rows; as many as there are gives each once.

        Raises:
            ValueError: fewer than 1 task, or more than the table has.
        """
        require_draw(tasks, generator)
        if tasks > len(self):
            raise ValueError(f"tasks: expected between 1 and the {len(self)} tasks of the table, got {tasks}")
        index = torch.randperm(len(self), generator=generator)[:tasks]
        counts, order = self.counts, self.number.argsort(stable=True)
        keys = torch.rand(tasks, int(counts.max()), generator=generator)
        keys = keys.where(torch.arange(keys.shape[1]) < counts[index, None], -1)  # only rows that exist
        places = keys.topk(self.shots + self.queries).indices + (counts.cumsum(0) - counts)[index, None]
        rows = order[places].split((self.shots, self.queries), 1)
        support, query = (Data(self.x[chosen], self.y[chosen]) for chosen in rows)
        return Tasks(support, query, index)

    @on_cpu()
    def split(self, shares: Sequence[float] = (0.6, 0.2, 0.2), *, seed: int = 0) -> tuple[TaskTable, ...]:
        """Tables that share no task, drawn at random: to learn from, to choose by, to be judged on.

        ``shares`` are fractions of the tasks, which add up to 1, or whole numbers of tasks, which may leave some out.

        Raises:
            ValueError: the shares are none, or some part would be left without a task.
        """
        ends = bounds(shares, len(self), "tasks of the table")
        generator = torch.Generator().manual_seed(seed_number("seed", seed))
        # The second permutation: the first is the order in which ``draw`` takes tasks from the same seed, whose first
        # tasks would then all lie in the first part, so that no sample of them could meet the others.
        _, order = (torch.randperm(len(self), generator=generator) for _ in range(2))
        parts = [order[round(begin) : round(end)] for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
        if not all(map(len, parts)):
            raise ValueError(
                f"shares: expected parts of at least one of the {len(self)} tasks each, got {tuple(shares)}, which are "
                f"{' + '.join(str(len(part)) for part in parts)} tasks; ask for other shares"
            )
        return tuple(self._of(part) for part in parts)

    def _of(self, chosen: Tensor) -> TaskTable:
        """The rows of these tasks, in their order."""
        kept = torch.isin(self.number, chosen)
        task = [self.names[number] for number in self.number[kept].tolist()]
        return TaskTable(task, self.x[kept], self.y[kept], shots=self.shots, queries=self.queries)

    def __repr__(self) -> str:
        least, most = int(self.counts.min()), int(self.counts.max())
        rows = f"{least}" if least == most else f"{least} to {most}"
        return f"TaskTable({len(self)} tasks of {rows} rows, shots={self.shots}, queries={self.queries})"


def _names(task: Any) -> list:
    """The task of every row, which can be told from the others'."""
    try:
        column = list(task.tolist() if isinstance(task, np.ndarray | Tensor) else task)
        dict.fromkeys(column)  # can be told apart
        missing = [row for row, name in enumerate(column) if name is None or name != name]
    except TypeError:
        raise TypeError(
            f"task: expected a column of names or numbers, (rows,), got {kind_of(task)} with something else in it; "
            "make each a single name, as in f'{one} {other}'"
        ) from None
    if missing:
        raise ValueError(
            f"task: expected a name or a number in every row, got {column[missing[0]]} in row {missing[0]}, from 0; "
            "leave such rows out"
        )
    return column


def _column(name: str, values: Any) -> Tensor:
    """Numbers as (rows, ...), labels as (rows,)."""
    if isinstance(values, np.ndarray):
        if values.dtype.kind not in "fiub":
            raise TypeError(f"{name}: expected an array of numbers, got one of {values.dtype}; convert it first")
        values = as_tensor(values, name).clone()
    if not isinstance(values, Tensor) or not values.ndim:
        raise TypeError(
            f"{name}: expected a tensor or a NumPy array (rows, ...), got {kind_of(values)}; make it one, as "
            "in np.array(values)"
        )
    labels = name == "y" and not values.is_floating_point()
    return values if values.ndim > 1 or labels else values[:, None]
