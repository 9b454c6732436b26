"""How the pictures of few-shot benchmarks lie in files, and which class each belongs to."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mamlbook.tasks.folders import ENDINGS, picture_classes

SPLITS = ("train", "validation", "test")
WORDS = {"train": ("train",), "validation": ("val", "validation"), "test": ("test",)}  # what files call a split


class Listed(NamedTuple):
    """The pictures of one split: ``classes`` has the numbers of those of each class among what ``load`` gives.

    Those are paths, or encoded pictures as bytes in arrays of uint8, or one array (pictures, height, width, 3) of
    pixels. ``files`` are the files they come from.
    """

    files: Sequence[Path]
    classes: Mapping[str, Sequence[int]]
    load: Callable[[], Any]
    alphabets: Mapping[str, str] = {}
    pixels: bool = False


class Layout(NamedTuple):
    """The files that have to be there, where {split} stands for each split, and how the splits are read from them."""

    files: tuple[str, ...]
    read: Callable[[Path, Sequence[str]], dict[str, Listed]]

    def paths(self, folder: Path, splits: Iterable[str]) -> list[Path]:
        """Where in the folder each of the files should be."""
        return list(dict.fromkeys(at(folder, file, split) for split in splits for file in self.files))


class Benchmark(NamedTuple):
    """What a benchmark must hold in any of its layouts: so many classes and pictures in each of ``SPLITS``.

    ``folder`` is its usual place in the folder of all data, and ``source`` says where one gets its files.
    """

    title: str
    folder: str
    classes: tuple[int, int, int]
    pictures: tuple[int, int, int]
    layouts: tuple[Layout, ...]
    source: str


def at(folder: Path, file: str, split: str) -> Path:
    """The file of a split, by the first of its names that there is."""
    paths = [folder / file.format(split=word) for word in WORDS[split]]
    return next((path for path in paths if path.exists()), paths[0])


def split_by_split(read: Callable[[Path, str], Listed]) -> Callable[[Path, Sequence[str]], dict[str, Listed]]:
    """A reader of splits, from one of a split that has files of its own."""
    return lambda folder, splits: {split: read(folder, split) for split in splits}


def grouped(labels: Iterable[Any]) -> dict[str, list[int]]:
    """The numbers of the pictures of each class, in the order of the classes' labels."""
    classes: dict[Any, list[int]] = {}
    for number, label in enumerate(labels):
        classes.setdefault(label, []).append(number)
    return {str(label): classes[label] for label in sorted(classes)}


# ---------------------------------------------------------------- pictures in files of their own


@split_by_split
def by_table(folder: Path, split: str) -> Listed:
    """A csv with a column of file names and one of classes, beside a folder of all pictures."""
    table, pictures = at(folder, "{split}.csv", split), folder / "images"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file, skipinitialspace=True))
    if not rows or not all(row.get("filename") and row.get("label") for row in rows):
        raise ValueError(f"{table}: expected rows of filename,label below a line that says so; fetch that file again")
    there = {path.name for path in pictures.iterdir()}
    if absent := [row["filename"] for row in rows if row["filename"] not in there]:
        raise FileNotFoundError(
            f"{table} names {len(absent)} pictures that {pictures} does not hold, such as {absent[0]}; copy them there"
        )
    return _of_files([pictures / row["filename"] for row in rows], [row["label"] for row in rows])


@split_by_split
def by_folders(folder: Path, split: str) -> Listed:
    """A folder for each split, with one folder of pictures for each class."""
    root = at(folder, "{split}", split)
    classes = {place.relative_to(root).as_posix(): files for place, files in picture_classes(root).items()}
    return _of_classes(classes)


@split_by_split
def by_lists(folder: Path, split: str) -> Listed:
    """One folder of pictures for each class, and a list of the classes of each split."""
    names = at(folder, "splits/bertinetto/{split}.txt", split)
    classes = {}
    for name in names.read_text().split():
        place = folder / "data" / name
        found = place.iterdir() if place.is_dir() else ()
        classes[name] = sorted(file for file in found if file.suffix.lower() in ENDINGS and file.name[0] != ".")
        if not classes[name]:
            raise FileNotFoundError(f"{names} names the class {name}, of which {place} holds no pictures; copy them")
    return _of_classes(classes)


def _of_classes(classes: Mapping[str, Sequence[Path]]) -> Listed:
    files = [file for pictures in classes.values() for file in pictures]
    return _of_files(files, [name for name, pictures in classes.items() for _ in pictures])


def _of_files(files: Sequence[Path], labels: Sequence[str]) -> Listed:
    return Listed(files, grouped(labels), lambda: files)
