"""MOML and LocalMOML: the query gradient is taken at a remembered solution, which averages over many support sets."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mamlbook.checks import number_where, positive, whole_number
from mamlbook.inner.base import ALL, Solver
from mamlbook.meta_batch import MetaBatch
from mamlbook.metagradient.base import MetaGradient
from mamlbook.model import Model
from mamlbook.numerics import Params, add_scaled, as_leaves, detached, gradient_of, per_task, with_gradient
from mamlbook.tasks.base import known_index, split_examples


class Staged(NamedTuple):
    """What the next ``advance()`` writes: the drawn tasks' solutions, and the theta that they were found from."""

    numbers: Tensor
    solutions: Params
    theta: Params


class MOML(MetaGradient):
    """MAML with a memory u_i of every task's solution, so that a small support set misleads less.

    u_i <- (1 - r) u_i + r phi_i,  grad s_i = (d phi_i / d theta)^T grad L_i(u_i),  r the rate of the memory.

    The first time that a task is met u_i = phi_i, and r = 1 is MAML. With ``everyone`` (the second version) tasks that
    were not drawn follow theta, u_i <- (1 - r) u_i + r theta, and those that were drawn make up for it,
    u_i <- (1 - r) u_i + r (theta + T / B (phi_i - theta)), for B tasks drawn out of T.

    A task must not be drawn twice in a meta-batch: the second solution would overwrite the first.

    Shapes: the result is (B,); the memory holds (T, \\*shape) for every weight of ``model``.

    Raises:
        ValueError: fewer than 1 task, or a rate outside (0, 1].
        RuntimeError: tasks without a number in the collection.

    References: [Wang et al., 2023](https://arxiv.org/abs/2106.04911), and the code that goes with it, where grad s_i is
    the gradient of L_i(u_i) with the newest solution not held constant: r J^T grad L_i(u_i). In the first version
    J = d phi_i / d theta, so that the outer rate takes up the factor r. In the second J = I + T / B (d phi_i / d theta
    - I): what the inner loop does counts T / B times, which on average over draws is too much. Here both versions have
    d phi_i / d theta.
    """

    remembers = True
    met: Tensor

    def __init__(self, model: Model, tasks: int, rate: float, *, everyone: bool = False):
        super().__init__()
        self.tasks = whole_number("tasks", tasks, 1, "the number of tasks of the collection,")
        self.rate, self.everyone = _share(rate), everyone
        for place, t in enumerate(model.theta):
            self.register_buffer(f"memory{place}", t.detach().new_zeros(tasks, *t.shape))
        self.register_buffer("met", torch.zeros(tasks, dtype=torch.bool, device=model.theta[0].device))

    @property
    def memory(self) -> Params:
        """u_i of every task, a tuple of (T, \\*shape)."""
        return tuple(self.get_buffer(f"memory{place}") for place in range(len(list(self.buffers())) - 1))

    def require(self, model: Model, solver: Solver) -> None:
        if [tuple(u.shape[1:]) for u in self.memory] != [tuple(t.shape) for t in model.theta]:
            raise ValueError(
                "MOML: expected the memory of this network, whose weights that learn are "
                f"{', '.join(model.names)}, got that of another; make it anew after freezing or replacing layers"
            )

    def forward(self, batch: MetaBatch) -> Tensor:
        index = known_index(batch.index, self.tasks)
        adapted = batch.solve(unroll=ALL)
        theta = detached(batch.theta)
        solved = detached(adapted.phi)
        if self.everyone:
            reach = self.tasks / len(index)
            solved = add_scaled(theta, reach, add_scaled(solved, -1, theta))
        remembered = tuple(u[index].to(p) for u, p in zip(self.memory, solved, strict=True))
        averaged = add_scaled(remembered, self.rate, add_scaled(solved, -1, remembered))
        first = self.met[index]
        u = tuple(torch.where(per_task(first, p), a, p) for a, p in zip(averaged, detached(adapted.phi), strict=True))
        # A copy: the outer step, which comes before advance(), changes the weights in place.
        self.staged = Staged(index, u, tuple(t.detach().clone() for t in batch.model.theta))
        with torch.no_grad():
            losses = batch.query(adapted)
        at_memory = adapted._replace(phi=tuple(map(gradient_of, u, adapted.phi)))
        return gradient_of(losses, batch.query(at_memory))

    def advance(self) -> None:
        """The drawn tasks' solutions enter the memory."""
        if self.staged is None:
            return
        index, solutions, theta = self.staged
        with torch.no_grad():
            for u, solved, t in zip(self.memory, solutions, theta, strict=True):
                if self.everyone:
                    u.lerp_(t.expand_as(u), self.rate)
                u.index_copy_(0, index, solved.to(u))
            self.met.index_fill_(0, index, True)
        self.staged = None

    def extra_repr(self) -> str:
        return f"tasks={self.tasks}, rate={self.rate:g}, everyone={self.everyone}"


class LocalMOML(MetaGradient):
    """Federated MAML: every client, a task, takes outer steps on a copy of its own, and the server averages the copies.

    u_b <- (1 - r) u_b + r phi_b(theta_b^j),  theta_b^{j+1} = theta_b^j - beta (d phi_b / d theta_b^j)^T grad L_b(u_b),
    grad s_b = (theta - theta_b^J) / beta,  theta_b^0 = theta,  j = 0..J-1.

    With the outer rule ``torch.optim.SGD`` of rate beta this is theta <- mean_b theta_b^J. The memory u_b begins with
    the first solution and ends with the round. Each local step sees examples of its own: the support and the query set
    are cut into J parts. J = 1 is MAML. In the code of the reference the memory begins with the solution on further
    points.

    Shapes: the result is (B,).

    Raises:
        ValueError: fewer than 1 local step, a local rate that is not above 0, a memory rate outside (0, 1], or fewer
            examples than local steps.

    References: [Wang et al., 2023](https://arxiv.org/abs/2106.04911), and the code that goes with it.
    """

    def __init__(self, local_steps: int, beta: float, rate: float):
        super().__init__()
        self.local_steps = whole_number("local_steps", local_steps)
        self.beta, self.rate = positive("beta", "local outer rate", beta), _share(rate)

    def forward(self, batch: MetaBatch) -> Tensor:
        supports, queries = (split_examples(data, self.local_steps, "local step") for data in batch.tasks[:2])
        w = as_leaves(batch.theta)
        u: Params | None = None
        for support, query in zip(supports, queries, strict=True):
            local = batch._replace(tasks=batch.tasks._replace(support=support, query=query), theta=w)
            adapted = local.solve(unroll=ALL)
            u = (
                detached(adapted.phi)
                if u is None
                else add_scaled(u, self.rate, add_scaled(detached(adapted.phi), -1, u))
            )
            at_memory = adapted._replace(phi=tuple(map(gradient_of, u, adapted.phi)))
            gradient = torch.autograd.grad(local.query(at_memory).sum(), w, materialize_grads=True)
            w = as_leaves(add_scaled(w, -self.beta, gradient))
        with torch.no_grad():
            losses = batch.query(batch.solve(unroll=0))
        away = add_scaled(detached(batch.theta), -1, detached(w))
        return with_gradient(losses, batch.theta, tuple(t / self.beta for t in away))

    def extra_repr(self) -> str:
        return f"local_steps={self.local_steps}, beta={self.beta:g}, rate={self.rate:g}"


def _share(rate: float) -> float:
    share = "the share of the newest solution in the memory, in (0, 1]"
    return number_where("rate", share, lambda rate: 0 < rate <= 1, rate)
