"""Functions of log-probabilities whose gradients are policy gradients, and whose second derivatives differ.

A_t is the return from time t on, perhaps less a baseline; sg stops gradients. The first derivatives of all three have
the same expectation, the policy gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

Surrogate = Callable[[Tensor, Tensor], Tensor]
"""(log pi(a_t | s_t), A_t), both (K, T), to one number for each trajectory, (K,)."""


def magic_box(log_probability: Tensor) -> Tensor:
    """exp(u - sg(u)): the value 1, with the derivatives of a probability over its own value.

    References: [Foerster et al., 2018](https://arxiv.org/abs/1802.05098), section 4.
    """
    return torch.exp(log_probability - log_probability.detach())


def naive(log_probability: Tensor, advantage: Tensor) -> Tensor:
    """REINFORCE as a loss: sum_t log pi(a_t | s_t) A_t.

    Its second derivative is that of log pi alone. What is missing is the product of two gradients of log pi.

    Shapes: (K, T) and (K, T) to (K,).
    """
    return (log_probability * advantage).sum(-1)


def dice(log_probability: Tensor, advantage: Tensor) -> Tensor:
    """DiCE: every derivative is one of the expected return, in expectation.

    sum_t (box_t - box_{t-1}) A_t,  box_t = magic_box(sum_{u <= t} log pi(a_u | s_u)),  box_{-1} = 1.

    Where A_t is the return from t on, this is the paper's sum_t box_t r_t, less the return. Written this way it takes a
    baseline that depends on the past of t alone, and stays right.

    Shapes: (K, T) and (K, T) to (K,).

    References: [Foerster et al., 2018](https://arxiv.org/abs/1802.05098); the baseline for every order is that of
    [Mao et al., 2019](https://www.cs.ox.ac.uk/publications/publication12553-abstract.html).
    """
    box = magic_box(log_probability.cumsum(-1))
    before = pad(box[..., :-1], (1, 0), value=1.0)
    return ((box - before) * advantage).sum(-1)


def lvc(log_probability: Tensor, advantage: Tensor) -> Tensor:
    """The low variance curvature surrogate: sum_t magic_box(log pi(a_t | s_t)) A_t.

    Each factor knows its own time only, so that its second derivative lacks the products of gradients at two times.
    With one decision it is DiCE.

    Shapes: (K, T) and (K, T) to (K,).

    References: [Rothfuss et al., 2019](https://arxiv.org/abs/1810.06784), section 5.
    """
    return (magic_box(log_probability) * advantage).sum(-1)


SURROGATES: dict[str, Surrogate] = {"naive": naive, "dice": dice, "lvc": lvc}
"""The three, by name."""
