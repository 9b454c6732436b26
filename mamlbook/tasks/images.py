"""Few-shot classification of small drawings: a pool of classes, and the episodes drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mamlbook.checks import whole_number
from mamlbook.tasks.base import Data, Tasks, never_again


@dataclass(frozen=True, eq=False, repr=False)
class Pool:
    """Drawings, class by class: what episodes are made of.

    Shapes: ``images`` is (classes, drawings, height, width), uint8, with ink = 255 on 0; ``names`` and
    ``alphabets`` have an entry per class. ``looks`` is (classes,), int64, on the CPU: classes that share a number
    cannot be told apart and never meet in one episode. By default every class has its own.

    Raises:
        ValueError: a field is empty, has the wrong type, or does not agree with the number of classes.
    """

    images: Tensor
    names: tuple[str, ...]
    alphabets: tuple[str, ...]
    looks: Tensor | None = None

    def __post_init__(self) -> None:
        images = self.images
        if images.ndim != 4 or images.dtype != torch.uint8 or images.numel() == 0:
            raise ValueError(
                "images: expected a non-empty uint8 tensor (classes, drawings, height, width) with ink = 255, "
                f"got {images.dtype} {tuple(images.shape)}"
            )
        for field in ("names", "alphabets"):
            texts = tuple(getattr(self, field))
            if len(texts) != len(images):
                raise ValueError(f"{field}: expected one for each of the {len(images)} classes, got {len(texts)}")
            object.__setattr__(self, field, texts)
        looks = torch.arange(len(images)) if self.looks is None else self.looks.cpu()
        if looks.shape != (len(images),) or looks.dtype != torch.int64:
            raise ValueError(
                f"looks: expected one int64 for each of the {len(images)} classes, "
                f"got {looks.dtype} {tuple(looks.shape)}"
            )
        object.__setattr__(self, "looks", looks)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Pool:
        """The pool of the chosen classes: ``index`` is anything that indexes one axis of a tensor.

        Raises:
            ValueError: no class is chosen.
            IndexError: a class is chosen that the pool does not have.
        """
        index = index.cpu() if isinstance(index, Tensor) else index
        if isinstance(index, Sequence):
            index = torch.tensor(index, dtype=None if len(index) else torch.int64)
        chosen = torch.arange(len(self))[index].reshape(-1)
        names, alphabets = (tuple(texts[c] for c in chosen.tolist()) for texts in (self.names, self.alphabets))
        return Pool(self.images[chosen.to(self.images.device)], names, alphabets, self.looks[chosen])

    def to(self, device: torch.device | str) -> Pool:
        """The same pool with its images on ``device``; episodes are then gathered there."""
        return Pool(self.images.to(device), self.names, self.alphabets, self.looks)

    def __repr__(self) -> str:
        classes, drawings, height, width = self.images.shape
        return (
            f"Pool({classes} classes of {len(set(self.alphabets))} alphabets, {drawings} drawings each, "
            f"{height} x {width}, {len(self.looks.unique())} looks)"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Episodes:
    """Tasks of telling ``ways`` classes apart after seeing ``shots`` drawings of each.

    A task draws its looks uniformly without replacement, one class of each look, then shots + queries different
    drawings of each class. The order in which classes are drawn is their label, so that labels mean nothing from
    one task to the next. With ``rotate`` each class of each task is turned by its own multiple of 90 degrees,
    support and query alike: a turned character counts as a new class.

    Shapes: x is (B, ways * K, 1, height, width), float32, with ink = 1, and y is (B, ways * K), int64, class
    after class; K is ``shots`` in the support set and ``queries`` in the query set.

    Raises:
        ValueError: the pool has too few looks or drawings, a number is not positive, or pictures to be turned
            are not square.
    """

    pool: Pool
    ways: int = 5
    shots: int = 1
    queries: int = 1
    rotate: bool = False

    def __post_init__(self) -> None:
        for name in ("ways", "shots", "queries"):
            whole_number(name, getattr(self, name))
        looks = len(self._slices[1])
        drawings, height, width = self.pool.images.shape[1:]
        if self.ways > looks:
            raise ValueError(
                f"ways: expected at most the {looks} distinguishable classes of the pool, got {self.ways}; "
                "ask for fewer ways or use a larger pool"
            )
        if self.shots + self.queries > drawings:
            raise ValueError(
                f"shots + queries: expected at most the {drawings} drawings of a class, "
                f"got {self.shots} + {self.queries}; ask for fewer of either"
            )
        if self.rotate and height != width:
            raise ValueError(f"rotate: expected square pictures, got {height} x {width}; use rotate=False")

    @cached_property
    def _slices(self) -> tuple[Tensor, Tensor, Tensor]:
        """Classes in the order of their looks, (classes,); where each look begins and its size, (looks,)."""
        sizes = self.pool.looks.unique(return_counts=True)[1]
        return self.pool.looks.argsort(stable=True), sizes.cumsum(0) - sizes, sizes

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        """Draw ``tasks`` episodes; the generator is a CPU one and the result is where the pool's images are.

        Raises:
            ValueError: ``tasks`` is less than 1.
        """
        whole_number("tasks", tasks)
        classes = self._draw_classes(tasks, generator)
        drawings = self.pool.images.shape[1]
        keys = torch.rand(tasks, self.ways, drawings, generator=generator)
        chosen = classes[..., None] * drawings + keys.topk(self.shots + self.queries).indices
        turns = torch.randint(4, (tasks, self.ways), generator=generator) if self.rotate else None
        pictures = self._gather(chosen, turns)
        support, query = pictures.split((self.shots, self.queries), dim=2)
        return Tasks(self._labelled(support), self._labelled(query), never_again(tasks).to(pictures.device))

    def _draw_classes(self, tasks: int, generator: torch.Generator) -> Tensor:
        """Classes of different looks, in random order: (B, ways)."""
        order, starts, sizes = self._slices
        looks = torch.rand(tasks, len(sizes), generator=generator).topk(self.ways).indices
        member = torch.rand(tasks, self.ways, generator=generator) * sizes[looks]
        return order[starts[looks] + member.long()]

    def _gather(self, chosen: Tensor, turns: Tensor | None) -> Tensor:
        """The chosen drawings, (B, ways, K) numbers among all drawings, as (B, ways, K, height, width) uint8."""
        images = self.pool.images
        pictures = images.flatten(0, 1)[chosen.to(images.device)]
        if turns is None:
            return pictures
        # A turn by 90 degrees moves pixels and nothing else: it is the same permutation for every drawing.
        pixels = torch.arange(images[0, 0].numel()).view(images.shape[2:])
        table = torch.stack([pixels.rot90(quarter).flatten() for quarter in range(4)])
        source = table[turns].to(images.device)[:, :, None].expand(-1, -1, chosen.shape[2], -1)
        return pictures.flatten(3).gather(3, source).view(pictures.shape)

    def _labelled(self, pictures: Tensor) -> Data:
        """The pictures of every class, (B, ways, K, height, width) uint8, with ink = 1 and their labels."""
        tasks, ways, count = pictures.shape[:3]
        labels = torch.arange(ways, device=pictures.device).repeat_interleave(count).expand(tasks, -1)
        return Data(pictures.flatten(1, 2)[:, :, None].float().div_(255), labels.contiguous())

    def __repr__(self) -> str:
        return (
            f"Episodes(ways={self.ways}, shots={self.shots}, queries={self.queries}, rotate={self.rotate}, "
            f"classes={len(self.pool)})"
        )
