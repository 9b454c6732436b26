"""Weights that look at how well each task is solved: the worst ones count more, or the noisy ones less."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mamlbook.checks import positive, whole_number
from mamlbook.meta_batch import JudgedTasks
from mamlbook.numerics import gradient_of
from mamlbook.tasks.base import known_index
from mamlbook.weighting.base import Weighting


class SoftmaxWeights(Weighting):
    """The smoothed worst case: a task counts more the worse it is solved.

    w_b = exp(L_b / T) / sum_c exp(L_c / T), held constant. The step follows the gradient of T log mean_b exp(L_b / T),
    which is the mean loss for T to infinity and the largest one for T to 0.

    Shapes: (B,) to (B,).

    Raises:
        ValueError: a temperature that is not above 0.
    """

    def __init__(self, temperature: float):
        super().__init__()
        self.temperature = positive("temperature", "temperature of the softmax", temperature)

    def forward(self, surrogates: Tensor, batch: JudgedTasks) -> Tensor:
        return torch.softmax(surrogates.detach() / self.temperature, 0)

    def extra_repr(self) -> str:
        return f"temperature={self.temperature:g}"


class RobustWeights(Weighting):
    """The worst case over a finite collection, as in TR-MAML: a second player raises the weights of bad tasks.

    min_theta max_p sum_i p_i L_i(theta), p in the simplex of the T tasks of the collection. After each outer step
    p_i <- p_i exp(rate T / B L_i) for the B tasks that were drawn, then p is scaled to sum 1; w_b = T / B p_{i_b},
    which makes the step that of sum_i p_i L_i on average over draws.

    Shapes: (B,) to (B,); ``logits`` are log p up to a constant, (T,).

    Raises:
        ValueError: fewer than 1 task, or a rate that is not above 0.
        RuntimeError: tasks without a number in the collection.

    References: [Collins et al., 2020](https://arxiv.org/abs/2002.04766) for the min-max problem; the multiplicative
    update is that of [Sagawa et al., 2020](https://arxiv.org/abs/1911.08731).
    """

    remembers = True
    logits: Tensor

    def __init__(self, tasks: int, rate: float):
        super().__init__()
        self.rate = positive("rate", "rate of the weights", rate)
        self.register_buffer("logits", torch.zeros(_count(tasks)))

    @property
    def p(self) -> Tensor:
        """The weights of all tasks of the collection, (T,), of sum 1."""
        return torch.softmax(self.logits, 0)

    def forward(self, surrogates: Tensor, batch: JudgedTasks) -> Tensor:
        index = known_index(batch.index, len(self.logits))
        share = len(self.logits) / len(index)
        gain = torch.zeros_like(self.logits).index_add(0, index, surrogates.detach().to(self.logits))
        self.staged = self.logits + self.rate * share * gain
        return share * self.p[index].to(surrogates)

    def advance(self) -> None:
        """The other player's step."""
        if self.staged is not None:
            self.logits.copy_(self.staged - self.staged.max())
            self.staged = None

    def extra_repr(self) -> str:
        return f"tasks={len(self.logits)}, rate={self.rate:g}"


class LearnedWeights(Weighting):
    """A noise level for each task of a finite collection, learned with theta: what cannot be fitted counts less.

    mean_b exp(-s_b) L_b + s_b, so w_b = exp(-s_b) / B, and s_i settles at log L_i, where w_i is as 1 / L_i.

    The term s_b enters through the gradient of the weight alone, which is -exp(-s_b) + 1 / sg(L_b) and turns into
    1 - exp(-s_b) L_b once the learner has multiplied it by the loss.

    Shapes: (B,) to (B,); ``s`` is (T,), a parameter.

    Raises:
        ValueError: fewer than 1 task.
        RuntimeError: tasks without a number in the collection.

    References: [Kendall et al., 2018](https://arxiv.org/abs/1705.07115), who derive it from a likelihood, with
    s = log sigma^2 and both terms halved.
    """

    def __init__(self, tasks: int):
        super().__init__()
        self.s = nn.Parameter(torch.zeros(_count(tasks)))

    def forward(self, surrogates: Tensor, batch: JudgedTasks) -> Tensor:
        s = self.s[known_index(batch.index, len(self.s))]
        losses = surrogates.detach().clamp(min=torch.finfo(surrogates.dtype).tiny)
        weights = torch.exp(-s)
        return gradient_of(weights, weights + s / losses) / len(s)

    def extra_repr(self) -> str:
        return f"tasks={len(self.s)}"


def _count(tasks: int) -> int:
    return whole_number("tasks", tasks, 1, "the number of tasks of the collection,")
