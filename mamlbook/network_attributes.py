"""What a network or a loss leaves in its attributes: it is for the loss of this call, and for no other call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import is_not
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from mamlbook.torch_internals import tree_leaves

Place = dict[Any, Any] | list[Any]
"""The attributes of a module or of what it holds, or a dictionary or list that it holds."""

Attribute = tuple[Any, Any, Any]
"""A place, the name of one thing in it, and a value of that; of a list, all of it together."""

_MODULES_OWN = frozenset(vars(nn.Module()))
_SIMPLE = frozenset({int, float, bool, str, tuple, type(None)})
_FEW = 256
"""How many things at most there are in a list or dictionary of which a copy is made for each call."""

_LEFT: WeakKeyDictionary[nn.Module, list[Attribute]] = WeakKeyDictionary()
"""What the last call of a network has left: beside the network, so that no copy of it trips over tensors of a graph."""


@contextmanager
def attributes_kept(net: nn.Module) -> Iterator[list[Attribute]]:
    """Put back the plain attributes in which tensors are left inside, and list them with what was left.

    Those are features that a network keeps for later, what it computes once and finds there ever after, and the weights
    that the hooks of pruning compute before each call. Of all tasks at once they would be of no use to anybody, and
    what is found from an earlier call belongs to other weights. What is put into lists, dictionaries and plain objects
    that are attributes is such as well.
    """
    before: list[tuple[Place, Place]] = []
    for module in net.modules():
        attributes = vars(module)
        before.append((attributes, dict(attributes)))
        if len(attributes) > len(_MODULES_OWN):
            before += [(place, _copied(place)) for place in _places(attributes)]
    left: list[Attribute] = []
    try:
        yield left
    finally:
        for now, then in before:
            if len(now) != len(then) or any(map(is_not, _things(now), _things(then))):
                left += _out_of_list(now, [*then]) if isinstance(now, list) else _out_of_dictionary(now, dict(then))


def _places(attributes: dict[str, Any]) -> Iterator[Place]:
    """What can be written into among the attributes of a module."""
    for name in attributes.keys() - _MODULES_OWN:
        if type(attributes[name]) not in _SIMPLE:
            yield from _within(attributes[name])


def _within(value: Any, depth: int = 2) -> Iterator[Place]:
    """The place that a value is, and those in it."""
    if isinstance(value, Tensor | nn.Module):
        return
    place = value if isinstance(value, dict | list) else None if callable(value) else getattr(value, "__dict__", None)
    if isinstance(place, dict | list) and len(place) <= _FEW:
        yield place
        for inner in _things(place) if depth > 1 else ():
            if type(inner) not in _SIMPLE:
                yield from _within(inner, depth - 1)


def _things(place: Place) -> Iterable[Any]:
    return place if isinstance(place, list) else place.values()


def _copied(place: Place) -> Place:
    return list(place) if isinstance(place, list) else dict(place)


def _out_of_dictionary(now: dict[Any, Any], then: dict[Any, Any]) -> list[Attribute]:
    changed = [(name, value) for name, value in now.items() if value is not then.get(name)]
    left = [(name, value) for name, value in changed if _holds_tensor(value)]
    for name, _ in left:
        if name in then:
            now[name] = then[name]
        else:
            del now[name]
    return [(now, name, value) for name, value in left]


def _out_of_list(now: list[Any], then: list[Any]) -> list[Attribute]:
    known = set(map(id, then))
    if not any(_holds_tensor(value) for value in now if id(value) not in known):
        return []
    after = list(now)
    now[:] = then
    return [(now, slice(None), after)]


def _holds_tensor(value: Any) -> bool:
    return any(isinstance(leaf, Tensor) for leaf in tree_leaves(value))


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
        ValueError: it writes into its buffers, or puts other tensors in their place, those of all tasks at once.
    """
    if not isinstance(loss, nn.Module):
        yield
        return
    before = [(module._buffers, dict(module._buffers)) for module in loss.modules()]
    # Copies, so that nothing has changed when it is found out.
    given = [{name: None if b is None else b.clone() for name, b in then.items()} for _, then in before]
    changed: list[str] = []
    try:
        for (now, _), copies in zip(before, given, strict=True):
            now.update(copies)
        with attributes_kept(loss):
            yield
    finally:
        for (now, then), copies in zip(before, given, strict=True):
            changed += [name for name, copy in copies.items() if now.get(name) is not copy or written(copy)]
            now.update(then)
    if changed:
        raise ValueError(
            f"loss: expected a loss that leaves its buffers alone, got one that writes into {', '.join(changed)}, or "
            "puts others in their place; tasks would overwrite them for one another: compute it from predictions and "
            "targets"
        )


def written(buffer: Tensor | None) -> bool:
    """Whether a new copy of a buffer has been written into."""
    return buffer is not None and not buffer.is_inference() and buffer._version > 0


@contextmanager
def without_graphs(net: nn.Module) -> Iterator[None]:
    """Put what plain calls have left without its graph for a while: only leaves of a graph are copied."""
    with attributes_kept(net):
        for module in net.modules():
            left = {name: value.detach() for name, value in vars(module).items() if isinstance(value, Tensor)}
            vars(module).update(left)
        yield
