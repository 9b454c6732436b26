"""Tasks of unequal size: one batch for each size, so that nothing has to be padded and every number stays exact."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mamlbook.checks import kind_of
from mamlbook.tasks.base import Data, Tasks, concatenated, require_tasks, shape_of
from mamlbook.tasks.examples import Tree
from mamlbook.tasks.preparation import as_data, as_tensors
from mamlbook.torch_internals import tree_map

Pair = tuple[Tree, Tree]


def batches_by_size(tasks: Sequence[Tasks | tuple[Data | Pair, Data | Pair]]) -> list[Tasks]:
    """Tasks whose support or query sets differ in size, as one batch of tasks for each size.

    Each entry is either ``Tasks``, with the task axis in front, of one task or several; or one task by itself as a pair
    (support, query) of ``Data`` or (x, y), whose tensors and NumPy arrays begin with the examples. The batches come in
    the order of their first tasks, and within a batch the tasks keep their order; ``index`` is kept.

    A loss that is a mean over examples counts every task alike, whatever its size, as in a batch of equal ones.

    Raises:
        TypeError: there are no tasks, or an entry is none.
        ValueError: the tensors of a task disagree.

    >>> import torch
    >>> def task(shots):
    ...     return (torch.zeros(shots, 1), torch.zeros(shots, 1)), (torch.zeros(8, 1), torch.zeros(8, 1))
    >>> batches = batches_by_size([task(shots=3), task(shots=10), task(shots=3)])
    >>> [(batch.size, batch.support.examples) for batch in batches]
    [(2, 3), (1, 10)]
    """
    if not isinstance(tasks, tuple | list) or isinstance(tasks, Tasks) or not tasks:
        what = "none" if isinstance(tasks, tuple | list) and not tasks else kind_of(tasks)
        raise TypeError(f"tasks: expected a list of at least one task, got {what}")
    groups: dict[tuple, list[Tasks]] = {}
    for number, entry in enumerate(tasks):
        one = _with_task_axis(entry, number)
        groups.setdefault(shape_of(one), []).append(one)
    return [concatenated(group) for group in groups.values()]


def _with_task_axis(entry: Tasks | tuple, number: int) -> Tasks:
    if isinstance(entry, Tasks):
        one = Tasks(_tensors(entry, "support"), _tensors(entry, "query"), entry.index)
    elif isinstance(entry, tuple | list) and not isinstance(entry, Data) and len(entry) == 2:
        pair = Tasks(*entry)
        support, query = (tree_map(_first_axis, _tensors(pair, place)) for place in ("support", "query"))
        one = Tasks(support, query)
    else:
        raise TypeError(f"tasks: expected Tasks or pairs (support, query), got {kind_of(entry)} at place {number}")
    require_tasks(one)
    return one


def _tensors(tasks: Tasks, place: str) -> Data:
    return as_tensors(as_data(getattr(tasks, place), place), place)


def _first_axis(leaf: Tensor) -> Tensor:
    return leaf[None]
