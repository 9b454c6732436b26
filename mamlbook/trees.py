"""Trees of tensors: a tensor, or tuples, lists and dictionaries of trees."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mamlbook.torch_internals import tree_leaves, tree_map

Tree = Any
"""A tensor, or a tuple, list or dictionary of trees; the leaves of one tree begin with the same axes."""


def first_leaf(tree: Tree) -> Tensor:
    """The first tensor of a tree, whose leading axes are those of all.

    Raises:
        TypeError: there is none.
    """
    for leaf in tree_leaves(tree):
        if isinstance(leaf, Tensor):
            return leaf
    raise TypeError(f"x: expected a tensor, or tuples, lists and dictionaries of tensors, got {type(tree).__name__}")


def each_task(tree: Tree) -> list[Tree]:
    """A copy of the tree of each task, without the task axis."""
    return [tree_map(lambda t, task=task: t[task].clone(), tree) for task in range(len(first_leaf(tree)))]
