"""Weights that a network reads by another way than from the layer that has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from torch import Tensor

_STANDING: ContextVar[Mapping[int, int]] = ContextVar("_STANDING", default=MappingProxyType({}))
"""What stands for the weights while a function of them is traced: the ``id`` of each weight to that of its tensor."""


@contextmanager
def standing_for(tensors: Mapping[int, int]) -> Iterator[None]:
    """Let these tensors stand, inside, for the weights that a network may hold elsewhere; both by their ``id``."""
    before = _STANDING.set(tensors)
    try:
        yield
    finally:
        _STANDING.reset(before)


class TaskWeights:
    """Puts a task's own weights in the place of the network's, which its lists, dictionaries and functions may hold.

    ``given`` are those of the task by the ``id`` of the network's. Only a layer's own attribute is exchanged when a
    network is called with other weights: what it holds besides would stay theta.

    Raises:
        ValueError: when called, on what was computed from the network's weights before this call of it.
    """

    def __init__(self, given: Mapping[int, Tensor]):
        self.given = given
        # Inside of vmap, what belongs to a task seems to require no gradient: what does has come by another way.
        self.of_all_tasks = not any(weight.requires_grad for weight in given.values())
        self._sound: set[Any] = set()

    def __call__(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return self._of_task(value) if value.requires_grad else value
        if type(value) in (list, tuple) and any(isinstance(part, Tensor) and part.requires_grad for part in value):
            return type(value)(map(self, value))
        return value

    def _of_task(self, tensor: Tensor) -> Tensor:
        own = self.given.get(_STANDING.get().get(id(tensor), id(tensor)))
        if own is not None:
            return own
        if self.of_all_tasks and tensor.grad_fn is not None and self._comes_from_weights(tensor):
            raise ValueError(
                "net: expected a network that computes from its weights in every call, got one that goes on with a "
                f"tensor {tuple(tensor.shape)} computed from them before, which is theta's and not the task's; compute "
                "it in forward, and clear what the network keeps from earlier calls"
            )
        return tensor

    def _comes_from_weights(self, tensor: Tensor) -> bool:
        weights, waiting = self.given.keys() | _STANDING.get().keys(), [tensor.grad_fn]
        while waiting:
            node = waiting.pop()
            if node is None or node in self._sound:
                continue
            if id(getattr(node, "variable", None)) in weights:
                return True
            self._sound.add(node)
            waiting += [after for after, _ in node.next_functions]
        return False
