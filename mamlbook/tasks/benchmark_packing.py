"""The splits of a benchmark as pools: checked, brought to one size, and kept where pictures had to be decoded."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from mamlbook.checks import whole_number
from mamlbook.files import cache_folder
from mamlbook.tasks.benchmark_layouts import SPLITS, Benchmark, Layout, Listed
from mamlbook.tasks.folders import without_losses
from mamlbook.tasks.kept import cached
from mamlbook.tasks.pool import Pool

PACKING = 1  # a new number turns every older cache file into an unknown one


def pools(
    benchmark: Benchmark,
    folder: Path,
    splits: Sequence[str],
    size: int,
    cache: str | Path | None,
    progress: bool | None,
) -> tuple[Pool, ...]:
    """The pools of these splits, in this order."""
    if isinstance(splits, str) or not splits or len(set(splits)) < len(splits) or not set(splits) <= set(SPLITS):
        raise ValueError(f"splits: expected some of {SPLITS}, each once, as in ('test',), got {splits!r}")
    whole_number("size", size, 1, "a whole number of pixels")
    layout = _layout(benchmark, folder, splits)
    listed = _listed(benchmark, layout, folder, splits)
    _require_counts(benchmark, folder, listed)
    _require_disjoint(benchmark, listed)
    place = Path(cache).expanduser() if cache else cache_folder()
    # A split is let go when it is packed, so that pickles are not held beside the pools.
    return tuple(_pool(benchmark, split, listed.pop(split), size, place, progress) for split in splits)


# ---------------------------------------------------------------- what is there


def _layout(benchmark: Benchmark, folder: Path, splits: Sequence[str]) -> Layout:
    """The first layout of which everything is in the folder."""
    title, advice = benchmark.title, benchmark.source
    if not folder.is_dir():
        trouble = "is a file; unpack it first" if folder.is_file() else "does not exist"
        raise FileNotFoundError(f"folder: expected the folder of {title}, {folder} {trouble}; {advice}")
    begun: list[list[str]] = []
    for layout in benchmark.layouts:
        paths = layout.paths(folder, splits)
        absent = [path.relative_to(folder).as_posix() for path in paths if not path.exists()]
        if not absent:
            return layout
        if len(absent) < len(paths):
            begun.append(absent)
    if begun:
        closest = min(begun, key=len)
        raise FileNotFoundError(
            f"folder: {folder} holds no {', '.join(closest)}, which {title} in this layout needs; "
            f"put what is missing there; {advice}"
        )
    known = "; or ".join(" and ".join(layout.files) for layout in benchmark.layouts)
    raise FileNotFoundError(
        f"folder: expected {title} as {known}, with train, val and test for {{split}}, {folder} holds none of it; "
        f"{advice}"
    )


def _listed(benchmark: Benchmark, layout: Layout, folder: Path, splits: Sequence[str]) -> dict[str, Listed]:
    """The pictures of the splits, class by class."""
    try:
        return layout.read(folder, splits)
    except (AttributeError, LookupError, TypeError, UnicodeError, csv.Error) as error:
        raise ValueError(
            f"{folder}: the files of {benchmark.title} hold something else than they should: "
            f"{error or type(error).__name__}; fetch them again"
        ) from error


def _require_counts(benchmark: Benchmark, folder: Path, listed: dict[str, Listed]) -> None:
    for split, pictures in listed.items():
        counts = {"classes": len(pictures.classes), "pictures": sum(map(len, pictures.classes.values()))}
        for what, expected in (("classes", benchmark.classes), ("pictures", benchmark.pictures)):
            if counts[what] != (needed := expected[SPLITS.index(split)]):
                raise ValueError(
                    f"{folder} is not the whole {split} split of {benchmark.title}: it should have {needed} {what} and "
                    f"has {counts[what]}; fetch its files again"
                )


def _require_disjoint(benchmark: Benchmark, listed: dict[str, Listed]) -> None:
    seen: dict[str, str] = {}
    for split, pictures in listed.items():
        for name in pictures.classes:
            if name in seen:
                raise ValueError(
                    f"folder: expected classes of {benchmark.title} that are in one split each, got {name!r} in "
                    f"{seen[name]} and in {split}; fetch the files again"
                )
            seen[name] = split


# ---------------------------------------------------------------- pictures


def _pool(benchmark: Benchmark, split: str, listed: Listed, size: int, cache: Path, progress: bool | None) -> Pool:
    counts = [len(chosen) for chosen in listed.classes.values()]
    title = f"{benchmark.title} {split}"
    if listed.pixels:
        images = _packed(listed, size, title, progress)
    else:
        images = _kept(listed, size, title, progress, cache / f"{benchmark.folder}-{split}-{_key(listed, size)}.npz")
    pictures = torch.from_numpy(images)
    equal = len(set(counts)) == 1
    classes = pictures.unflatten(0, (len(counts), -1)) if equal else pictures.split(counts)
    return Pool(classes, list(listed.classes), [listed.alphabets.get(name, "all") for name in listed.classes])


def _key(listed: Listed, size: int) -> str:
    """What tells these files from others, and from themselves after a change."""
    files = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in listed.files]
    classes = [(name, list(map(int, chosen))) for name, chosen in listed.classes.items()]
    return hashlib.sha256(repr((PACKING, size, files, classes)).encode()).hexdigest()[:16]


def _kept(listed: Listed, size: int, title: str, progress: bool | None, path: Path) -> np.ndarray:
    """The packed pictures from the cache, or made and put there."""
    # A cache file that cannot be read, for whatever reason, is like none: it is made again.
    with suppress(Exception), path.open("rb") as file, np.load(file) as arrays:
        images = arrays["images"]
        if images.dtype == np.uint8 and images.shape == (sum(map(len, listed.classes.values())), 3, size, size):
            return images
    with cached(path) as temporary:
        images = _packed(listed, size, title, progress)
        np.savez(temporary, images=images)
    return images


def _packed(listed: Listed, size: int, title: str, progress: bool | None) -> np.ndarray:
    """All pictures, class after class: (pictures, 3, size, size), uint8."""
    source = listed.load()
    total = sum(map(len, listed.classes.values()))
    images = np.empty((total, 3, size, size), np.uint8)
    as_they_are = listed.pixels and source.shape[1:3] == (size, size)
    place, disable = 0, None if progress is None else not progress
    with tqdm(total=total, desc=title, unit=" pictures", disable=disable) as bar:
        for chosen in listed.classes.values():
            if as_they_are:
                images[place : place + len(chosen)] = np.moveaxis(source[np.asarray(chosen)], -1, 1)
            else:
                for shift, number in enumerate(chosen):
                    images[place + shift] = _picture(source[number], int(number), size, listed)
            place += len(chosen)
            bar.update(len(chosen))
    return images


def _picture(source: Any, number: int, size: int, listed: Listed) -> np.ndarray:
    """A path, an encoded picture or an array of pixels as (3, size, size), uint8."""
    try:
        with _opened(source, listed.pixels) as opened:
            # As a whole and not cut, as the code of the MAML paper does.
            shrunk = without_losses(opened).convert("RGB").resize((size, size), Image.Resampling.LANCZOS)
    except Exception as error:  # decoders raise whatever they like
        name = source if isinstance(source, Path) else f"{listed.files[0]}: picture {number}"
        raise ValueError(f"{name} cannot be read as a picture: {error}; fetch that file again") from None
    return np.moveaxis(np.asarray(shrunk), -1, 0)


def _opened(source: Any, pixels: bool) -> Image.Image:
    if pixels:
        return Image.fromarray(source)
    return Image.open(source if isinstance(source, Path) else io.BytesIO(np.asarray(source).tobytes()))
