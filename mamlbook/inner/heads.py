"""Heads that are computed from the support set: where the inner steps may begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mamlbook.inner.head_weights import has_bias, head_features, head_of, with_head
from mamlbook.model import Model
from mamlbook.numerics import Params
from mamlbook.parts import Part
from mamlbook.tasks.base import Data

if TYPE_CHECKING:
    from mamlbook.inner.base import Solver


class PrototypeHead(Part):
    """The head that compares with the mean of each class: w_c = 2 m_c and bias -||m_c||^2.

    Its scores are -||z - m_c||^2, but for ||z||^2, which all classes share. The means m_c of the support features are
    functions of theta and are differentiated.

    Shapes: theta is a tuple of (B, \\*shape), the result too.

    Raises:
        ValueError: when a learner is made, a head that is not known or has no bias; when called, targets that are no
            classes.

    References: ProtoMAML of [Triantafillou et al., 2020](https://arxiv.org/abs/1903.03096).
    """

    def require(self, model: Model, solver: Solver | None = None) -> None:
        if not has_bias(model):
            raise ValueError(
                f"net: expected a head with a bias that learns, which holds the length of the prototype, got "
                f"{model.head!r} without"
            )

    def __call__(self, model: Model, support: Data, theta: Params) -> Params:
        self.require(model)
        means, _ = _class_means(model, support, theta)
        means = means[..., :-1]
        return with_head(model, theta, torch.cat([2 * means, -means.square().sum(-1, keepdim=True)], -1))

    def __repr__(self) -> str:
        return "PrototypeHead()"


class MinimumNormHead(nn.Module, Part):
    """The shortest head that gives each class's mean f the score t_plus and the mean b of all others t_minus.

    w = ((t_plus <b, b> - t_minus <f, b>) f - (t_plus <f, b> - t_minus <f, f>) b) / (<f, f> <b, b> - <f, b>^2).

    Both scores are learned by the outer loop. The features carry a 1 for the bias. If the targets are no classes, the
    head is that of theta.

    References: the initialiser in the code of [Tripathi et al., 2021](https://arxiv.org/abs/2010.00511).
    """

    def __init__(self, high: float = 1.0, low: float = -1.0):
        super().__init__()
        self.scores = nn.Parameter(torch.tensor([float(high), float(low)]))

    def require(self, model: Model, solver: Solver) -> None:
        model.require_head()

    def forward(self, model: Model, support: Data, theta: Params) -> Params:
        if support.y.is_floating_point():
            return theta
        f, b = _class_means(model, support, theta)
        ff, fb, bb = ((u * v).sum(-1, keepdim=True) for u, v in ((f, f), (f, b), (b, b)))
        high, low = self.scores
        # Two means that point the same way cannot be told apart, nor a class that is not there: the floor keeps the
        # head finite.
        floor = (1e-6 * ff * bb).detach().clamp(min=torch.finfo(ff.dtype).tiny ** 0.5)
        area = torch.maximum(ff * bb - fb.square(), floor)
        return with_head(model, theta, ((high * bb - low * fb) * f - (high * fb - low * ff) * b) / area)


def _class_means(model: Model, support: Data, theta: Params) -> tuple[Tensor, Tensor]:
    """The mean features of each class and of all others, with the 1 for the bias: (B, C, d + 1) each."""
    if support.y.is_floating_point():
        raise ValueError(
            f"y: expected classes, whole numbers of shape (tasks, examples), got {support.y.dtype}; a head that is "
            "computed from the means of classes has no other targets: for numbers choose maml or anil"
        )
    h = head_features(model, theta, support.x)
    classes = torch.arange(head_of(model, theta).shape[1], device=support.y.device)
    member = (support.y[:, None] == classes[:, None]).to(h.dtype)  # (B, C, K)
    others = 1 - member
    return tuple((m @ h) / m.sum(-1, keepdim=True).clamp(min=1) for m in (member, others))
