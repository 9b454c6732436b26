"""Trajectories as support and query data, so that a learner does meta-reinforcement learning; exact where it can be."""

from mamlbook.reinforcement.enumeration import (
    enumerated,
    expected_meta_gradient,
    multisets,
    support_sets,
    tabular,
)
from mamlbook.reinforcement.loss import TrajectoryLoss, to_go
from mamlbook.reinforcement.navigation import Navigation
from mamlbook.reinforcement.policies import GaussianPolicy, Policy, SoftmaxPolicy
from mamlbook.reinforcement.problems import DecisionProblems, maze
from mamlbook.reinforcement.rollouts import OnPolicy, Problems, fresh_steps, on_policy, rollout
from mamlbook.reinforcement.surrogates import SURROGATES, Surrogate, dice, lvc, magic_box, naive

__all__ = [
    "SURROGATES",
    "DecisionProblems",
    "GaussianPolicy",
    "Navigation",
    "OnPolicy",
    "Policy",
    "Problems",
    "SoftmaxPolicy",
    "Surrogate",
    "TrajectoryLoss",
    "dice",
    "enumerated",
    "expected_meta_gradient",
    "fresh_steps",
    "lvc",
    "magic_box",
    "maze",
    "multisets",
    "naive",
    "on_policy",
    "rollout",
    "support_sets",
    "tabular",
    "to_go",
]
