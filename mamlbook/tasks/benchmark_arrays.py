"""Benchmarks whose pictures lie in arrays: in pickles, in npz files and in the archive of CIFAR-100."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mamlbook.checks import kind_of
from mamlbook.tasks.array_pickle import load_arrays, read_arrays
from mamlbook.tasks.benchmark_layouts import Listed, at, grouped, split_by_split
from mamlbook.tasks.kept import md5

ARCHIVE = "cifar-100-python.tar.gz"
CHECKSUM = "eb9058c3a382ffc7106e4002c42a8d85"  # md5, as stated by torchvision.datasets.CIFAR100
PARTS = ("meta", "train", "test")  # what of the archive is needed
# As drawn by Bertinetto et al. (https://arxiv.org/abs/1805.08136); the other 64 of CIFAR-100 are to be learned from.
CIFAR_FS_CLASSES = {
    "validation": "beaver beetle butterfly camel cattle crab crocodile flatfish lamp maple_tree motorcycle otter sea "
    "shark television tractor",
    "test": "baby bed bicycle chimpanzee fox leopard man pickup_truck plain poppy rocket rose snail sweet_pepper table "
    "telephone wardrobe whale woman worm",
}


@split_by_split
def by_class_dict(folder: Path, split: str) -> Listed:
    """A pickle of all pictures, ``image_data``, and of the numbers of those of each class, ``class_dict``."""
    path = at(folder, "mini-imagenet-cache-{split}.pkl", split)
    images, classes = _fields(load_arrays(path), path, "image_data", "class_dict")
    images = _pixels(images, path)
    numbers = [int(number) for chosen in classes.values() for number in chosen]
    if sorted(numbers) != list(range(len(images))):
        raise ValueError(f"{path}: expected each of the {len(images)} pictures in one class; fetch that file again")
    return Listed([path], {str(name): classes[name] for name in sorted(classes)}, lambda: images, pixels=True)


@split_by_split
def by_labels(folder: Path, split: str) -> Listed:
    """A pickle of all pictures, ``data``, and of the number of the class of each, ``labels``."""
    path = at(folder, "CIFAR_FS_{split}.pickle", split)
    images, labels = _fields(load_arrays(path), path, "data", "labels")
    images = _pixels(images, path)
    return Listed([path], grouped(_one_each(labels, len(images), path)), lambda: images, pixels=True)


def by_archive(folder: Path, splits: Sequence[str]) -> dict[str, Listed]:
    """The archive of CIFAR-100, whose classes are told apart by name."""
    path = folder / ARCHIVE
    if (found := md5(path)) != CHECKSUM:
        raise ValueError(f"{path} is damaged: expected md5 {CHECKSUM}, got {found}; fetch that file again")
    content = {}
    with tarfile.open(path, "r|gz") as archive:  # in one go: to look for a file would unpack what is before it twice
        for entry in archive:
            part, file = entry.name.rpartition("/")[2], archive.extractfile(entry)
            if part in PARTS and file:
                content[part] = read_arrays(file, f"{path}: {entry.name}")
    names, groups = (content["meta"][f"{kind}_label_names"] for kind in ("fine", "coarse"))
    fine, coarse = (
        [number for part in ("train", "test") for number in content[part][f"{kind}_labels"]]
        for kind in ("fine", "coarse")
    )
    rows = np.concatenate([content[part]["data"] for part in ("train", "test")])
    images = np.moveaxis(rows.reshape(len(rows), 3, 32, 32), 1, -1)
    classes = grouped([names[label] for label in fine])
    alphabets = {name: groups[coarse[chosen[0]]] for name, chosen in classes.items()}
    wanted = {split: chosen.split() for split, chosen in CIFAR_FS_CLASSES.items()}
    wanted["train"] = [name for name in classes if name not in {*wanted["validation"], *wanted["test"]}]
    return {
        split: Listed([path], {name: classes[name] for name in wanted[split]}, lambda: images, alphabets, pixels=True)
        for split in splits
    }


@split_by_split
def by_encoded_pictures(folder: Path, split: str) -> Listed:
    """A pickle of encoded pictures, and one of labels."""
    path, labels = (at(folder, f"{{split}}_{kind}.pkl", split) for kind in ("images_png", "labels"))
    names, alphabets = _named(labels)
    return Listed([path, labels], grouped(names), lambda: _one_each(load_arrays(path), len(names), path), alphabets)


@split_by_split
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

    return Listed([path, labels], grouped(names), load, alphabets, pixels=True)


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
