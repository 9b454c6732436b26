"""Omniglot: 1623 characters of 50 alphabets, each drawn by 20 people."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from mamlbook.devices import on_cpu
from mamlbook.files import cache_folder
from mamlbook.tasks import omniglot_zip
from mamlbook.tasks.kept import cached, downloaded, md5
from mamlbook.tasks.pool import Pool

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
CHECKSUMS = {  # md5, as stated by torchvision.datasets.Omniglot
    "images_background.zip": "68d2efa1b9178cc56df9314c21c6e718",
    "images_evaluation.zip": "6b91aef0f799c5bb55b94e3f2daec811",
}
TRAINING_CHARACTERS = 1200
PACKING = 1  # a new number turns every older cache file into an unknown one


def omniglot(folder: str | Path | None = None, *, cache: str | Path | None = None, progress: bool = True) -> Pool:
    """All of Omniglot at 28 x 28, from the zips in ``folder`` or downloaded once.

    ``folder`` holds images_background.zip and images_evaluation.zip; it defaults to the environment variable
    MAMLBOOK_DATA, and without either the zips are downloaded. ``cache`` keeps the shrunk drawings, which later calls
    find with or without a folder, and a download; it defaults to MAMLBOOK_CACHE, then to the user's cache folder.
    ``looks`` are the official character numbers.

    Shapes: ``images`` is (1623, 20, 28, 28), in the order of zips, alphabets and characters.

    Raises:
        FileNotFoundError: the folder or one of its zips does not exist.
        ModuleNotFoundError: there is no folder, and no pooch to download with.
        ValueError: a zip is damaged or is not the Omniglot one.
        OSError: the download failed or the cache cannot be written.

    References: Lake, Salakhutdinov and Tenenbaum, Science 350, 2015; https://github.com/brendenlake/omniglot (MIT).
    """
    folder = folder or os.environ.get("MAMLBOOK_DATA")
    cache = Path(cache).expanduser() if cache else cache_folder()
    zips = _found(Path(folder).expanduser()) if folder else None
    checksums = [md5(path) for path in zips] if zips else list(CHECKSUMS.values())
    key = hashlib.sha256(repr((PACKING, checksums)).encode()).hexdigest()[:16]
    packed = cache / f"omniglot-{PACKING}-{key}.npz"
    # Without zips to compare with, whatever was packed before from a folder will do.
    others = [] if zips else sorted(cache.glob(f"omniglot-{PACKING}-{'[0-9a-f]' * 16}.npz"))
    for known in (packed, *others):
        # A cache file that cannot be read, for whatever reason, is like none: it is made again.
        with suppress(Exception):
            return _loaded(known)
    with cached(packed) as temporary:
        _pack(zips or _downloaded(cache, progress), temporary, progress)
        return _loaded(temporary)


def background(pool: Pool) -> Pool:
    """The characters of the 30 alphabets, 964 in all, that the authors of Omniglot meant to be learnt from."""
    return _of_alphabets(pool, "images_background.zip")


def evaluation(pool: Pool) -> Pool:
    """The characters of the 20 alphabets, 659 in all, that the authors of Omniglot meant to be judged on."""
    return _of_alphabets(pool, "images_evaluation.zip")


@on_cpu()
def paper_split(pool: Pool, seed: int = 1) -> tuple[Pool, Pool]:
    """All characters, shuffled whatever their alphabet: 1200 to learn from and 423 to be judged on.

    Raises:
        ValueError: the pool is not the whole of Omniglot.

    References: [Finn et al., 2017](https://arxiv.org/abs/1703.03400), section 5.2.
    """
    if len(pool) != _count():
        raise ValueError(f"pool: expected all {_count()} characters of Omniglot, got {len(pool)}; pass omniglot()")
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))
    return pool[order[:TRAINING_CHARACTERS]], pool[order[TRAINING_CHARACTERS:]]


@on_cpu()
def _of_alphabets(pool: Pool, zip_name: str) -> Pool:
    return pool[torch.tensor([alphabet in omniglot_zip.ALPHABETS[zip_name] for alphabet in pool.alphabets])]


def _count() -> int:
    return sum(sum(sizes.values()) for sizes in omniglot_zip.ALPHABETS.values())


def _found(folder: Path) -> list[Path]:
    """The two zips of a folder."""
    zips = [folder / name for name in omniglot_zip.ALPHABETS]
    for path in zips:
        if not path.is_file():
            trouble = f"{folder} holds no {path.name}" if folder.is_dir() else f"{folder} is not a folder"
            raise FileNotFoundError(
                f"folder: {trouble}; name the folder of the two Omniglot zips in folder= or MAMLBOOK_DATA, "
                "or leave both out to download them"
            )
    return zips


def _downloaded(cache: Path, progress: bool) -> list[Path]:
    """The two zips in the cache, fetched where they are missing."""
    return [downloaded(URL + name, checksum, cache, progress, "both zips") for name, checksum in CHECKSUMS.items()]


def _pack(zips: list[Path], packed: Path, progress: bool) -> None:
    """Read, check and shrink every drawing, and write them as one file."""
    characters = omniglot_zip.characters(zips)
    bar = tqdm(characters, "Omniglot", _count(), unit=" characters", disable=not progress)
    alphabets, names, numbers, images = zip(*bar, strict=True)
    with packed.open("wb") as file:
        np.savez(file, alphabets=alphabets, names=names, numbers=numbers, images=np.stack(images))


def _loaded(packed: Path) -> Pool:
    with packed.open("rb") as file, np.load(file) as arrays:
        alphabets, names = arrays["alphabets"].tolist(), arrays["names"].tolist()
        images, numbers = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["numbers"])
    full_names = tuple(f"{alphabet}/{name}" for alphabet, name in zip(alphabets, names, strict=True))
    return Pool(images, full_names, tuple(alphabets), numbers)
