"""What one meta-gradient costs, counted and not timed: arithmetic, and the memory that its graph holds."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from mamlbook.learner import MetaLearner
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.preparation import prepared
from mamlbook.torch_internals import TorchDispatchMode, operation_formula, tree_leaves


class Cost(NamedTuple):
    """Floating-point operations of the matrix products and convolutions, and bytes held when differentiation begins."""

    operations: int
    held: int


def cost(learner: MetaLearner, tasks: Tasks) -> Cost:
    """Count one meta-gradient on these tasks.

    The bytes are those that the graph holds for the outer ``backward()``, the network's weights and the examples
    themselves left out. Both numbers are exact, and the same on every machine that chooses the same kernels.

    >>> from mamlbook import Model, Sinusoids, joint, maml, mlp
    >>> model = Model(mlp(1, 40, 40, 1), torch.nn.functional.mse_loss)
    >>> tasks = Sinusoids(shots=10).draw(25, torch.Generator().manual_seed(0))
    >>> gradient = cost(joint(model), tasks)  # of all tasks, at theta
    >>> [round(cost(maml(model, 0.01, steps), tasks).operations / gradient.operations) for steps in (1, 2, 5)]
    [4, 7, 16]
    """
    tasks = prepared(tasks, learner.model.theta[0])  # a copy in another place would count as something kept
    with OperationCounter() as counted:
        with SavedTensors() as graphs:
            surrogate, _ = learner(tasks)
        # What an inner step saved for itself alone is gone by now.
        held = graphs.bytes(*_given(learner, tasks))
        torch.autograd.grad(surrogate, learner.model.theta, materialize_grads=True)
    return Cost(counted.total, held)


def peak(learner: MetaLearner, tasks: Tasks) -> int:
    """The bytes alive at the fullest moment of one meta-gradient, weights and examples themselves left out.

    Unlike ``Cost.held`` this counts what is kept without a graph as well, and what one inner step needs for a while.
    """
    tasks = prepared(tasks, learner.model.theta[0])
    with _Alive(map(_storage, _given(learner, tasks))) as alive:
        learner.meta_gradient(tasks)
    return alive.peak


class _Alive(TorchDispatchMode):
    """Follows the memory of every tensor that is made inside it, until nobody holds it."""

    def __init__(self, known: Iterable[int]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.seen: dict[int, object] = dict.fromkeys(known)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and _storage(tensor) not in self.seen:
                self._follow(tensor.untyped_storage())
        return result

    def _follow(self, storage: torch.UntypedStorage) -> None:
        where, size = storage.data_ptr(), storage.nbytes()

        def gone(_: object) -> None:
            del self.seen[where]
            self.now -= size

        if size:
            self.seen[where] = weakref.ref(storage, gone)
            self.now += size
            self.peak = max(self.peak, self.now)


class SavedTensors:
    """Follow the tensors that the graphs made inside save for their backward pass, for as long as they hold them.

    >>> x = torch.ones(10, requires_grad=True)
    >>> with SavedTensors() as graphs:
    ...     y = x.exp().sum()
    >>> graphs.bytes()
    40
    >>> del y
    >>> graphs.bytes()
    0
    """

    def __init__(self) -> None:
        self._holders: weakref.WeakSet[_Holder] = weakref.WeakSet()
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda holder: holder.tensor)

    def __enter__(self) -> SavedTensors:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.__exit__(*error)

    def _pack(self, tensor: Tensor) -> _Holder:
        # An output that kept its own graph would be a ring, and never be let go.
        holder = _Holder(tensor.detach())
        self._holders.add(holder)
        return holder

    def bytes(self, *known: Tensor) -> int:
        """The bytes that are held now, those of ``known`` tensors left out."""
        held = {_storage(h.tensor): h.tensor.untyped_storage().nbytes() for h in self._holders}
        left_out = set(map(_storage, known))
        return sum(size for storage, size in held.items() if storage not in left_out)


class _Holder:
    """A saved tensor, alive as long as the graph needs it."""

    def __init__(self, tensor: Tensor):
        self.tensor = tensor


class OperationCounter(TorchDispatchMode):
    """Add up, in ``total``, the operations of everything that runs inside, by PyTorch's own formulas.

    >>> with OperationCounter() as counted:
    ...     _ = torch.ones(2, 3) @ torch.ones(3, 5)
    >>> counted.total
    60
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        formula = operation_formula(function)
        if formula is not None:
            self.total += formula(*args, **kwargs, out_val=result)
        return result


class KernelCounter(TorchDispatchMode):
    """Count, in ``total``, the operations that run inside and compute, and in ``moved`` the bytes they read and write.

    On a GPU each of them is a kernel to launch, and a few are two. What only looks at memory in another way, or asks
    for some, is none. Of an expanded tensor the bytes that exist are read.

    >>> x = torch.ones(2, 3)
    >>> with KernelCounter() as counted:
    ...     _ = (x.T @ x).relu()
    >>> counted.total, counted.moved
    (2, 156)
    """

    def __init__(self) -> None:
        super().__init__()
        self.total = self.moved = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        given, made = ([t for t in tree_leaves(tree) if isinstance(t, Tensor)] for tree in ((args, kwargs), result))
        if not function.overloadpacket.__name__.startswith(("empty", "new_empty")) and _computed(given, made):
            self.total += 1
            self.moved += sum(min(t.nbytes, t.untyped_storage().nbytes()) for t in (*given, *made))
        return result


def _computed(given: list[Tensor], made: list[Tensor]) -> bool:
    """Whether something was written: a tensor of new memory, or one that was given, in place."""
    memory = set(map(_storage, given))
    return any(_storage(t) not in memory or any(t is other for other in given) for t in made)


def _given(learner: MetaLearner, tasks: Tasks) -> list[Tensor]:
    """What is there before anything is computed."""
    return [*learner.model.parameters(), *(leaf for leaf in tree_leaves(tasks) if isinstance(leaf, Tensor))]


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
