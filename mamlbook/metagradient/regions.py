"""Computations in pieces, so that each of them can be compiled, and its memory let go, by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol


class Runner(Protocol):
    """Runs one piece. ``name`` and what is no tensor among the inputs tell pieces apart."""

    def __call__(self, name: str, function: Callable, *inputs: Any) -> Any: ...


def _directly(name: str, function: Callable, *inputs: Any) -> Any:
    return function(*inputs)


_runner: ContextVar[Runner] = ContextVar("runner", default=_directly)


def run_region(name: str, function: Callable, *inputs: Any) -> Any:
    """``function(*inputs)``, by whoever runs the pieces at the moment.

    What comes out may depend on the inputs and on the learner's weights and buffers, and on nothing else that changes.
    """
    return _runner.get()(name, function, *inputs)


@contextmanager
def region_runner(runner: Runner) -> Iterator[None]:
    """Have another runner for a while."""
    token = _runner.set(runner)
    try:
        yield
    finally:
        _runner.reset(token)
