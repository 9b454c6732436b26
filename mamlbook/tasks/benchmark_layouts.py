"""How the pictures of few-shot benchmarks lie in files, and which class each belongs to."""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mamlbook.checks import kind_of
from mamlbook.tasks.array_pickle import load_arrays, read_arrays
from mamlbook.tasks.folders import ENDINGS, picture_classes
from mamlbook.tasks.kept import md5

SPLITS = ("train", "validation", "test")
WORDS = {"train": ("train",), "validation": ("val", "validation"), "test": ("test",)}  # what files call a split

ARCHIVE = "cifar-100-python.tar.gz"
CHECKSUM = "eb9058c3a382ffc7106e4002c42a8d85"  # md5, as stated by torchvision.datasets.CIFAR100
# As drawn by Bertinetto et al. (https://arxiv.org/abs/1805.08136); the other 64 of CIFAR-100 are to be learned from.
CIFAR_FS_CLASSES = {
    "validation": "beaver beetle butterfly camel cattle crab crocodile flatfish lamp maple_tree motorcycle otter sea "
    "shark television tractor",
    "test": "baby bed bicycle chimpanzee fox leopard man pickup_truck plain poppy rocket rose snail sweet_pepper table "
    "telephone wardrobe whale woman worm",
}


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
    """The files that have to be there, where {split} stands for each split, and how one split is read from them."""

    files: tuple[str, ...]
    read: Callable[[Path, str], Listed]

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


# ---------------------------------------------------------------- pictures in files of their own


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


def by_folders(folder: Path, split: str) -> Listed:
    """A folder for each split, with one folder of pictures for each class."""
    root = at(folder, "{split}", split)
    classes = {place.relative_to(root).as_posix(): files for place, files in picture_classes(root).items()}
    return _of_classes(classes)


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
    return Listed(files, _grouped(labels), lambda: files)


# ---------------------------------------------------------------- pictures in arrays


def by_class_dict(folder: Path, split: str) -> Listed:
    """A pickle of all pictures, ``image_data``, and of the numbers of those of each class, ``class_dict``."""
    path = at(folder, "mini-imagenet-cache-{split}.pkl", split)
    images, classes = _fields(load_arrays(path), path, "image_data", "class_dict")
    images = _pixels(images, path)
    numbers = [int(number) for chosen in classes.values() for number in chosen]
    if sorted(numbers) != list(range(len(images))):
        raise ValueError(f"{path}: expected each of the {len(images)} pictures in one class; fetch that file again")
    return Listed([path], {str(name): classes[name] for name in sorted(classes)}, lambda: images, pixels=True)


def by_labels(folder: Path, split: str) -> Listed:
    """A pickle of all pictures, ``data``, and of the number of the class of each, ``labels``."""
    path = at(folder, "CIFAR_FS_{split}.pickle", split)
    images, labels = _fields(load_arrays(path), path, "data", "labels")
    images = _pixels(images, path)
    return Listed([path], _grouped(_one_each(labels, len(images), path)), lambda: images, pixels=True)


def by_archive(folder: Path, split: str) -> Listed:
    """The archive of CIFAR-100, whose classes are told apart by name."""
    path = folder / ARCHIVE
    if (found := md5(path)) != CHECKSUM:
        raise ValueError(f"{path} is damaged: expected md5 {CHECKSUM}, got {found}; fetch that file again")
    with tarfile.open(path) as archive:
        content = {}
        for part in ("meta", "train", "test"):
            file = archive.extractfile(f"cifar-100-python/{part}")
            assert file is not None  # it is in the archive of that checksum
            content[part] = read_arrays(file, f"{path}: {part}")
    names, groups = (content["meta"][f"{kind}_label_names"] for kind in ("fine", "coarse"))
    fine, coarse = (
        [number for part in ("train", "test") for number in content[part][f"{kind}_labels"]]
        for kind in ("fine", "coarse")
    )
    images = np.concatenate([content[part]["data"] for part in ("train", "test")])
    images = np.moveaxis(images.reshape(len(images), 3, 32, 32), 1, -1)
    wanted = set(CIFAR_FS_CLASSES[split].split()) if split in CIFAR_FS_CLASSES else _left(names)
    classes = {name: chosen for name, chosen in _grouped([names[label] for label in fine]).items() if name in wanted}
    alphabets = {name: groups[coarse[chosen[0]]] for name, chosen in classes.items()}
    return Listed([path], classes, lambda: images, alphabets, pixels=True)


def _left(names: Iterable[str]) -> set[str]:
    return set(names) - {name for given in CIFAR_FS_CLASSES.values() for name in given.split()}


def by_encoded_pictures(folder: Path, split: str) -> Listed:
    """A pickle of encoded pictures, and one of labels."""
    path, labels = (at(folder, f"{{split}}_{kind}.pkl", split) for kind in ("images_png", "labels"))
    names, alphabets = _named(labels)
    return Listed([path, labels], _grouped(names), lambda: _one_each(load_arrays(path), len(names), path), alphabets)


def by_npz(folder: Path, split: str) -> Listed:
    """An npz of all pictures, ``images``, and a pickle of labels."""
    path, labels = (at(folder, f"{{split}}_{kind}", split) for kind in ("images.npz", "labels.pkl"))
    names, alphabets = _named(labels)

    def load() -> np.ndarray:
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                images = arrays["images"]
        except Exception as error:  # a damaged archive raises whatever it likes
            raise ValueError(f"{path} is damaged or holds no images: {error}; fetch that file again") from None
        return _pixels(_one_each(images, len(names), path), path)

    return Listed([path, labels], _grouped(names), load, alphabets, pixels=True)


def _named(path: Path) -> tuple[Sequence[Any], dict[str, str]]:
    """The class of each picture, by number or by category and name, and the category of each class that has one."""
    content = load_arrays(path)
    if isinstance(content, dict) and "labels" in content:
        return content["labels"], {}
    fields = ("label_specific", "label_specific_str", "label_general", "label_general_str")
    specific, names, general, categories = _fields(content, path, *fields)
    _one_each(general, len(specific), path)
    # Two classes of different categories may share a word.
    full = [f"{categories[g]}/{names[s]}" for g, s in zip(general, specific, strict=True)]
    return full, {name: categories[g] for name, g in zip(full, general, strict=True)}


def _fields(content: Any, path: Path, *names: str) -> list[Any]:
    """What a dictionary holds under these names."""
    if not isinstance(content, dict) or not set(names) <= set(content):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else kind_of(content)
        raise ValueError(f"{path}: expected {', '.join(names)}, got {found}; fetch that file again")
    return [content[name] for name in names]


def _one_each(values: Any, count: int, path: Path) -> Any:
    found = len(values) if isinstance(values, list | tuple | np.ndarray) else kind_of(values)
    if found != count:
        raise ValueError(f"{path}: expected one for each of {count} pictures, got {found}; fetch the files again")
    return values


def _pixels(images: Any, path: Path) -> np.ndarray:
    pixels = np.asarray(images)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[-1] != 3:
        raise ValueError(
            f"{path}: expected pictures (pictures, height, width, 3) of uint8, got {pixels.dtype} {pixels.shape}; "
            "fetch that file again"
        )
    return pixels


def _grouped(labels: Iterable[Any]) -> dict[str, list[int]]:
    """The numbers of the pictures of each class, in the order of the classes' labels."""
    classes: dict[Any, list[int]] = {}
    for number, label in enumerate(labels):
        classes.setdefault(label, []).append(number)
    return {str(label): classes[label] for label in sorted(classes)}
