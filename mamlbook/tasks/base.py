"""Data of several tasks, and a batch of tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mamlbook.checks import kind_of
from mamlbook.tasks.examples import Tree, require_examples
from mamlbook.torch_internals import check_on_device, tree_flatten, tree_leaves, tree_map, tree_unflatten


class Data(NamedTuple):
    """Examples of several tasks: what goes in and what should come out.

    ``x`` and ``y`` are one tensor each, or any tree of tensors: a tuple, a list, a dictionary, nested as needed. All of
    them begin with the task axis, then the examples.

    Shapes: every tensor of ``x`` and of ``y`` is (B, K, ...).

    >>> support = Data({"left": torch.zeros(4, 10, 3), "right": torch.zeros(4, 10, 2)}, torch.zeros(4, 10, 1))
    >>> support.tasks, support.examples
    (4, 10)
    >>> support.pick([0, 2]).x["left"].shape
    torch.Size([2, 10, 3])
    """

    x: Tree
    y: Tree

    @property
    def tasks(self) -> int:
        """B, the number of tasks."""
        return tree_leaves(self.x)[0].shape[0]

    @property
    def examples(self) -> int:
        """K, the number of examples of each task."""
        return tree_leaves(self.x)[0].shape[1]

    def pick(self, index: Tensor | Sequence[int] | slice) -> Data:
        """The examples of the tasks with these positions in the batch, in this order; repetition is allowed."""
        return tree_map(lambda t: t[index], self)

    def to(self, place: torch.device | torch.dtype | str) -> Data:
        """On another device, or in another precision; labels stay whole numbers."""
        return tree_map(lambda t: _moved(t, place), self)


class Tasks(NamedTuple):
    """B tasks: each has a support set to learn from and a query set to be judged on.

    Shapes: ``support`` and ``query`` hold (B, K, ...) tensors with their own K; ``index`` is (B,), the number
    of each task in a finite collection, or -1 for a task that is drawn once and never met again. Without ``index``
    none is met again.

    >>> tasks = Tasks(Data(torch.zeros(4, 5, 1), torch.ones(4, 5, 1)), Data(torch.zeros(4, 9, 1), torch.ones(4, 9, 1)))
    >>> tasks.size, tasks.support.examples, tasks.query.examples
    (4, 5, 9)
    """

    support: Data
    query: Data
    index: Tensor | None = None  # type: ignore[assignment] # it hides tuple.index, which nobody asks of tasks

    @property
    def size(self) -> int:
        """B, the number of tasks."""
        return self.support.tasks

    def pick(self, index: Tensor | Sequence[int] | slice) -> Tasks:
        """The tasks with these positions in the batch, in this order; repetition is allowed."""
        chosen = None if self.index is None else self.index[index]
        return Tasks(self.support.pick(index), self.query.pick(index), chosen)

    def to(self, place: torch.device | torch.dtype | str) -> Tasks:
        """On another device, or in another precision."""
        index = None if self.index is None else _moved(self.index, place)
        return Tasks(self.support.to(place), self.query.to(place), index)

    def like(self, tensor: Tensor) -> Tasks:
        """On the device and in the precision of ``tensor``, usually a weight of the model."""
        return self.to(tensor.dtype).to(tensor.device)

    @property
    def numbers(self) -> Tensor:
        """``index``, or -1 for every task without one: (B,)."""
        if self.index is not None:
            return self.index
        return never_again(self.size, tree_leaves(self.support.x)[0].device)

    def numbered(self) -> Tasks:
        """The same tasks, with -1 for ``index`` if they have none."""
        return self._replace(index=self.numbers)


def never_again(tasks: int, device: torch.device | None = None) -> Tensor:
    """The ``index`` of tasks that come from an unlimited distribution: (B,) times -1."""
    return torch.full((tasks,), -1, device=device)


def known_index(index: Tensor, size: int) -> Tensor:
    """The numbers of tasks in a finite collection of that size, (B,), if they are.

    Raises:
        RuntimeError: some task has no number, or one that is not in the collection. The device itself checks, so that
            no meta-step has to wait for the answer.
    """
    check_on_device(
        ((index >= 0) & (index < size)).all(),
        f"tasks: expected numbers from 0 to {size - 1} in tasks.index; what is kept for each task needs a finite "
        "collection of tasks that come back, as WaveCollection draws them",
    )
    return index


def shape_of(tasks: Tasks) -> tuple:
    """What tasks must have in common to be of one batch: the form of their trees, and of each tensor from axis 1 on."""
    leaves, structure = tree_flatten(tasks[:2])
    return str(structure), tuple((tuple(leaf.shape[1:]), leaf.dtype) for leaf in leaves)


def concatenated(parts: Sequence[Tasks]) -> Tasks:
    """The tasks of all parts, one behind the other; all have to be of one shape."""
    numbered = [part.numbered() for part in parts]
    return numbered[0] if len(numbered) == 1 else tree_map(lambda *leaves: torch.cat(leaves), *numbered)


def joined(first: Tree, second: Tree) -> Tree:
    """The examples of both, those of ``first`` in front: (B, K, ...) and (B, L, ...) to (B, K + L, ...)."""
    return tree_map(lambda a, b: torch.cat([a, b], 1), first, second)


def split_examples(data: Data, count: int, parts: str = "part") -> list[Data]:
    """The examples of each task in ``count`` parts, in order, as equal as can be; ``parts`` says what they are for.

    Raises:
        ValueError: a task has fewer examples than that.
    """
    if data.examples < count:
        raise ValueError(f"tasks: expected at least {count} examples in each set, one per {parts}, got {data.examples}")
    leaves, structure = tree_flatten(data)
    pieces = zip(*(leaf.tensor_split(count, 1) for leaf in leaves), strict=True)
    return [tree_unflatten(list(piece), structure) for piece in pieces]


def require_tasks(tasks: Tasks | Sequence[Tasks]) -> None:
    """Refuse a batch whose tensors do not agree on the number of tasks or of examples.

    A list of batches, one for each size, is refused when one of them is.

    Raises:
        TypeError: there is no batch, or something is none.
        ValueError: names the tensor, the shape that was expected and the shape that came.
    """
    if not isinstance(tasks, Tasks):
        for part in list_of_batches(tasks):
            require_tasks(part)
        return
    for name, data in (("support", tasks.support), ("query", tasks.query)):
        if not isinstance(data, Data):
            raise TypeError(f"{name}: expected Data, got {kind_of(data)}; write Data(x, y)")
        require_examples(name, *data)
    if tasks.query.tasks != tasks.size:
        raise ValueError(
            f"query: expected as many tasks as support has, {tasks.size}, got {tasks.query.tasks}; "
            "draw both sets of a task together"
        )
    if tasks.index is not None and tasks.index.shape != (tasks.size,):
        raise ValueError(f"index: expected one number per task, shape ({tasks.size},), got {tuple(tasks.index.shape)}")


def list_of_batches(tasks: Sequence[Tasks]) -> Sequence[Tasks]:
    """A sequence of batches, if it is one."""
    if isinstance(tasks, tuple | list) and tasks and all(isinstance(part, Tasks) for part in tasks):
        return tasks
    advice = "write Tasks(Data(x, y), Data(x, y))"
    if isinstance(tasks, Data):
        advice = "a learner needs a query set as well, as in Tasks(support, query)"
    elif callable(getattr(tasks, "draw", None)):
        advice = "draw from it first, as in distribution.draw(25, torch.Generator())"
    elif isinstance(tasks, tuple | list):
        strange = [kind_of(part) for part in tasks if not isinstance(part, Tasks)]
        raise TypeError(
            f"tasks: expected Tasks or a list of at least one, got {kind_of(tasks)} "
            f"{f'with {strange[0]} in it' if strange else 'without any'}; {advice}"
        )
    raise TypeError(f"tasks: expected Tasks or a list of them, got {kind_of(tasks)}; {advice}")


def _moved(tensor: Tensor, place: torch.device | torch.dtype | str) -> Tensor:
    return tensor if isinstance(place, torch.dtype) and not tensor.is_floating_point() else tensor.to(place)
