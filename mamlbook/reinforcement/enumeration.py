"""Expectations over trajectories, as sums over all of them."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor, nn

from mamlbook.checks import seed_number, whole_number
from mamlbook.devices import drawn_on_cpu
from mamlbook.learner import MetaLearner
from mamlbook.meta_batch import MetaBatch
from mamlbook.numerics import Params
from mamlbook.reinforcement.problems import DecisionProblems
from mamlbook.tasks.base import Data, Tasks, never_again
from mamlbook.torch_internals import tree_map

MOST = 20_000
"""How many support sets are summed over at most."""


def tabular(states: int, actions: int, *, seed: int | None = None, spread: float = 1.0) -> nn.Linear:
    """A network with one number for each state and action, the logits of a softmax policy: (..., n) to (..., A).

    Without a seed all logits are 0, and every action is as likely as another; with one they are normal with the
    standard deviation ``spread``. It is in double precision, and its weight is (A, n).
    """
    net = nn.Linear(states, actions, bias=False, dtype=torch.float64)
    with drawn_on_cpu(seed_number("seed", seed or 0)), torch.no_grad():
        drawn = torch.randn(actions, states, dtype=torch.float64)
        net.weight.copy_(torch.zeros_like(drawn) if seed is None else spread * drawn)
    return net


def enumerated(problems: DecisionProblems) -> Tasks:
    """Tasks whose support and query sets are all trajectories: a learner's losses on them are exact expectations.

    Shapes: those of ``DecisionProblems.trajectories``.

    >>> from mamlbook import Model, maml
    >>> from mamlbook.reinforcement import SoftmaxPolicy, TrajectoryLoss, dice, maze
    >>> model = Model(tabular(3, 2), TrajectoryLoss(SoftmaxPolicy(), dice))
    >>> _, losses = maml(model, alpha=0.0)(enumerated(maze([[1.0, 0, 0, 0]])))
    >>> losses.tolist()
    [-0.25]
    """
    everything = problems.trajectories()
    return Tasks(everything, everything, never_again(problems.tasks))


def multisets(kinds: int, shots: int) -> Tensor:
    """Every way to draw ``shots`` things of some kinds, without their order: how often each kind, (M, kinds).

    Raises:
        ValueError: there are more than 20,000 ways.
    """
    places = shots + kinds - 1
    rows = []
    for bars in combinations(range(places), kinds - 1):
        edges = torch.tensor((-1, *bars, places))
        rows.append(edges.diff() - 1)
        if len(rows) > MOST:
            raise ValueError(f"shots: expected at most {MOST} sets of trajectories, got more for {shots} of {kinds}")
    return torch.stack(rows)


def support_sets(learner: MetaLearner, problems: DecisionProblems, shots: int) -> tuple[Tasks, Tensor]:
    """Every support set of ``shots`` trajectories that can be drawn at theta, each as a task, and its probability.

    A set is all trajectories, weighted by how often each was drawn. The query set is all trajectories at phi.

    Shapes: M tasks, and (M,) probabilities that add up to one.

    Raises:
        ValueError: more than one problem, or too many sets.
    """
    shots = whole_number("shots", shots)
    if problems.tasks != 1:
        raise ValueError(f"problems: expected one, got {problems.tasks}; take one by problems.pick([0])")
    everything = problems.trajectories()
    model = learner.model
    with torch.no_grad():
        y_hat = model(tuple(t[None] for t in model.theta), everything.x)
        log_probability = model.loss.policy.log_probability(y_hat, everything.y["action"])[0].sum(-1)
        odds = everything.y["chance"][0].log() + log_probability
        counts = multisets(len(odds), shots).to(odds)
        factors = torch.lgamma(torch.tensor(shots + 1.0, dtype=odds.dtype)) - torch.lgamma(counts + 1).sum(-1)
        probability = (factors + counts @ odds).exp()
    repeated = tree_map(lambda leaf: leaf.expand(len(counts), *leaf.shape[1:]), everything)
    support = {name: leaf for name, leaf in repeated.y.items() if name != "chance"}
    tasks = Tasks(Data(repeated.x, {**support, "weight": counts / shots}), repeated, never_again(len(counts)))
    return tasks, probability


def expected_meta_gradient(learner: MetaLearner, problems: DecisionProblems, shots: int) -> Params:
    """The expectation of a meta-gradient from ``shots`` support trajectories, summed over all that can be drawn.

    E g = sum_D P(D) g(D),  D a support set of that size drawn at theta. A query set that is drawn at phi changes only
    the variance, and is summed over as well.

    Shapes: a tuple of (\\*shape).

    Raises:
        ValueError: more than one problem, or too many sets.
    """
    tasks, probability = support_sets(learner, problems, shots)
    batch = MetaBatch.of(learner.model, learner.solver, tasks)
    rows = batch.gradients(learner.metagradient(batch))
    return tuple(torch.einsum("m,m...->...", probability, row) for row in rows)
