"""Few-shot classification of pictures: the episodes drawn from a pool of classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mamlbook.checks import kind_of, whole_number
from mamlbook.devices import on_cpu, sent
from mamlbook.tasks.base import Data, Tasks, never_again
from mamlbook.tasks.distribution import require_draw
from mamlbook.tasks.pool import Pool


@dataclass(frozen=True, eq=False, repr=False)
class Episodes:
    """Tasks of telling ``ways`` classes apart after seeing ``shots`` drawings of each.

    A task draws its looks uniformly without replacement, one class of each look, then shots + queries different
    drawings of each class, uniformly among those that the class has. The order in which classes are drawn is their
    label, so that labels mean nothing from one task to the next. With ``rotate`` each class of each task is turned by
    its own multiple of 90 degrees, support and query alike: a turned character counts as a new class.

    Shapes: x is (B, ways * K, channels, height, width), float32 from 0 to 1, with 1 channel for a pool without colour,
    and y is (B, ways * K), int64, class after class; K is ``shots`` in the support set and ``queries`` in the query
    set.

    Raises:
        ValueError: the pool has too few looks, a class too few drawings, a number is not positive, or pictures to be
            turned are not square.

    >>> letters = Pool(torch.zeros(10, 20, 28, 28, dtype=torch.uint8))
    >>> tasks = Episodes(letters, ways=5, shots=1, queries=3).draw(4, torch.Generator().manual_seed(0))
    >>> tasks.support.x.shape, tasks.query.y[0].tolist()
    (torch.Size([4, 5, 1, 28, 28]), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
    """

    pool: Pool
    ways: int = 5
    shots: int = 1
    queries: int = 1
    rotate: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.pool, Pool):
            raise TypeError(
                f"pool: expected a Pool, got {kind_of(self.pool)}; call it if it is a function, as in glyphs()"
            )
        for name in ("ways", "shots", "queries"):
            whole_number(name, getattr(self, name))
        looks, (height, width) = len(self._slices[1]), self.pool.drawings.shape[2:]
        if self.ways > looks:
            raise ValueError(
                f"ways: expected at most the {looks} distinguishable classes of the pool, got {self.ways}; "
                "ask for fewer ways or use a larger pool"
            )
        self._require_drawings()
        if self.rotate and height != width:
            raise ValueError(f"rotate: expected square pictures, got {height} x {width}; use rotate=False")

    def _require_drawings(self) -> None:
        counts, needed = self.pool.counts, self.shots + self.queries
        small = int((counts < needed).sum())
        if small:
            least = int(counts.argmin())
            advice = (
                f", or leave out the {small} of {len(counts)} classes that are too small, as in "
                f"pool[pool.counts >= {needed}]"
            )
            raise ValueError(
                f"shots + queries: expected at most the {counts[least]} drawings of class {self.pool.names[least]!r}, "
                f"got {self.shots} + {self.queries}; ask for fewer of either{advice if small < len(counts) else ''}"
            )

    @cached_property
    def _slices(self) -> tuple[Tensor, Tensor, Tensor]:
        """Classes in the order of their looks, (classes,); where each look begins and its size, (looks,)."""
        sizes = self.pool.looks.unique(return_counts=True)[1]
        return self.pool.looks.argsort(stable=True), sizes.cumsum(0) - sizes, sizes

    @on_cpu()
    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        """Draw ``tasks`` episodes; the generator is a CPU one and the result is where the pool's images are.

        Raises:
            ValueError: ``tasks`` is less than 1.
        """
        require_draw(tasks, generator)
        classes = self._draw_classes(tasks, generator)
        counts = self.pool.counts
        keys = torch.rand(tasks, self.ways, int(counts.max()), generator=generator)
        keys = keys.where(torch.arange(keys.shape[2]) < counts[classes][..., None], -1)  # only drawings that exist
        starts = counts.cumsum(0) - counts
        chosen = starts[classes][..., None] + keys.topk(self.shots + self.queries).indices
        turns = torch.randint(4, (tasks, self.ways), generator=generator) if self.rotate else None
        pictures = self._gather(chosen, turns)
        support, query = pictures.split((self.shots, self.queries), dim=2)
        return Tasks(self._labelled(support), self._labelled(query), never_again(tasks, pictures.device))

    def _draw_classes(self, tasks: int, generator: torch.Generator) -> Tensor:
        """Classes of different looks, in random order: (B, ways)."""
        order, starts, sizes = self._slices
        looks = torch.rand(tasks, len(sizes), generator=generator).topk(self.ways).indices
        member = torch.rand(tasks, self.ways, generator=generator) * sizes[looks]
        return order[starts[looks] + member.long()]

    def _gather(self, chosen: Tensor, turns: Tensor | None) -> Tensor:
        """The chosen drawings, (B, ways, K) numbers among all, as (B, ways, K, channels, height, width) uint8."""
        drawings = self.pool.drawings
        pictures = drawings[sent(chosen, drawings.device)]
        if turns is None:
            return pictures
        # A turn by 90 degrees moves pixels and nothing else: it is the same permutation for every drawing.
        pixels = torch.arange(drawings[0, 0].numel()).view(drawings.shape[2:])
        table = torch.stack([pixels.rot90(quarter).flatten() for quarter in range(4)])
        source = sent(table[turns], drawings.device)[:, :, None, None].expand(*pictures.shape[:4], -1)
        return pictures.flatten(4).gather(4, source).view(pictures.shape)

    def _labelled(self, pictures: Tensor) -> Data:
        """The pictures of every class, (B, ways, K, channels, height, width) uint8, from 0 to 1 and with labels."""
        tasks, ways, count = pictures.shape[:3]
        labels = torch.arange(ways, device=pictures.device).repeat_interleave(count).expand(tasks, -1)
        return Data(pictures.flatten(1, 2).float().div_(255), labels.contiguous())

    def __repr__(self) -> str:
        return (
            f"Episodes(ways={self.ways}, shots={self.shots}, queries={self.queries}, rotate={self.rotate}, "
            f"classes={len(self.pool)})"
        )
