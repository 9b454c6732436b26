"""Did adaptation change what a layer represents? Two similarities of activations, and their common trap."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mamlbook.checks import kind_of
from mamlbook.exact import exact_operations
from mamlbook.learner import MetaLearner
from mamlbook.model import Model
from mamlbook.numerics import Params, expand_over_tasks
from mamlbook.tasks.base import Tasks
from mamlbook.tasks.examples import Tree
from mamlbook.tasks.preparation import prepared


def activations(model: Model, phi: Params, x: Tree) -> dict[str, Tensor]:
    """What every layer of a sequential network puts out, by the layer's name: (B, K, ...) each.

    The last of them is the prediction. To compare a layer before and after adaptation, call this with theta and with
    phi on the same x: many points, and not the few of the support set.

    Raises:
        ValueError: the network is no ``nn.Sequential``, or ``phi`` is not one tensor for each weight that learns.
    """
    net = model.net
    if not isinstance(net, nn.Sequential):
        raise ValueError(f"net: expected an nn.Sequential, whose layers follow one another, got {type(net).__name__}")
    if len(phi) != len(model.names):
        raise ValueError(f"phi: expected {len(model.names)} tensors, one per weight that learns, got {len(phi)}")

    def layer_by_layer(phi: Params, x: Tree) -> dict[str, Tensor]:
        waiting, put_out = _layers(net), {}

        def keep(module: nn.Module, given: tuple, output: Tensor) -> None:
            # A copy, which a layer that works in place leaves alone.
            put_out[waiting[module].popleft()] = output.clone() if isinstance(output, Tensor) else output

        named = dict(zip(model.names, phi, strict=True))
        with ExitStack() as hooks, exact_operations(dict(zip(map(id, model.theta), phi, strict=True))):
            for module in waiting:
                hooks.callback(module.register_forward_hook(keep).remove)
            # The whole network and not its layers one by one, as they may share weights.
            functional_call(net, named, (x,))
        return put_out

    return vmap(layer_by_layer, randomness="different")(tuple(phi), x)


def _layers(net: nn.Sequential) -> dict[nn.Module, deque[str]]:
    """The names of each layer, several where one module stands in several places."""
    names: dict[nn.Module, deque[str]] = {}
    for name, module in net.named_modules(remove_duplicate=False):
        if name and "." not in name:
            names.setdefault(module, deque()).append(name)
    return names


def change(
    learner: MetaLearner, tasks: Tasks, measure: Callable[[Tensor, Tensor], Tensor], steps: int | None = None
) -> dict[str, Tensor]:
    """How alike each layer's activations are before and after adaptation, on the query points: (B,) for each layer.

    measure(h_l(theta, x), h_l(phi_b, x)) for each layer l, with ``linear_cka`` or ``mean_cca``. In a layer with pixels
    each pixel of each image is a point. ``steps`` overrides the learner's own. What is random in training is off.

    Raises:
        TypeError: a layer puts out something else than one tensor.
        ValueError: the network is no ``nn.Sequential``.
    """
    tasks = prepared(tasks, learner.model.theta[0])
    theta = expand_over_tasks(learner.model.theta, tasks.size)
    phi = learner.adapt(tasks.support, steps).phi
    with learner.testing(), torch.no_grad():
        before, after = (activations(learner.model, params, tasks.query.x) for params in (theta, phi))
    return {layer: measure(_points(before[layer], layer), _points(after[layer], layer)) for layer in before}


def linear_cka(one: Tensor, other: Tensor) -> Tensor:
    """Linear centred kernel alignment: 1 where two sets of features agree up to rotation and scale.

    ||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F),  with the mean over examples taken out of X and Y.

    Trap: with few examples, unrelated features look alike. Independent Gaussians give 0.87 for 12 examples of 64
    features. Take many more examples than features, and print what noise of the same shape gives. It is nan where
    features do not vary.

    Shapes: (..., n, d) and (..., n, d') to (...).

    Raises:
        ValueError: the two do not have the same examples.

    References: [Kornblith et al., 2019](https://arxiv.org/abs/1905.00414).

    >>> x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    >>> turned = x[:, [2, 0, 1]] * torch.tensor([1, -1, 1])
    >>> round(linear_cka(x, 5 * turned).item(), 6), round(linear_cka(x, x[:, :1]).item(), 1)
    (1.0, 0.5)
    """
    _require_same_examples(one, other)
    x, y = _centred(one), _centred(other)
    across, within = (x.mT @ y).square().sum((-2, -1)), (x.mT @ x).square().sum((-2, -1))
    return across / (within * (y.mT @ y).square().sum((-2, -1))).sqrt()


def mean_cca(one: Tensor, other: Tensor, tolerance: float = 1e-6) -> Tensor:
    """The mean canonical correlation: 1 where each set of features is a linear map of the other.

    (1/r) sum_j sigma_j(U^T V),  with U, V orthonormal bases of the centred features and r the smaller of their ranks.

    A direction whose singular value is below ``tolerance`` times the largest is none; dead units are left out that way.

    Trap: the same, and worse. Independent Gaussians give 0.94 for 70 examples of 64 features, and 1 as soon as
    there are no more examples than features, for then one spans everything.

    Shapes: (..., n, d) and (..., n, d') to (...).

    Raises:
        ValueError: the two do not have the same examples.

    References: [Raghu et al., 2020](https://arxiv.org/abs/1909.09157) use it to compare a network before and after
    adaptation.
    """
    _require_same_examples(one, other)
    (u, rank_u), (v, rank_v) = (_basis(_centred(features), tolerance) for features in (one, other))
    return torch.linalg.svdvals(u.mT @ v).sum(-1) / torch.minimum(rank_u, rank_v)


def _points(features: Tensor, layer: str) -> Tensor:
    """Points before features: (B, K, d) as it is, (B, K, channels, height, width) to (B, K height width, channels)."""
    if not isinstance(features, Tensor) or features.ndim < 3:
        got = tuple(features.shape[1:]) if isinstance(features, Tensor) else kind_of(features)
        raise TypeError(f"net: expected layers that put out one tensor (examples, ...), got {got} of layer {layer!r}")
    return features.movedim(2, -1).flatten(1, -2)


def _centred(features: Tensor) -> Tensor:
    # Correlations of nearly parallel features need the digits.
    return features.double() - features.double().mean(-2, keepdim=True)


def _basis(features: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    u, sizes, _ = torch.linalg.svd(features, full_matrices=False)
    counts = sizes > tolerance * sizes.amax(-1, keepdim=True)
    # Columns that do not count become zero, which adds nothing to the sum of singular values.
    return u * counts[..., None, :], counts.sum(-1)


def _require_same_examples(one: Tensor, other: Tensor) -> None:
    if min(one.ndim, other.ndim) < 2 or one.shape[:-1] != other.shape[:-1]:
        raise ValueError(
            f"one, other: expected features (..., n, d) of the same n examples, got {tuple(one.shape)} and "
            f"{tuple(other.shape)}; put the pixels of an image with the examples or with the features"
        )
