"""How the tasks of a meta-batch are combined: sum_b w_b s_b."""

from mamlbook.weighting.base import FunctionWeights, UniformWeights, Weighting
from mamlbook.weighting.gradients import AgreementWeights, ConflictAverseWeights
from mamlbook.weighting.losses import LearnedWeights, RobustWeights, SoftmaxWeights

__all__ = [
    "AgreementWeights",
    "ConflictAverseWeights",
    "FunctionWeights",
    "LearnedWeights",
    "RobustWeights",
    "SoftmaxWeights",
    "UniformWeights",
    "Weighting",
]
