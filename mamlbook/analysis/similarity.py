"""Did adaptation change what a layer represents? Two similarities of activations, and their common trap."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from mamlbook.learner import MetaLearner
from mamlbook.model import Model
from mamlbook.numerics import Params, expand_over_tasks
from mamlbook.tasks.base import Tasks


def activations(model: Model, phi: Params, x: Tensor) -> dict[str, Tensor]:
    """What every layer of a sequential network puts out, by the layer's name: (B, K, ...) each.

    The last of them is the prediction. To compare a layer before and after adaptation, call this with theta and with
    phi on the same x: many points, and not the few of the support set.

    Raises:
        ValueError: the network is no ``nn.Sequential``.
    """
    if not isinstance(model.net, nn.Sequential):
        raise ValueError(
            f"net: expected an nn.Sequential, whose layers follow one another, got {type(model.net).__name__}"
        )

    def layer_by_layer(phi: Params, x: Tensor) -> dict[str, Tensor]:
        put_out = {}
        for layer, module in model.net.named_children():
            own = {
                name.removeprefix(f"{layer}."): weight
                for name, weight in zip(model.names, phi, strict=True)
                if name.startswith(f"{layer}.")
            }
            x = put_out[layer] = functional_call(module, own, (x,))
        return put_out

    return vmap(layer_by_layer, randomness="different")(phi, x)


def change(
    learner: MetaLearner, tasks: Tasks, measure: Callable[[Tensor, Tensor], Tensor], steps: int | None = None
) -> dict[str, Tensor]:
    """How alike each layer's activations are before and after adaptation, on the query points: (B,) for each layer.

    measure(h_l(theta, x), h_l(phi_b, x)) for each layer l, with ``linear_cka`` or ``mean_cca``. In a layer with pixels
    each pixel of each image is a point. ``steps`` overrides the learner's own.

    Raises:
        ValueError: the network is no ``nn.Sequential``.
    """
    theta = expand_over_tasks(learner.model.theta, len(tasks.index))
    phi = learner.adapt(tasks.support, steps).phi
    with torch.no_grad():
        before, after = (activations(learner.model, params, tasks.query.x) for params in (theta, phi))
    return {layer: measure(_points(before[layer]), _points(after[layer])) for layer in before}


def linear_cka(one: Tensor, other: Tensor) -> Tensor:
    """Linear centred kernel alignment: 1 where two sets of features agree up to rotation and scale.

    ||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F),  with the mean over examples taken out of X and Y.

    **Trap**: with few examples, unrelated features look alike. Independent Gaussians give 0.87 for 12 examples of 64
    features. Take many more examples than features, and print what noise of the same shape gives.

    Shapes: (..., n, d) and (..., n, d') to (...).

    Raises:
        ValueError: the two do not have the same examples.

    References: [Kornblith et al., 2019](https://arxiv.org/abs/1905.00414).
    """
    _require(one, other)
    x, y = _centred(one), _centred(other)
    across, within = (x.mT @ y).square().sum((-2, -1)), (x.mT @ x).square().sum((-2, -1))
    return across / (within * (y.mT @ y).square().sum((-2, -1))).sqrt()


def mean_cca(one: Tensor, other: Tensor, tolerance: float = 1e-6) -> Tensor:
    """The mean canonical correlation: 1 where each set of features is a linear map of the other.

    (1/r) sum_j sigma_j(U^T V),  with U, V orthonormal bases of the centred features and r the smaller of their ranks.

    A direction whose singular value is below ``tolerance`` times the largest is none; dead units are left out that way.

    **Trap**: the same, and worse. Independent Gaussians give 0.94 for 70 examples of 64 features, and 1 as soon as
    there are no more examples than features, for then one spans everything.

    Shapes: (..., n, d) and (..., n, d') to (...).

    Raises:
        ValueError: the two do not have the same examples.

    References: [Raghu et al., 2020](https://arxiv.org/abs/1909.09157) use it to compare a network before and after
    adaptation.
    """
    _require(one, other)
    (u, rank_u), (v, rank_v) = (_basis(_centred(features), tolerance) for features in (one, other))
    return torch.linalg.svdvals(u.mT @ v).sum(-1) / torch.minimum(rank_u, rank_v)


def _points(features: Tensor) -> Tensor:
    """Points before features: (B, K, d) as it is, (B, K, channels, height, width) to (B, K height width, channels)."""
    return features.movedim(2, -1).flatten(1, -2)


def _centred(features: Tensor) -> Tensor:
    # Correlations of nearly parallel features need the digits.
    return features.double() - features.double().mean(-2, keepdim=True)


def _basis(features: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    u, sizes, _ = torch.linalg.svd(features, full_matrices=False)
    counts = sizes > tolerance * sizes.amax(-1, keepdim=True)
    # Columns that do not count become zero, which adds nothing to the sum of singular values.
    return u * counts[..., None, :], counts.sum(-1)


def _require(one: Tensor, other: Tensor) -> None:
    if min(one.ndim, other.ndim) < 2 or one.shape[:-1] != other.shape[:-1]:
        raise ValueError(
            f"one, other: expected features (..., n, d) of the same n examples, got {tuple(one.shape)} and "
            f"{tuple(other.shape)}; put the pixels of an image with the examples or with the features"
        )
