"""Several meta-trainings at once, from other seeds or at other rates: small networks cost little more than one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mamlbook import Data, Model, Params, Tasks
from mamlbook.inner.base import Solver
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient import MetaGradient
from mamlbook.tasks.distribution import TaskDistribution


def draw(distribution: TaskDistribution, tasks: int, generators: Sequence[torch.Generator]) -> Tasks:
    """``tasks`` fresh tasks for each generator, those of the first one first."""
    drawn = [distribution.draw(tasks, generator) for generator in generators]
    support, query = (Data(*map(torch.cat, zip(*(one[part] for one in drawn), strict=True))) for part in (0, 1))
    return Tasks(support, query, torch.cat([one.index for one in drawn]))


def meta_train(
    models: Sequence[Model],
    solver: Solver,
    metagradient: MetaGradient,
    distribution: TaskDistribution,
    *,
    iterations: int,
    tasks: int,
    beta: Callable[[int], float] | Sequence[Callable[[int], float]],
    seeds: Sequence[int] | None = None,
) -> Tensor:
    """theta_i <- theta_i - beta_i (Adam) mean over its own tasks: query losses, (models, n).

    The tasks are those of seed i = 0, 1, ..., or of ``seeds[i]``. Adam works entry by entry, so that no model feels
    another.
    """
    generators = [torch.Generator().manual_seed(seed) for seed in seeds or range(len(models))]
    betas = [beta] * len(models) if callable(beta) else beta
    optimizer = torch.optim.Adam([{"params": list(model.parameters())} for model in models])
    losses = []
    for step in range(iterations):
        weights = zip(*(model.theta for model in models), strict=True)
        theta = tuple(torch.cat([t.expand(tasks, *t.shape) for t in of_seeds]) for of_seeds in weights)
        batch = draw(distribution, tasks, generators).like(theta[0])
        surrogates = metagradient(MetaBatch(models[0], solver, batch, theta))
        for group, of_model in zip(optimizer.param_groups, betas, strict=True):
            group["lr"] = of_model(step)
        optimizer.zero_grad()
        (surrogates.sum() / tasks).backward()
        optimizer.step()
        losses.append(surrogates.detach().view(len(models), tasks).mean(1))
    return torch.stack(losses, 1)


class OwnRates:
    """Meta-trainings with Adam, each of a network of its own at an outer rate of its own, whose tasks adapt together.

    theta_r <- theta_r - beta_r Adam(mean over its tasks of their gradients).
    """

    def __init__(self, models: Sequence[Model], betas: Sequence[float], tasks: int):
        self.weights, self.tasks = [list(model.parameters()) for model in models], tasks
        groups = [{"params": weights, "lr": beta} for weights, beta in zip(self.weights, betas, strict=True)]
        self.optimizer = torch.optim.Adam(groups)

    def start(self) -> Params:
        """The weights of each training, once for each of its tasks: a tuple of (trainings * tasks, \\*shape)."""
        of_all = zip(*self.weights, strict=True)
        return tuple(torch.stack(same).detach().repeat_interleave(self.tasks, 0) for same in of_all)

    def step(self, gradients: Params) -> None:
        """Take the outer step of every training; ``gradients`` are shaped as the start is."""
        means = [gradient.unflatten(0, (-1, self.tasks)).mean(1) for gradient in gradients]
        for place, weights in enumerate(self.weights):
            for weight, mean in zip(weights, means, strict=True):
                weight.grad = mean[place]
        self.optimizer.step()
