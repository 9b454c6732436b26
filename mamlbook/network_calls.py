"""What is looked after while a network is called with the weights of a task: its buffers, attributes and callers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from mamlbook.network_attributes import Attribute, attributes_kept, written
from mamlbook.torch_internals import tree_leaves
from mamlbook.trees import Tree

_CALLS: WeakKeyDictionary[nn.Module, tuple[int, object]] = WeakKeyDictionary()
"""Which thread is in the middle of a call of which network."""


def learning(net: nn.Module) -> list[tuple[str, Tensor]]:
    """The weights that learn, with their names.

    Raises:
        ValueError: another thread is in the middle of a call, with the weights of its tasks in their place.
    """
    _require_one_thread(_CALLS.get(net))
    return [(name, weight) for name, weight in net.named_parameters() if weight.requires_grad]


@contextmanager
def buffers_kept(net: nn.Module, buffers: Mapping[str, Tensor]) -> Iterator[list[Attribute]]:
    """Refuse a network that, called inside, writes into the copies of its buffers or puts others in their place.

    Tensors that it leaves in plain attributes are taken out again, and given as in ``attributes_kept``.

    Raises:
        ValueError: names the buffers, or a layer with a hook on its backward pass; or another thread calls the network.
    """
    _refuse_backward_hooks(net)
    call = get_ident(), object()
    _require_one_thread(_CALLS.setdefault(net, call))

    def look(*_: object) -> None:  # while the copies are still in the network
        owners = {name: name.rpartition(".") for name in buffers}
        now = {name: net.get_submodule(owner)._buffers.get(last) for name, (owner, _, last) in owners.items()}
        _refuse_written([name for name, buffer in buffers.items() if now[name] is not buffer or written(buffer)])

    handle = net.register_forward_hook(look) if buffers else None
    try:
        with attributes_kept(net) as left:
            yield left
    finally:
        if handle is not None:
            handle.remove()
        if _CALLS.get(net) is call:
            del _CALLS[net]


@contextmanager
def left_alone(name: str, **given: Tree) -> Iterator[None]:
    """Refuse a network or a loss that, called inside, writes into what it is given, which is theta's or the tasks'.

    ``name`` is "net" or "loss", and ``given`` says by their names what its weights, inputs or targets are.

    Raises:
        ValueError: it has, and what it was given is changed.
    """
    leaves = ((what, [tree] if isinstance(tree, Tensor) else tree_leaves(tree)) for what, tree in given.items())
    tensors = [(what, leaf) for what, each in leaves for leaf in each if isinstance(leaf, Tensor)]
    before = [None if tensor.is_inference() else tensor._version for _, tensor in tensors]
    yield
    for (what, tensor), version in zip(tensors, before, strict=True):
        if version is not None and tensor._version != version:
            raise ValueError(
                f"{name}: expected operations that leave {what} alone, which each step reads again, got one that "
                f"writes into {what}, and has by now; make a new tensor, without inplace=True, += and what ends in _, "
                "and give the learner its weights and the tasks anew"
            )


def _require_one_thread(call: tuple[int, object] | None) -> None:
    if call is not None and call[0] != get_ident():
        raise ValueError(
            "net: expected one thread to call the network at a time, got two, whose tasks would be given each other's "
            "weights; give each thread a learner of its own, as copy.deepcopy(learner) makes it"
        )


def _refuse_backward_hooks(net: nn.Module) -> None:
    hooked = [name for name, part in net.named_modules() if part._backward_hooks or part._backward_pre_hooks]
    if hooked:
        raise ValueError(
            "net: expected layers without hooks on their backward pass, which no task's gradient would meet, got "
            f"{', '.join(hooked) or 'the network itself'} with one; remove it, as by handle.remove(), and see or "
            "change inner gradients by a transform, such as Clipped"
        )


def _refuse_written(names: list[str]) -> None:
    if names:
        raise ValueError(
            f"net: expected a network that leaves its buffers alone, got one that writes into {', '.join(names)} in "
            "its forward pass; tasks would overwrite them for one another: compute them from the input instead, or "
            "call net.eval() if that stops it"
        )
