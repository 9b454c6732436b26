"""Pictures, class by class: what episodes are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mamlbook.checks import kind_of
from mamlbook.devices import on_cpu

CHANNELS = (1, 3, 4)  # grey, colour, colour with transparency


@dataclass(frozen=True, eq=False, repr=False)
class Pool:
    """Drawings or photographs, class by class: what episodes are made of.

    Shapes: ``images`` is uint8 (for drawings with ink = 255 on 0), as a tensor or NumPy array (classes, drawings,
    height, width) or, in colour, (classes, drawings, channels, height, width); where classes have different numbers of
    drawings it is a list with one (drawings, ...) for each class, and is kept as a tuple. ``names`` and ``alphabets``,
    the groups that the classes belong to, have an entry per class; without them the names are numbers and there is one
    group. ``looks`` is (classes,), int64, on the CPU: classes that share a number cannot be told apart and never meet
    in one episode. By default every class has its own.

    Raises:
        ValueError: a field is empty, has the wrong type, or does not agree with the number of classes.

    >>> Pool(torch.zeros(10, 20, 28, 28, dtype=torch.uint8))
    Pool(10 classes of 1 alphabets, 20 drawings each, 28 x 28, 10 looks)
    >>> photographs = Pool([torch.zeros(count, 3, 32, 32, dtype=torch.uint8) for count in (5, 9)], ["cat", "dog"])
    >>> photographs
    Pool(2 classes of 1 alphabets, 5 to 9 drawings each, 3 channels of 32 x 32, 2 looks)
    >>> photographs[photographs.counts > 6].names
    ('dog',)
    """

    images: Tensor | tuple[Tensor, ...]
    names: tuple[str, ...]
    alphabets: tuple[str, ...]
    looks: Tensor

    @on_cpu()
    def __init__(
        self,
        images: Tensor | np.ndarray | Sequence[Tensor | np.ndarray],
        names: Sequence[str] | None = None,
        alphabets: Sequence[str] | None = None,
        looks: Tensor | None = None,
    ):
        object.__setattr__(self, "images", _checked(images, names))
        by_default = [str(number) for number in range(len(self))], ["all"] * len(self)
        for field, given, default in zip(("names", "alphabets"), (names, alphabets), by_default, strict=True):
            texts = tuple(default if given is None else given)
            if len(texts) != len(self):
                raise ValueError(f"{field}: expected one for each of the {len(self)} classes, got {len(texts)}")
            object.__setattr__(self, field, texts)
        looks = torch.arange(len(self)) if looks is None else torch.as_tensor(looks).cpu()
        if looks.shape != (len(self),) or looks.dtype != torch.int64:
            raise ValueError(
                f"looks: expected one int64 for each of the {len(self)} classes, got {looks.dtype} {tuple(looks.shape)}"
            )
        object.__setattr__(self, "looks", looks)

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    @on_cpu()
    def counts(self) -> Tensor:
        """How many drawings each class has: (classes,), int64, on the CPU."""
        return torch.tensor([len(drawings) for drawings in self.images])

    @cached_property
    def drawings(self) -> Tensor:
        """All drawings, class after class: (total, channels, height, width), uint8."""
        flat = self.images.flatten(0, 1) if isinstance(self.images, Tensor) else torch.cat(self.images)
        return flat[:, None] if flat.ndim == 3 else flat

    @on_cpu()
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
        if isinstance(self.images, Tensor):
            return Pool(self.images[chosen.to(self.images.device)], names, alphabets, self.looks[chosen])
        return Pool([self.images[c] for c in chosen.tolist()], names, alphabets, self.looks[chosen])

    def to(self, device: torch.device | str) -> Pool:
        """The same pool with its images on ``device``; episodes are then gathered there."""
        if isinstance(self.images, Tensor):
            return Pool(self.images.to(device), self.names, self.alphabets, self.looks)
        return Pool([drawings.to(device) for drawings in self.images], self.names, self.alphabets, self.looks)

    def __repr__(self) -> str:
        channels, height, width = self.drawings.shape[1:]
        least, most = self.counts.min().item(), self.counts.max().item()
        return (
            f"Pool({len(self)} classes of {len(set(self.alphabets))} alphabets, "
            f"{least if least == most else f'{least} to {most}'} drawings each, "
            f"{f'{channels} channels of ' if channels > 1 else ''}{height} x {width}, {len(self.looks.unique())} looks)"
        )


def _checked(images: Any, names: Sequence[str] | None) -> Tensor | tuple[Tensor, ...]:
    """One tensor where all classes have the same number of drawings, one tensor for each class where not."""
    if isinstance(images, tuple | list) and len(images):
        return _class_by_class([_tensor(drawings) for drawings in images], names)
    pictures = _tensor(images)
    if not _holds_pictures(pictures, (4, 5)):
        raise ValueError(
            "images: expected a non-empty uint8 tensor (classes, drawings, height, width) with ink = 255, or (classes, "
            f"drawings, channels, height, width), or a list of one tensor for each class, got {_what(pictures)}"
        )
    _require_channels_first(pictures)
    return pictures


def _class_by_class(classes: list, names: Sequence[str] | None) -> Tensor | tuple[Tensor, ...]:
    """The pictures of each class, checked, stacked if all classes have the same number."""
    for number, drawings in enumerate(classes):
        if not _holds_pictures(drawings, (3, 4)) or drawings.shape[1:] != classes[0].shape[1:]:
            name = repr(names[number]) if names is not None and len(names) == len(classes) else number
            first = f", with pictures of {tuple(classes[0].shape[1:])} as the first class has" if number else ""
            raise ValueError(
                "images: expected a non-empty uint8 tensor (drawings, height, width) or (drawings, channels, height, "
                f"width) for each class{first}, got {_what(drawings)} for class {name}"
            )
        _require_channels_first(drawings[None])
    return torch.stack(classes) if len(set(map(len, classes))) == 1 else tuple(classes)


def _holds_pictures(images: Any, axes: tuple[int, int]) -> bool:
    tensor = isinstance(images, Tensor) and images.dtype == torch.uint8
    return tensor and images.ndim in axes and images.numel() > 0


def _what(images: Any) -> str:
    return f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else kind_of(images)


def _require_channels_first(images: Tensor) -> None:
    """Pictures as NumPy and Pillow have them would be taken for three pixels wide and many channels deep."""
    if images.ndim == 5 and images.shape[-1] in CHANNELS and images.shape[-3] not in CHANNELS:
        raise ValueError(
            f"images: expected the channels before height and width, got pictures of {tuple(images.shape[2:])}; "
            "move them, as in images.movedim(-1, -3)"
        )


def _tensor(images: Any) -> Any:
    return torch.from_numpy(np.ascontiguousarray(images).copy()) if isinstance(images, np.ndarray) else images
