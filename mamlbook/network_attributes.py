"""What a network or a loss leaves in its attributes: it is for the loss of this call, and for no other call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from operator import is_not
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from mamlbook.torch_internals import tree_leaves

Attribute = tuple[dict[str, Any], str, Any]
"""The attributes of a module, the name of one of them, and a value of it."""

_LEFT: WeakKeyDictionary[nn.Module, list[Attribute]] = WeakKeyDictionary()
"""What the last call of a network has left: beside the network, so that no copy of it trips over tensors of a graph."""


@contextmanager
def attributes_kept(net: nn.Module) -> Iterator[list[Attribute]]:
    """Put back the plain attributes in which tensors are left inside, and list them with what was left.

    Those are features that a network keeps for later, what it computes once and finds there ever after, and the weights
    that the hooks of pruning compute before each call. Of all tasks at once they would be of no use to anybody, and
    what is found from an earlier call belongs to other weights.
    """
    before = [(attributes := vars(module), dict(attributes)) for module in net.modules()]
    left: list[Attribute] = []
    try:
        yield left
    finally:
        for now, then in before:
            if len(now) != len(then) or any(map(is_not, now.values(), then.values())):
                left += _taken_out(now, then)


def _taken_out(now: dict[str, Any], then: dict[str, Any]) -> list[Attribute]:
    changed = [(name, value) for name, value in now.items() if value is not then.get(name)]
    left = [(name, value) for name, value in changed if any(isinstance(leaf, Tensor) for leaf in tree_leaves(value))]
    for name, _ in left:
        if name in then:
            now[name] = then[name]
        else:
            del now[name]
    return [(now, name, value) for name, value in left]


def keep_for_the_loss(net: nn.Module, left: list[Attribute]) -> None:
    """Have ``given_to_the_loss`` find what a call of the network has left."""
    if left:
        _LEFT[net] = left
    else:
        _LEFT.pop(net, None)


@contextmanager
def given_to_the_loss(net: nn.Module) -> Iterator[None]:
    """Let the loss find what the last call of the network has left in its attributes, such as a penalty."""
    left = _LEFT.get(net)
    if left is None:
        yield
        return
    with attributes_kept(net):
        for attributes, name, value in left:
            attributes[name] = value
        yield


@contextmanager
def loss_unchanged(loss: Any) -> Iterator[None]:
    """Let a loss that is a module leave nothing in it either.

    Raises:
        ValueError: it puts other tensors in the place of its buffers, those of all tasks at once.
    """
    if not isinstance(loss, nn.Module):
        yield
        return
    before = [(module._buffers, dict(module._buffers)) for module in loss.modules()]
    changed: list[str] = []
    try:
        with attributes_kept(loss):
            yield
    finally:
        for now, then in before:
            changed += [name for name, buffer in then.items() if now.get(name) is not buffer]
            now.update(then)
    if changed:
        raise ValueError(
            f"loss: expected a loss that leaves its buffers alone, got one that puts others in the place of "
            f"{', '.join(changed)}; tasks would overwrite them for one another: compute it from predictions and targets"
        )


@contextmanager
def without_graphs(net: nn.Module) -> Iterator[None]:
    """Put what plain calls have left without its graph for a while: only leaves of a graph are copied."""
    with attributes_kept(net):
        for module in net.modules():
            left = {name: value.detach() for name, value in vars(module).items() if isinstance(value, Tensor)}
            vars(module).update(left)
        yield
