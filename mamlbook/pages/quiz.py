"""The question of the map: which statements describe the variants and limitations of MAML?"""

from __future__ import annotations

from typing import NamedTuple


class Statement(NamedTuple):
    """A sentence, whether it is right, why, and the place of ``pages.guide.PLACES`` that decides."""

    words: str
    right: bool
    why: str
    place: str


QUESTION = "Which of these statements accurately describe the variants and limitations of MAML? Mark all that do."

STATEMENTS: tuple[Statement, ...] = (
    Statement(
        "FOMAML treats the way from θ to the adapted weights as a constant shift.",
        True,
        "The displacement φ − θ is held constant, so the query gradient at φ is applied to θ as it is. The adapted "
        "weights themselves are not constant: then there would be no gradient at all.",
        "What exactly is held constant?",
    ),
    Statement(
        "Reptile needs a query set.",
        False,
        "Its direction is θ − φ, and no query loss stands in it. Exchanging the query set changes nothing.",
        "What exactly is held constant?",
    ),
    Statement(
        "First-order methods save memory, because no inner step has to be kept for the outer gradient.",
        True,
        "MAML walks back through all steps and keeps what each of them computed. FOMAML and Reptile do not.",
        "What the graph keeps",
    ),
    Statement(
        "First-order methods always reach MAML's accuracy.",
        False,
        "They often come close. But on two bowls with a large inner rate FOMAML diverges at every outer rate, and on "
        "Omniglot with twenty ways and one shot the published accuracies are 89.4 and 95.8 %.",
        "First order, exactly, on bowls",
    ),
    Statement(
        "MAML assumes that there is one start from which a few steps reach every task.",
        True,
        "Nothing in the formula lets a task choose its start.",
        "What unlike tasks cost",
    ),
    Statement(
        "With S inner steps MAML needs derivatives of order S + 1.",
        False,
        "The Jacobian of S steps is a product of S factors I − αH, and each is applied by a Hessian-vector product. "
        "No derivative beyond the second occurs.",
        "Three ways to the same numbers",
    ),
    Statement(
        "More inner steps always help.",
        False,
        "In a linear regression with noisy support points the risk is least after finitely many steps, and further "
        "steps fit the noise.",
        "Too few steps and too many",
    ),
    Statement(
        "The result depends on the outer rate, on the inner rate and on the number of tasks in a meta-batch.",
        True,
        "On sine waves the outer rate and the meta-batch each change MAML's error several times over, and too large an "
        "inner rate makes it explode. So each has to be chosen for every method by itself.",
        "How to choose α, β and S",
    ),
    Statement(
        "If all tasks are bowls of one curvature h, and αh is below 1, MAML starts where joint training ends.",
        True,
        "All tasks then have the same weight in the start, whatever that weight is, so both starts are the mean of "
        "the optima.",
        "First order, exactly, on bowls",
    ),
    Statement(
        "MAML's gradient costs a thousand times FOMAML's, since the Hessian of a network has millions of entries.",
        False,
        "Nobody forms the Hessian. A Hessian-vector product costs about two gradients, so a step costs MAML about "
        "three gradients and FOMAML one.",
        "What a meta-step costs",
    ),
)
