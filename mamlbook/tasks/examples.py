"""Trees of tensors, and what the examples of a task may be."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from mamlbook.checks import kind_of
from mamlbook.torch_internals import tree_leaves
from mamlbook.trees import Tree


def require_examples(name: str, x: Tree, y: Tree) -> None:
    """Refuse a set of examples whose tensors do not begin with the same (tasks, examples).

    Raises:
        TypeError: something in it is no tensor.
        ValueError: names the set and the shapes that came.
    """
    leaves = [(f"{name}.{field}", leaf) for field, tree in (("x", x), ("y", y)) for leaf in tree_leaves(tree)]
    for field in "xy":
        if not any(place.endswith(field) for place, _ in leaves):
            raise ValueError(f"{name}: expected at least one tensor in {field}, got none")
    for place, leaf in leaves:
        if not isinstance(leaf, Tensor | np.ndarray):
            raise TypeError(f"{place}: expected a tensor (tasks, examples, ...), got {kind_of(leaf)}")
    begins = {tuple(leaf.shape[:2]) for _, leaf in leaves}
    if len(begins) > 1 or len(next(iter(begins))) < 2:
        shapes = (
            " and ".join(str(tuple(leaf.shape)) for place, leaf in leaves if place.endswith(field)) for field in "xy"
        )
        raise ValueError(
            "{}: expected x and y to begin with the same (tasks, examples), got x {} and y {}; a single task needs a "
            "leading axis of 1, as in x[None]".format(name, *shapes)
        )
    if 0 in next(iter(begins)):
        raise ValueError(
            f"{name}: expected at least one task and one example of each, got x and y that begin with "
            f"{next(iter(begins))}"
        )
