"""A network as a pure function of its weights, evaluated for all tasks at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import higher
import torch
from torch import Tensor, nn
from torch.func import vmap
from torch.nn.modules.batchnorm import _NormBase

from mamlbook.numerics import Params

Loss = Callable[[Tensor, Tensor], Tensor]


class Model(nn.Module):
    """A network f and a loss, both applied to every task with that task's own weights.

    y_hat_b = f(phi_b, x_b) and L_b = loss(y_hat_b, y_b) for b = 1..B. ``loss`` sees one task's examples and
    returns one number, as ``torch.nn.functional.mse_loss`` and ``cross_entropy`` do.

    Shapes: ``phi`` is a tuple of (B, \\*shape), ``x`` is (B, K, ...), the result (B, K, ...).

    Raises:
        TypeError: ``net`` is not a module or ``loss`` cannot be called.
        ValueError: the network has no weights, or keeps running statistics of its batches.
    """

    def __init__(self, net: nn.Module, loss: Loss):
        super().__init__()
        if not isinstance(net, nn.Module) or not callable(loss):
            raise TypeError(f"Model expects (nn.Module, callable), got ({type(net).__name__}, {type(loss).__name__})")
        if not any(True for _ in net.parameters()):
            raise ValueError("net: expected a network with weights to adapt, got one without parameters")
        for name, module in net.named_modules():
            if isinstance(module, _NormBase) and module.track_running_stats:
                raise ValueError(
                    f"net: layer {name!r} keeps running statistics, which adapting tasks would overwrite for one "
                    "another; use mamlbook.BatchNorm or track_running_stats=False"
                )
        self.net = net
        self.loss = loss
        self._patch()

    def _patch(self) -> None:
        # With track_higher_grads=True higher would keep every phi it is ever called with. The attributes are set
        # past nn.Module so that the stateless twins are not registered as a second set of weights.
        for name, net in (("_stateless", self.net), ("_body", self._without_head())):
            twin = net and higher.monkeypatch(net, copy_initial_weights=False, track_higher_grads=False)
            object.__setattr__(self, name, twin)

    def _without_head(self) -> nn.Sequential | None:
        layers = list(self.net.named_children()) if isinstance(self.net, nn.Sequential) else []
        last = layers[-1] if len(layers) > 1 else ("", None)
        return self.net[:-1] if last[0] == "head" and isinstance(last[1], nn.Linear) else None

    @property
    def theta(self) -> Params:
        """The network's own weights, which are the meta-parameters, in the order of ``net.parameters()``."""
        return tuple(self.net.parameters())

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each tensor of theta, such as ``head.weight``."""
        return tuple(name for name, _ in self.net.named_parameters())

    def forward(self, phi: Params, x: Tensor) -> Tensor:
        self._require(phi, x)
        return _call(self._stateless, self.theta, phi, x)

    def features(self, phi: Params, x: Tensor) -> Tensor:
        """What the last layer, the head, gets to see: (B, K, ...) to (B, K, d). ``phi`` is whole; its head is ignored.

        Raises:
            ValueError: the network is no ``nn.Sequential`` that ends with an ``nn.Linear`` called ``head``.
        """
        self._require(phi, x)
        if self._body is None:
            raise ValueError(
                "net: expected an nn.Sequential whose last layer is an nn.Linear called 'head', as mlp and conv4 "
                f"build it, got {type(self.net).__name__}; without one there are no features to speak of"
            )
        theta = tuple(self.net[:-1].parameters())
        return _call(self._body, theta, phi[: len(theta)], x)

    def jvp(self, phi: Params, x: Tensor, v: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        """The predictions and how fast they change along v: f(phi, x) and (d f / d phi) v, both (B, K, ...).

        Where v is None, the tensor stays as it is.
        """
        # Backward twice: what one pass makes of u is linear in u, and its own derivative along v is (d f / d phi) v.
        with torch.enable_grad():
            phi = tuple(p.view_as(p) if p.requires_grad else p.detach().requires_grad_() for p in phi)
            y_hat = self(phi, x)
            u = torch.zeros_like(y_hat, requires_grad=True)
            moved, ways = zip(*((p, way) for p, way in zip(phi, v, strict=True) if way is not None), strict=True)
            back = torch.autograd.grad(y_hat, moved, u, create_graph=True)
            (slope,) = torch.autograd.grad(back, u, ways, create_graph=True)
        return y_hat, slope

    def losses(self, y_hat: Tensor, y: Tensor) -> Tensor:
        """The loss of each task, shape (B,).

        Raises:
            ValueError: predictions and targets do not belong together, or the loss is not one number per task.
        """
        if y_hat.shape[:2] != y.shape[:2] or (y.is_floating_point() and y_hat.shape != y.shape):
            raise ValueError(
                f"y: expected targets that match the predictions {tuple(y_hat.shape)}, got {tuple(y.shape)}; "
                "for a regression both need the same shape, as (tasks, examples, 1)"
            )
        losses = vmap(self.loss)(y_hat, y)
        if losses.shape != y.shape[:1]:
            raise ValueError(
                f"loss: expected one number per task, shape ({len(y)},), got {tuple(losses.shape)}; "
                "let the loss average over a task's examples, as reduction='mean' does"
            )
        return losses

    def _require(self, phi: Params, x: Tensor) -> None:
        if len(phi) != len(self.theta):
            raise ValueError(f"phi: expected {len(self.theta)} tensors, one per weight of the network, got {len(phi)}")
        for name, adapted, start in zip(self.names, phi, self.theta, strict=True):
            if adapted.shape != (len(x), *start.shape):
                raise ValueError(
                    f"phi: expected {name} of shape {(len(x), *start.shape)}, the task axis first, "
                    f"got {tuple(adapted.shape)}"
                )

    def extra_repr(self) -> str:
        return f"loss={getattr(self.loss, '__name__', repr(self.loss))}"

    # The stateless twins follow the network: to another device, into evaluation, through a copy.

    def _apply(self, fn, recurse=True):
        super()._apply(fn, recurse)
        self._patch()
        return self

    def train(self, mode: bool = True) -> Model:
        for twin in (self._stateless, self._body):
            if twin is not None:
                twin.train(mode)
        return super().train(mode)

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name not in ("_stateless", "_body")}

    def __setstate__(self, state):
        super().__setstate__(state)
        self._patch()


def _call(twin: nn.Module, theta: Params, phi: Params, x: Tensor) -> Tensor:
    """Each task's examples through a stateless twin with that task's weights."""
    try:
        return vmap(lambda phi, x: twin(x, params=phi), randomness="different")(tuple(phi), x)
    finally:
        # The twin keeps what it was last called with: give it theta back, so that no graph stays alive.
        twin.update_params(list(theta))
