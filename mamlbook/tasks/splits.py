"""Classes to learn from, to choose by and to be judged on: a pool in parts that share nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor

from mamlbook.checks import number_where, seed_number, several
from mamlbook.devices import on_cpu
from mamlbook.tasks.pool import Pool


@on_cpu()
def class_split(
    pool: Pool, shares: Sequence[float] = (0.6, 0.2, 0.2), *, seed: int = 0, by_alphabet: bool = False
) -> tuple[Pool, ...]:
    """The pool in parts that share no class, drawn at random: to learn from, to choose by, to be judged on.

    ``shares`` are fractions of the classes, which add up to 1, or whole numbers of classes, which may leave some out.
    Classes that look alike stay in one part, and ``by_alphabet`` keeps those of one alphabet together, and alphabets
    with classes that look alike; the sizes are then as near to the shares as that allows. The classes of a part keep
    their order.

    Raises:
        ValueError: the shares are none, or some part would be left without a class.

    >>> pool = Pool(torch.zeros(10, 20, 28, 28, dtype=torch.uint8))
    >>> [len(part) for part in class_split(pool)], [len(part) for part in class_split(pool, (7, 2))]
    ([6, 2, 2], [7, 2])
    """
    ends = bounds(shares, len(pool))
    units = _together(pool.looks, pool.alphabets if by_alphabet else None)
    order = torch.randperm(int(units.max()) + 1, generator=torch.Generator().manual_seed(seed_number("seed", seed)))
    sizes = units.bincount()[order]
    centres = sizes.cumsum(0) - sizes / 2  # in which part the middle of a unit lies decides
    parts = torch.empty_like(order)
    parts[order] = torch.bucketize(centres.double(), torch.tensor(ends, dtype=torch.float64), right=True)
    found = parts[units]
    for number, share in enumerate(shares):
        if not (found == number).any():
            raise ValueError(
                f"shares: expected at least one class in every part, got none in part {number} ({share}) of "
                f"{len(pool)} classes in {len(sizes)} groups that stay together; ask for fewer or other parts"
            )
    return tuple(pool[found == number] for number in range(len(shares)))


def bounds(shares: Sequence[float], count: int, what: str = "classes of the pool") -> list[float]:
    """Where each part of so many classes or tasks ends.

    Raises:
        ValueError: the shares are none.
    """
    shares = several("shares", "fractions or whole numbers, one for each part", shares)
    for share in shares:
        number_where("shares", "fractions or whole numbers", math.isfinite, share)
    counts = all(isinstance(share, Integral) and not isinstance(share, bool) for share in shares)
    above = all(share > 0 for share in shares)
    good = sum(shares) <= count if counts else math.isclose(sum(shares), 1, abs_tol=1e-6)
    if not shares or not above or not good:
        raise ValueError(
            f"shares: expected fractions above 0 that add up to 1, or whole numbers that add up to at most the "
            f"{count} {what}, got {shares}"
        )
    ends = list(itertools.accumulate(shares if counts else (share * count for share in shares)))
    return ends if counts else [*ends[:-1], count + 1]  # rounding leaves no class out


def _together(looks: Tensor, alphabets: Sequence[str] | None) -> Tensor:
    """The number of the group that each class stays in, 0, 1, ...: (classes,)."""
    keys = [looks.unique(return_inverse=True)[1]]
    if alphabets is not None:
        numbers = {alphabet: number for number, alphabet in enumerate(dict.fromkeys(alphabets))}
        keys.append(torch.tensor([numbers[alphabet] for alphabet in alphabets]))
    groups, before = torch.arange(len(looks)), None
    while before is None or not torch.equal(groups, before):
        before = groups
        for key in keys:
            groups = torch.full_like(groups, len(groups)).scatter_reduce(0, key, groups, "amin")[key]
    return groups.unique(return_inverse=True)[1]
