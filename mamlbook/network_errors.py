"""What goes wrong inside a network or a loss, in a sentence that says what was expected and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor

from mamlbook.torch_internals import being_traced, tree_leaves
from mamlbook.trees import Tree

FAILURES = (RuntimeError, LookupError, AttributeError, TypeError, AssertionError)
"""What networks and losses raise where they cannot do with what they are given."""

randomness: ContextVar[str] = ContextVar("randomness", default="different")
"""What ``vmap`` does where a network or a loss draws random numbers."""


@contextmanager
def refusing_draws(why: str, instead: str = "differentiate the steps by Exact()") -> Iterator[None]:
    """Refuse, inside, a network or a loss that draws random numbers, as dropout does in training.

    Raises:
        ValueError: it draws; the message says ``why`` it must not, and what to do ``instead``.
    """
    before = randomness.set("error")
    try:
        yield
    except RuntimeError as error:
        if not _draws(error):
            raise
        raise ValueError(
            f"net: expected a network and a loss that draw no random numbers, got one that does, as dropout in "
            f"training; {why}; switch that off, as net.eval() does, or {instead}"
        ) from error
    finally:
        randomness.reset(before)


def _draws(error: Exception) -> bool:
    return "randomness" in str(error)


@contextmanager
def saying_what_does_not_fit(name: str, called: str, own: Tree, given: Tree) -> Iterator[None]:
    """Say in words that the network or the loss, called inside on one task, cannot do with what it is given.

    ``name`` is "net", whose own weights are given x, or "loss", where predictions are given targets.

    Raises:
        ValueError: it cannot.
    """
    try:
        yield
    except FAILURES as error:
        if "tracing tensor" in str(error) or "data-dependent" in str(error):
            raise  # it is the tracer that cannot
        _refuse_two_devices(name, own, given)
        text, form = str(error).splitlines()[0] if str(error) else type(error).__name__, _form(given)
        if name == "net":
            said = f"net: expected a network that reads x, {form} for one task, got {called}, which says: {text}"
            raise ValueError(said + (_place_of_constants(own, text) or _advice(text, given))) from error
        advice = "write it out, as in lambda y_hat, y: mse_loss(y_hat['y'], y)"
        if isinstance(own, Tensor) and isinstance(given, Tensor):
            advice = (
                "classes are whole numbers from 0 to outputs - 1, (tasks, examples), and numbers have y_hat's shape"
            )
        raise ValueError(
            f"loss: expected one that reads what the network gives, {_form(own)}, and targets, {form}, for one task, "
            f"got {called}, which says: {text}{_place_of_constants(own, text) or f'; {advice}'}"
        ) from error


def _refuse_two_devices(name: str, own: Tree, given: Tree) -> None:
    """Refuse x where the weights are elsewhere, and targets where the predictions are.

    Raises:
        ValueError: says what is where.
    """
    (what, of), here, there = _NAMES[name], _places(own), _places(given)
    if len(here) > 1:
        raise ValueError(
            f"net: expected all {what} on one device, got some on {' and some on '.join(here)}; move all of them, as "
            f"in learner.to({here[-1]!r})"
        )
    if here and there and here != there:
        raise ValueError(
            f"{of}: expected tensors on {here[0]}, where the {what} are, got {of} on {' and '.join(there)}; move them, "
            f"as in tasks.to({here[0]!r})"
        )


_NAMES = {"net": ("weights", "x"), "loss": ("predictions", "y")}


def _places(tree: Tree) -> list[str]:
    return sorted({str(leaf.device) for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)})


def _place_of_constants(own: Tree, text: str) -> str:
    """What to do where weights and data are in one place, and yet there are two."""
    elsewhere = "; a tensor that it holds or makes is elsewhere: make it on {}, or a buffer"
    return elsewhere.format(_places(own)[0]) if "same device" in text else ""


def _advice(text: str, given: Tree) -> str:
    """What to do where an embedding has no such row, or where names were meant to be arguments."""
    if isinstance(given, dict) and "argument" in text:
        return "; a dictionary is one argument, and forward(self, x) takes x['name'] out of it"
    return "; indices are whole numbers from 0 to the embedding's rows - 1" if "index out of range" in text else ""


def _form(tree: Tree) -> str:
    if not isinstance(tree, Tensor):
        return f"a {type(tree).__name__}"
    return f"{str(tree.dtype).removeprefix('torch.')} {tuple(tree.shape)}"


def writes_in_place(error: Exception) -> bool:
    """Whether an error of ``vmap`` is about writing a task's own numbers into what all tasks share."""
    return "vmap: inplace arithmetic" in str(error) or "output with shape" in str(error)


def refuse_what_tasks_cannot_share(name: str, error: Exception) -> None:
    """Say in words what an error of ``vmap`` means; any other is left alone. ``name`` is "net" or "loss".

    Raises:
        ValueError: it does what cannot be done for all tasks at once.
    """
    text = str(error)
    if writes_in_place(error):
        raise ValueError(
            f"{name}: expected operations that leave tensors alone which all tasks share, got one that writes what it "
            "computes from a task into a buffer or a constant; make a new tensor instead of writing in place"
        ) from error
    cure = next((cure for part, cure in _CURES.items() if part in text), None)
    if cure is not None:
        raise ValueError(
            f"{name}: expected operations that can be done for all tasks at once, got one that cannot "
            f"({text.splitlines()[0][:200]}); {cure}"
        ) from error


_CURES = {
    "we do not yet support": "write it otherwise, in sums, products and torch.where",
    "Batching rule not implemented for": "write it otherwise",
    "dynamic shape": "choose entries by torch.where instead of a mask",
    "vmap: It looks like": "choose by torch.where instead of a Python if, or write it otherwise",
    "data pointer": "stay in PyTorch, without numpy()",
    "autograd.Function with functorch": "give the autograd.Function a setup_context and generate_vmap_rule = True",
    "inplace randomness": "draw by torch.rand, randn or bernoulli, and not into an empty tensor",
    "does not have vmap support": "give the autograd.Function generate_vmap_rule = True",
    "written-to tensor": "leave weights and x as they are, and compute new tensors from them",
    "accessing `data`": "write detach() instead of data",
    "Tensor.requires_grad_()": "differentiate inside a network by torch.func.grad, vjp or jacrev",
}
"""What to do instead, by what torch says."""


def refuse_what_one_task_can(name: str, error: Exception) -> None:
    """Say that something works for each task by itself and not for all at once.

    What a tracer says is left alone, and so is a draw that ``refusing_draws`` refuses.

    Raises:
        ValueError: it does.
    """
    if not being_traced() and not _draws(error):
        raise ValueError(
            f"{name}: expected operations that can be done for all tasks at once, got one that each task can by "
            f"itself, while all together say: {str(error).splitlines()[0] if str(error) else type(error).__name__}; "
            "write it otherwise"
        ) from error


def refuse_other_outputs(error: ValueError) -> None:
    """Say in words that a network put out something that is no tensor; any other error is left alone.

    Raises:
        ValueError: it does.
    """
    if found := _returned(error):
        raise ValueError(
            "net: expected predictions in one tensor, or in tuples, lists and dictionaries of tensors, got "
            f"{found}; return one of these, as {{'logits': ..., 'features': ...}}"
        ) from error


def refuse_other_losses(error: ValueError) -> None:
    """Say in words that a loss is no tensor; any other error is left alone.

    Raises:
        ValueError: it is none.
    """
    found = _returned(error)
    if found:
        raise ValueError(
            f"loss: expected one number per task in a tensor, got {found} in its place or within; return it alone"
        ) from error


def _returned(error: ValueError) -> str | None:
    """What kind of thing ``vmap`` was given instead of a tensor, if that is its error."""
    found = re.search(r"must only return Tensors, got type <class '(?:.*\.)?(.+)'>", str(error))
    return found and found[1]


@contextmanager
def naming_missing_derivatives() -> Iterator[None]:
    """Say in words that an operation inside cannot be differentiated, or not as often as an algorithm does it.

    Raises:
        ValueError: it cannot.
    """
    try:
        yield
    except RuntimeError as error:
        if "does not require grad" in str(error):
            raise ValueError(
                "net, loss: expected a loss that has a gradient in the weights, got one without; leave out detach(), "
                "torch.no_grad(), argmax and comparisons between the weights and the loss"
            ) from error
        if "modified by an inplace operation" in str(error):
            said = "net, loss: expected operations that leave alone what gradients need; leave out += and inplace=True"
            raise ValueError(said) from error
        found = re.search(r"derivative for '?(?:aten::)?_?(\w+?)(?:_backward)?'? is not implemented", str(error))
        if found is None:
            raise
        raise ValueError(
            f"net, loss: expected operations that can be differentiated as often as this algorithm does, got "
            f"{found[1]}, of which PyTorch has no further derivative; write it out in sums and products, or choose an "
            "algorithm of first order, such as fomaml or reptile"
        ) from error


def refuse_inference_mode() -> None:
    """Adapting differentiates, which tensors of ``torch.inference_mode()`` cannot be.

    Raises:
        RuntimeError: it is on.
    """
    if torch.is_inference_mode_enabled():
        raise RuntimeError(
            "expected to be called outside of torch.inference_mode(), whose tensors have no gradient, which adapting "
            "needs; leave it out, or use torch.no_grad()"
        )
