"""How the tasks of a meta-batch are combined: sum_b w_b s_b."""

from mamlbook.weighting.base import Uniform, Weighting
from mamlbook.weighting.gradients import Agreement, ConflictAverse
from mamlbook.weighting.losses import Learned, Robust, Softmax

__all__ = ["Agreement", "ConflictAverse", "Learned", "Robust", "Softmax", "Uniform", "Weighting"]
