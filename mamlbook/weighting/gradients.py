"""Weights that look at where each task wants to go: agreement counts, or conflict is settled."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mamlbook.checks import non_negative, positive, whole_number
from mamlbook.meta_batch import JudgedTasks
from mamlbook.numerics import Params
from mamlbook.weighting.base import Weighting


class AgreementWeights(Weighting):
    """A task counts more the better its meta-gradient agrees with the mean of all.

    w_b = softmax_b(cos(g_b, mean_c g_c) / T), held constant, where g_b is task b's own meta-gradient.

    A reconstruction: the abstract of "Fast Adaptation with Kernel and Gradient based Meta Leaning" says that the tasks'
    losses get weights in the outer loop, and not which; the paper's own formula was not available. That agreement
    decides is taken from gradient agreement, whose weights are inner products and may be negative.

    Shapes: (B,) to (B,).

    Raises:
        ValueError: a temperature that is not above 0.

    References: [Park and Kang, 2024](https://arxiv.org/abs/2411.00404), [Eshratifar et al.,
    2018](https://arxiv.org/abs/1810.08178) for gradient agreement.
    """

    def __init__(self, temperature: float):
        super().__init__()
        self.temperature = positive("temperature", "temperature of the softmax", temperature)

    def forward(self, surrogates: Tensor, batch: JudgedTasks) -> Tensor:
        gradients = _rows(batch.gradients(surrogates))
        cosines = torch.cosine_similarity(gradients, gradients.mean(0, keepdim=True), dim=1)
        return torch.softmax(cosines / self.temperature, 0)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature:g}"


class ConflictAverseWeights(Weighting):
    """CAGrad, conflict-averse gradient descent: the step near the mean that helps the task which it helps least.

    d = argmax_d min_b <g_b, d>  subject to  ||d - g_0|| <= c ||g_0||,  g_0 = mean_b g_b.

    By duality d = g_0 + c ||g_0|| / ||g_w|| g_w, where g_w = sum_b v_b g_b and v in the simplex makes
    <g_w, g_0> + c ||g_0|| ||g_w|| smallest. So w_b = 1/B + c ||g_0|| / ||g_w|| v_b. The problem is convex and needs the
    inner products <g_b, g_c> only; ``steps`` steps of accelerated projected gradient descent solve it. c = 0 is the
    mean.

    Shapes: (B,) to (B,).

    Raises:
        ValueError: ``c`` negative or not finite, or ``steps`` below 1.

    References: [Liu et al., 2021](https://arxiv.org/abs/2110.14048), algorithm 1.
    """

    def __init__(self, c: float, steps: int = 100):
        super().__init__()
        self.c = non_negative("c", "radius", c)
        self.steps = whole_number("steps", steps, 1, "a whole number of steps of the small problem")

    def forward(self, surrogates: Tensor, batch: JudgedTasks) -> Tensor:
        gradients = _rows(batch.gradients(surrogates))
        weights = conflict_averse(gradients @ gradients.T, self.c, self.steps)
        return weights.to(surrogates)

    def extra_repr(self) -> str:
        return f"c={self.c:g}, steps={self.steps}"


def conflict_averse(gram: Tensor, c: float, steps: int = 100) -> Tensor:
    """The weights of ``ConflictAverseWeights`` from the inner products <g_b, g_c>, (B, B) to (B,)."""
    size = len(gram)
    gram = gram / gram.diagonal().mean().clamp(min=torch.finfo(gram.dtype).tiny)  # the weights are free of the scale
    with_mean = gram.mean(1)
    radius = c * with_mean.mean().clamp(min=0).sqrt()
    stiffness = (radius * torch.linalg.matrix_norm(gram, 2)).clamp(min=1e-6)
    v = ahead = torch.full_like(with_mean, 1 / size)
    momentum = 1.0
    for _ in range(steps):
        length = _length(gram, ahead)
        slope = with_mean + radius * (gram @ ahead) / length
        new = _on_simplex(ahead - length / stiffness * slope)
        before, momentum = momentum, (1 + math.sqrt(1 + 4 * momentum**2)) / 2
        v, ahead = new, new + (before - 1) / momentum * (new - v)
    return 1 / size + radius / _length(gram, v) * v


def _length(gram: Tensor, v: Tensor) -> Tensor:
    """||g_v||, kept away from 0, where its slope has no limit."""
    return (v @ gram @ v).clamp(min=1e-12).sqrt()


def _on_simplex(u: Tensor) -> Tensor:
    """The nearest point with v >= 0 and sum 1: v = max(u - t, 0), with t from the largest entries."""
    largest = u.sort(descending=True).values
    thresholds = (largest.cumsum(0) - 1) / torch.arange(1, len(u) + 1, dtype=u.dtype, device=u.device)
    last = (largest > thresholds).sum() - 1
    return (u - thresholds.gather(0, last[None])).clamp(min=0)


def _rows(gradients: Params) -> Tensor:
    """Each task's gradient as one row: (B, P)."""
    return torch.cat([g.reshape(len(g), -1) for g in gradients], 1)
