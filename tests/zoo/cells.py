"""One cell of the table of networks and rows: the package's meta-gradient, the oracle's, and how they compare."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mamlbook import ALGORITHMS, MetaLearner, Model, Tasks
from zoo.networks import ZOO, Specimen
from zoo.oracle import Oracle, Weights, settings

TASKS, SEED = 3, 7

TOLERANCES: dict[str, float] = {"conflict-averse": 1e-3}
"""Rows that agree to less than 1e-9: the problem of the weights is solved by a hundred steps there, exactly here."""


class Cell(NamedTuple):
    """What became of a network under a row: an error relative to the oracle's gradient, or what the package said."""

    error: float | None
    said: Exception | None

    @property
    def refused(self) -> bool:
        return isinstance(self.said, ValueError | TypeError)


def tolerance(row: str) -> float:
    """How far from the oracle a row may be, relative to the length of its gradient."""
    return TOLERANCES.get(row, 1e-9)


def build(name: str) -> nn.Module:
    """A network of the zoo, the same at every call."""
    return ZOO[name].build(0)


def draw(name: str) -> Tasks:
    """Its tasks, the same at every call."""
    return ZOO[name].draw(TASKS, 1)


def learner(name: str, row: str) -> MetaLearner:
    """A row on a network of the zoo, in double precision in all its parts."""
    net, specimen = build(name), ZOO[name]
    told = {} if found_without_being_told(net, specimen) else {"head": specimen.head}
    return ALGORITHMS[row].build(Model(net, specimen.loss, **told), **settings(row, net)).double()


def found_without_being_told(net: nn.Module, specimen: Specimen) -> bool:
    """Whether the head is where ``Model`` looks for it: a child of that name, or the last layer of a chain."""
    last = next(reversed(list(net._modules)), None) if isinstance(net, nn.Sequential) else None
    return specimen.head in (None, "head", last)


@cache
def oracle_of(name: str) -> Oracle:
    """The oracle of a network, which remembers what several rows have in common."""
    return Oracle(build(name), ZOO[name].loss, draw(name), ZOO[name].head, SEED)


@cache
def expected(name: str, row: str) -> Weights:
    """What the oracle says."""
    return oracle_of(name).meta_gradient(row, **settings(row, oracle_of(name).net))


def gradient(name: str, row: str) -> tuple[Tensor, ...]:
    """What the package says."""
    with drawn_in_order():
        built = learner(name, row)
        torch.manual_seed(SEED)
        return built.meta_gradient(draw(name))


def cell(name: str, row: str) -> Cell:
    """Both, compared."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = gradient(name, row)
    except Exception as said:
        return Cell(None, said)
    try:
        right = tuple(expected(name, row).values())
    except Exception:
        return Cell(math.inf, None)  # a gradient of something that has none
    return Cell(relative(found, right), None)


def relative(found: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> float:
    """The norm of the difference over all tensors, relative to that of the right ones."""
    if [t.shape for t in found] != [t.shape for t in right]:
        return math.inf
    one, other = (torch.cat([t.detach().flatten() for t in of]) for of in (found, right))
    length = other.norm().item()
    return (one - other).norm().item() / length if length else one.norm().item()


@contextmanager
def drawn_in_order() -> Iterator[None]:
    """Have ``rand_like`` and ``randn_like`` fill tensors in the order of their axes.

    On their own they fill memory, whose order is that of whichever kernel computed the tensor.
    """
    before = torch.rand_like, torch.randn_like
    torch.rand_like = lambda t: torch.rand(t.shape, dtype=t.dtype, device=t.device)
    torch.randn_like = lambda t: torch.randn(t.shape, dtype=t.dtype, device=t.device)
    try:
        yield
    finally:
        torch.rand_like, torch.randn_like = before
