"""A network as a pure function of its weights, evaluated for all tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mamlbook.exact import exact_operations
from mamlbook.network_attributes import given_to_the_loss, keep_for_the_loss, loss_unchanged
from mamlbook.network_calls import buffers_kept, learning, left_alone
from mamlbook.network_checks import (
    call_arguments,
    find_head,
    one_tensor,
    refuse_missing_axis,
    require_adaptable,
    require_loss,
    require_network,
)
from mamlbook.network_errors import (
    FAILURES,
    randomness,
    refuse_other_losses,
    refuse_other_outputs,
    refuse_what_one_task_can,
    refuse_what_tasks_cannot_share,
    saying_what_does_not_fit,
    writes_in_place,
)
from mamlbook.numerics import Params
from mamlbook.target_checks import refusing_broadcasts
from mamlbook.trees import Tree, each_task, first_leaf

Loss = Callable[[Any, Any], Tensor]


class Model(nn.Module):
    """A network f and a loss, both applied to every task with that task's own weights.

    y_hat_b = f(phi_b, x_b) and L_b = loss(y_hat_b, y_b) for b = 1..B. ``loss`` sees one task's examples and
    returns one number, as ``torch.nn.functional.mse_loss`` and ``cross_entropy`` do. x, y_hat and y may be any tree of
    tensors; a tuple x is given to a network of several inputs as net(\\*x).

    The network itself is called, with these weights in the place of its own: another mode or hook is followed. A weight
    with ``requires_grad=False`` is part of neither loop. What a call leaves in attributes is there for its loss alone.
    Norms, attention and recurrent layers are spelled out (``mamlbook.exact``).

    ``head`` is the name of the ``nn.Linear`` whose output is the network's, or that module; by default the one that is
    called ``head``, or the last one of an ``nn.Sequential``. Some algorithms adapt or compute it alone.

    Shapes: ``phi`` is a tuple of (B, \\*shape), ``x`` is (B, K, ...), the result (B, K, ...).

    Raises:
        TypeError: ``net`` is not a module, or one that is compiled or scripted, or ``loss`` cannot be called.
        ValueError: the network has no weights to adapt, or a layer that tasks cannot share; ``head`` is none.

    >>> from mamlbook import mlp
    >>> model = Model(mlp(1, 40, 40, 1), torch.nn.functional.mse_loss)
    >>> phi = tuple(t.expand(3, *t.shape) for t in model.theta)  # three tasks, all at theta
    >>> model(phi, torch.zeros(3, 10, 1)).shape
    torch.Size([3, 10, 1])
    """

    def __init__(self, net: nn.Module, loss: Loss, head: str | nn.Module | None = None):
        super().__init__()
        require_network(net)
        require_loss(loss)
        require_adaptable(net)
        self.net = net
        self.loss = loss
        self.head = find_head(net, head)
        """The name of the head, or None where the network has none that is known."""

    @property
    def theta(self) -> Params:
        """The weights that learn, which are the meta-parameters, in the order of ``net.parameters()``."""
        return tuple(weight for _, weight in learning(self.net))

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each tensor of theta, such as ``head.weight``."""
        return tuple(name for name, _ in learning(self.net))

    def forward(self, phi: Params, x: Tree) -> Tree:
        names = self._require(phi, x)
        return self._for_each_task(lambda phi, x: self._predict(names, phi, x), phi, x)

    def features(self, phi: Params, x: Tree) -> Tensor:
        """What the last layer, the head, gets to see: (B, K, ...) to (B, K, d).

        Raises:
            ValueError: the head is not known, or is not the last thing that the network does.
        """
        names, head = self._require(phi, x), self.net.get_submodule(self.require_head())

        def seen(phi: Params, x: Tree) -> Tensor:
            calls: list[tuple[Tensor, Tensor]] = []
            handle = head.register_forward_hook(lambda module, given, output: calls.append((given[0], output)))
            try:
                y_hat = self._predict(names, phi, x)
            finally:
                handle.remove()
            if len(calls) != 1 or calls[0][1] is not y_hat:
                raise ValueError(
                    f"head: expected the layer whose output is the network's, got {self.head!r}, which is called "
                    f"{len(calls)} times and followed by something else; name the last linear layer in Model(head=...)"
                )
            return calls[0][0]

        return self._for_each_task(seen, phi, x)

    def require_head(self) -> str:
        """The name of the head.

        Raises:
            ValueError: the network has none that is known, or it is frozen.
        """
        if self.head is None:
            raise ValueError(
                f"net: expected a network with a head, an nn.Linear whose output is the prediction, got "
                f"{type(self.net).__name__}, which does not say which layer that is; name it, as in "
                "Model(net, loss, head='classifier')"
            )
        if f"{self.head}.weight" not in self.names:
            raise ValueError(
                f"net: expected a head that learns, got {self.head!r}, whose weight is frozen or is another layer's too"
                "; let it require a gradient and be its own, or choose an algorithm without a head, such as maml"
            )
        return self.head

    def jvp(self, phi: Params, x: Tree, v: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        """The predictions and their derivative along v: f(phi, x) and (d f / d phi) v, both (B, K, ...).

        Where v is None, the tensor stays as it is.
        """
        # Backward twice: what one pass makes of u is linear in u, and its own derivative along v is (d f / d phi) v.
        with torch.enable_grad():
            phi = tuple(p.view_as(p) if p.requires_grad else p.detach().requires_grad_() for p in phi)
            y_hat = one_tensor(self(phi, x))
            u = torch.zeros_like(y_hat, requires_grad=True)
            moved, ways = zip(*((p, way) for p, way in zip(phi, v, strict=True) if way is not None), strict=True)
            back = torch.autograd.grad(y_hat, moved, u, create_graph=True, materialize_grads=True)
            used = [(g, way) for g, way in zip(back, ways, strict=True) if g.requires_grad]
            outputs, ways = zip(*used, strict=True)
            (slope,) = torch.autograd.grad(outputs, u, ways, create_graph=True)
        return y_hat, slope

    def losses(self, y_hat: Tree, y: Tree) -> Tensor:
        """The loss of each task, shape (B,).

        Raises:
            ValueError: predictions and targets do not belong together, or the loss is not one number per task.
        """
        if isinstance(y_hat, Tensor) and isinstance(y, Tensor) and y_hat.shape[:2] != y.shape[:2]:
            raise ValueError(
                f"y: expected targets that match the predictions {tuple(y_hat.shape)}, got {tuple(y.shape)}; "
                "both begin with (tasks, examples)"
            )
        losses = self._loss_of_each_task(y_hat, y)
        count = len(first_leaf(y_hat))
        if not isinstance(losses, Tensor) or losses.shape != (count,):
            got = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise ValueError(
                f"loss: expected one number per task, shape ({count},), got {got}; "
                "let the loss average over a task's examples, as reduction='mean' does"
            )
        return losses

    def _loss_of_each_task(self, y_hat: Tree, y: Tree) -> Tensor:
        def loss(y_hat: Tree, y: Tree) -> Tensor:
            with exact_operations(), refusing_broadcasts(y_hat, y, net=self.net):
                return self.loss(y_hat, y)

        try:
            with given_to_the_loss(self.net), loss_unchanged(self.loss), left_alone("loss", y=y):
                return vmap(loss, randomness=randomness.get())(y_hat, y)
        except torch.OutOfMemoryError:
            raise
        except FAILURES as error:
            refuse_what_tasks_cannot_share("loss", error)
            for one in each_task((y_hat, y)):  # a label may be out of range in any of them
                with saying_what_does_not_fit("loss", getattr(self.loss, "__name__", repr(self.loss)), *one):
                    loss(*one)
            refuse_what_one_task_can("loss", error)
            raise
        except ValueError as error:
            refuse_other_losses(error)
            raise

    def _require(self, phi: Params, x: Tree) -> tuple[str, ...]:
        """The names of the weights, after a look at whether ``phi`` are such weights for each of the tasks in x."""
        weights = learning(self.net)
        if len(phi) != len(weights):
            raise ValueError(
                f"phi: expected {len(weights)} tensors, one per weight of the network that learns, got {len(phi)}"
            )
        refuse_missing_axis(self.net, x)
        count = len(first_leaf(x))
        for (name, start), adapted in zip(weights, phi, strict=True):
            if adapted.shape != (count, *start.shape):
                raise ValueError(
                    f"phi: expected {name} of shape {(count, *start.shape)}, the task axis first, "
                    f"got {tuple(adapted.shape)}"
                )
        return tuple(name for name, _ in weights)

    def _for_each_task(self, function: Callable, phi: Params, x: Tree) -> Any:
        try:
            with left_alone("net", weights=phi, x=x):
                return vmap(function, randomness=randomness.get())(tuple(phi), x)
        except torch.OutOfMemoryError:
            raise
        except FAILURES as error:
            # A task by itself shows which buffer it is, or what does not fit, in torch's own words.
            tasks = each_task((tuple(phi), x))
            if writes_in_place(error):
                function(*tasks[0])
            refuse_what_tasks_cannot_share("net", error)
            for one in tasks:
                with saying_what_does_not_fit("net", type(self.net).__name__, *one):
                    function(*one)
            refuse_what_one_task_can("net", error)
            raise
        except ValueError as error:
            refuse_other_outputs(error)
            raise

    def _predict(self, names: Sequence[str], phi: Params, x: Tree) -> Tree:
        # Copies, so that a network that writes into its buffers is found out before it has changed anything.
        buffers = {name: buffer.clone() for name, buffer in self.net.named_buffers()}
        # A weight stands wherever a layer holds it, and each layer once: torch restores no layer that it meets twice.
        own = dict(self.net.named_parameters())
        given = {id(own[name]): weight for name, weight in zip(names, phi, strict=True)}
        weights = {
            f"{layer}.{name}" if layer else name: given[id(weight)]
            for layer, module in self.net.named_modules()
            for name, weight in module.named_parameters(recurse=False, remove_duplicate=False)
            if id(weight) in given
        }
        with buffers_kept(self.net, buffers) as left, exact_operations(given):
            y_hat = functional_call(self.net, weights | buffers, call_arguments(self.net, x), tie_weights=False)
        keep_for_the_loss(self.net, left)
        return y_hat

    def extra_repr(self) -> str:
        return f"loss={getattr(self.loss, '__name__', repr(self.loss))}"
