"""Other people's data as tasks for a model: checked, as tensors, in the place and the precision of its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from mamlbook.checks import kind_of
from mamlbook.devices import sent
from mamlbook.tasks.base import Data, Tasks, list_of_batches, never_again, require_tasks
from mamlbook.tasks.examples import Tree, require_examples
from mamlbook.torch_internals import tree_map


@overload
def prepared(tasks: Tasks, like: Tensor) -> Tasks: ...
@overload
def prepared(tasks: Sequence[Tasks], like: Tensor) -> list[Tasks]: ...
@overload
def prepared(tasks: Tasks | Sequence[Tasks], like: Tensor) -> Tasks | list[Tasks]: ...
def prepared(tasks: Tasks | Sequence[Tasks], like: Tensor) -> Tasks | list[Tasks]:
    """The tasks as a model can read them: tensors on the device of ``like``, floating-point ones in its precision.

    NumPy arrays become tensors, whole numbers int64, and truth values stay. Values are not read. A list of tasks, one
    for each size, comes back as a list.

    Raises:
        TypeError: this is no ``Tasks`` or list of them, or holds something else than tensors and arrays.
        ValueError: x holds raw uint8 pictures, or the shapes disagree.

    >>> import numpy as np
    >>> x, y = np.zeros((4, 10, 1)), np.ones((4, 10, 1))
    >>> tasks = prepared(Tasks((x, y), (x, y)), like=torch.zeros(()))
    >>> tasks.support.x.dtype, tasks.index.tolist()
    (torch.float32, [-1, -1, -1, -1])
    """
    if not isinstance(tasks, Tasks):
        return [prepared(part, like) for part in list_of_batches(tasks)]
    if _is_ready(tasks, like):
        return tasks
    support, query = (
        _readable(as_data(data, name), like, name)
        for name, data in (("support", tasks.support), ("query", tasks.query))
    )
    require_examples("support", *support)
    ready = Tasks(support, query, _as_index(tasks.index, support, like))
    require_tasks(ready)
    return ready


def _is_ready(tasks: Tasks, like: Tensor) -> bool:
    """Whether these are tasks of plain tensors that need neither a change nor a complaint.

    It is so at nearly every meta-step, and told in a tenth of the time that the whole examination takes.
    """
    support, query, index = tasks
    if type(support) is not Data or type(query) is not Data or type(index) is not Tensor:
        return False
    for x, y in (support, query):
        if type(x) is not Tensor or type(y) is not Tensor or x.layout is not torch.strided:
            return False
        if y.layout is not torch.strided or x.is_nested or y.is_nested or x.ndim < 2 or x.shape[:2] != y.shape[:2]:
            return False
        if (
            x.is_inference()
            or y.is_inference()
            or 0 in x.shape[:2]
            or len(x) != len(index)
            or x.device != like.device
            or y.device != like.device
        ):
            return False
        if x.dtype != like.dtype or y.dtype not in (like.dtype, torch.int64):
            return False
    return index.ndim == 1 and index.dtype == torch.int64 and index.device == like.device


def prepared_data(data: Data | tuple[Tree, Tree], like: Tensor, name: str = "support") -> Data:
    """One set of examples as a model can read it, checked and moved as ``prepared`` does; a pair (x, y) will do.

    Raises:
        TypeError, ValueError: as for ``prepared``, with ``name`` for the set.
    """
    ready = _readable(as_data(data, name), like, name)
    require_examples(name, *ready)
    return ready


def as_data(data: Data | tuple[Tree, Tree], name: str = "support") -> Data:
    """A pair (x, y) as ``Data``.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(data, Tasks):
        raise TypeError(f"{name}: expected Data or a pair (x, y), got Tasks; pass tasks.support")
    if isinstance(data, Data):
        return data
    if not isinstance(data, tuple | list) or len(data) != 2:
        count = f" of {len(data)}" if isinstance(data, tuple | list) else ""
        raise TypeError(f"{name}: expected Data or a pair (x, y), got {kind_of(data)}{count}; write Data(x, y)")
    return Data(*data)


def as_tensors(data: Data, name: str) -> Data:
    """NumPy arrays as tensors, and mappings that torch does not know as trees, a tokenizer's output, as dictionaries.

    Raises:
        TypeError: something in it is neither tensor nor array of numbers.
    """
    trees = (tree_map(_plain, tree) for tree in data)
    return Data(
        *(
            tree_map(lambda leaf, at=f"{name}.{field}": as_tensor(leaf, at), tree)
            for field, tree in zip("xy", trees, strict=True)
        )
    )


def _plain(leaf: Any) -> Any:
    return tree_map(_plain, dict(leaf)) if isinstance(leaf, Mapping) else leaf


def as_tensor(leaf: Any, name: str) -> Tensor:
    """A tensor as it is, a copy of one made in inference mode, or what a NumPy array holds as one.

    Raises:
        TypeError: it is neither, has no numbers, or some of them are masked or left out.
    """
    if isinstance(leaf, np.ndarray):
        if np.ma.is_masked(leaf):
            raise TypeError(f"{name}: expected an array without a mask, got one with; fill it, as in array.filled(0)")
        try:
            # torch takes over neither what cannot be written to nor another byte order.
            return torch.from_numpy(np.require(leaf, leaf.dtype.newbyteorder("="), ["C", "W"]))
        except (TypeError, ValueError):
            raise TypeError(
                f"{name}: expected an array of numbers, got one of {leaf.dtype}; convert it first"
            ) from None
    if not isinstance(leaf, Tensor):
        raise TypeError(
            f"{name}: expected tensors or NumPy arrays (tasks, examples, ...), alone or in tuples, lists and "
            f"dictionaries, got {kind_of(leaf)}; make lists of numbers one tensor, as in torch.tensor(numbers)"
        )
    if leaf.is_nested or leaf.layout is not torch.strided:
        kind, cure = (
            ("nested", "put tasks of unequal size together by batches_by_size")
            if leaf.is_nested
            else ("sparse", "call to_dense()")
        )
        raise TypeError(f"{name}: expected a dense tensor, got a {kind} one; {cure}")
    # What was made in inference mode cannot be kept for a gradient; a copy of it can.
    return leaf.clone() if leaf.is_inference() else leaf


def _readable(data: Data, like: Tensor, name: str) -> Data:
    """Tensors in the place, the precision and the types that networks and losses read."""
    x, y = as_tensors(data, name)
    return Data(tree_map(lambda leaf: _numbers(_input(leaf), like), x), tree_map(lambda leaf: _numbers(leaf, like), y))


def _input(leaf: Tensor) -> Tensor:
    if leaf.dtype == torch.uint8:
        raise ValueError(
            "x: expected numbers that a network can read, got uint8 pictures; divide them by 255, as in "
            "x.float() / 255, or write x.long() if they are indices"
        )
    return leaf


def _numbers(leaf: Tensor, like: Tensor) -> Tensor:
    """Floating point in the precision of ``like``, whole numbers as int64, which every loss and embedding takes."""
    if leaf.is_floating_point():
        return sent(leaf, like.device, like.dtype)
    whole = not leaf.is_complex() and leaf.dtype != torch.bool
    return sent(leaf, like.device, torch.int64 if whole else leaf.dtype)


def _as_index(index: Any, support: Data, like: Tensor) -> Tensor:
    if index is None:
        return never_again(support.tasks, like.device)
    numbers = torch.as_tensor(np.asarray(index) if isinstance(index, Sequence) else index)
    if numbers.is_floating_point() or numbers.is_complex() or numbers.dtype == torch.bool:
        raise TypeError(f"index: expected the whole number of each task, got {numbers.dtype}; leave it out for none")
    return sent(numbers.long(), like.device)
