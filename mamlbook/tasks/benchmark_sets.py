"""Few-shot benchmarks of photographs: miniImageNet, CIFAR-FS and tieredImageNet, from the files that people have."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mamlbook.files import cache_folder
from mamlbook.tasks import benchmark_arrays as arrays
from mamlbook.tasks import benchmark_layouts as layouts
from mamlbook.tasks.benchmark_layouts import SPLITS, Benchmark, Layout
from mamlbook.tasks.benchmark_packing import pools
from mamlbook.tasks.kept import downloaded
from mamlbook.tasks.pool import Pool

URL = "https://www.cs.toronto.edu/~kriz/"


MINI_IMAGENET = Benchmark(
    "miniImageNet",
    "mini-imagenet",
    (64, 16, 20),
    (38_400, 9_600, 12_000),
    (
        Layout(("images", "{split}.csv"), layouts.by_table),
        Layout(("mini-imagenet-cache-{split}.pkl",), arrays.by_class_dict),
        Layout(("{split}",), layouts.by_folders),
    ),
    "the pickles are at https://zenodo.org/record/7978538 and https://github.com/renmengye/few-shot-ssl-public, the "
    "csv files at https://github.com/twitter/meta-learning-lstm",
)
CIFAR_FS = Benchmark(
    "CIFAR-FS",
    "cifar-fs",
    (64, 16, 20),
    (38_400, 9_600, 12_000),
    (
        Layout(("data", "splits/bertinetto/{split}.txt"), layouts.by_lists),
        Layout(("CIFAR_FS_{split}.pickle",), arrays.by_labels),
        Layout((arrays.ARCHIVE,), arrays.by_archive),
    ),
    "leave it out to download CIFAR-100, or unpack https://zenodo.org/record/7978538/files/cifar100.zip",
)
TIERED_IMAGENET = Benchmark(
    "tieredImageNet",
    "tiered-imagenet",
    (351, 97, 160),
    (448_695, 124_261, 206_209),
    (
        Layout(("{split}_images_png.pkl", "{split}_labels.pkl"), arrays.by_encoded_pictures),
        Layout(("{split}_images.npz", "{split}_labels.pkl"), arrays.by_npz),
    ),
    "the pickles are at https://github.com/renmengye/few-shot-ssl-public, the npz files at "
    "https://github.com/kjunelee/MetaOptNet",
)


def mini_imagenet(
    folder: str | Path | None = None,
    *,
    splits: Sequence[str] = SPLITS,
    size: int = 84,
    cache: str | Path | None = None,
    progress: bool | None = None,
) -> tuple[Pool, ...]:
    """MiniImageNet in its 64 classes to learn from, 16 to choose by and 20 to be judged on, each of 600 photographs.

    ``folder`` holds one of three layouts: train.csv, val.csv and test.csv of Ravi and Larochelle beside a folder
    images; mini-imagenet-cache-train.pkl and so on; or folders train, val and test with a folder of pictures for each
    class. It defaults to mini-imagenet in the folder that the environment variable MAMLBOOK_DATA names. ``splits`` are
    those to be read, in this order. Pictures of another size are brought to ``size`` x ``size`` as a whole, uncut, with
    Lanczos' filter, as in the MAML paper's code. ``cache`` keeps what was decoded from picture files, until a file
    changes; it defaults to MAMLBOOK_CACHE, then to the user's cache folder. ``progress=None`` shows a bar in a terminal
    only.

    The pictures stay uint8 until an episode is drawn: 0.8, 0.2 and 0.25 GB for the three splits, and up to twice that
    while a pickle is read. A pickle is loaded only if it asks for nothing but arrays and containers.

    Shapes: ``images`` of each pool is (classes, 600, 3, size, size).

    Raises:
        FileNotFoundError: the folder or one of its files does not exist.
        ValueError: a file is damaged or is not that of miniImageNet, or two splits share a class.
        OSError: the cache cannot be written.

    References: [Vinyals et al., 2016](https://arxiv.org/abs/1606.04080), whose set it is; Ravi and Larochelle,
    Optimization as a model for few-shot learning, ICLR 2017, for the splits.
    """
    place = _given(MINI_IMAGENET, folder)
    return pools(MINI_IMAGENET, place, splits, size, cache, progress)


def cifar_fs(
    folder: str | Path | None = None,
    *,
    splits: Sequence[str] = SPLITS,
    size: int = 32,
    cache: str | Path | None = None,
    progress: bool | None = None,
) -> tuple[Pool, ...]:
    """CIFAR-FS: CIFAR-100 in 64 classes to learn from, 16 to choose by and 20 to be judged on, each of 600 photographs.

    ``folder`` holds one of three layouts: folders data and splits/bertinetto; CIFAR_FS_train.pickle and so on, whose
    classes are numbers; or cifar-100-python.tar.gz. It defaults to cifar-fs in the folder that the environment variable
    MAMLBOOK_DATA names, and if there is none the archive of CIFAR-100, 169 MB, is downloaded once into the cache. The
    other arguments are those of ``mini_imagenet``. The three splits take 0.18 GB.

    Shapes: ``images`` of each pool is (classes, 600, 3, size, size).

    Raises:
        FileNotFoundError: the folder or one of its files does not exist.
        ModuleNotFoundError: there is no folder, and no pooch to download with.
        ValueError: a file is damaged or is not that of CIFAR-FS, or two splits share a class.
        OSError: the download failed or the cache cannot be written.

    References: [Bertinetto et al., 2019](https://arxiv.org/abs/1805.08136).
    """
    data = os.environ.get("MAMLBOOK_DATA")
    if folder or (data and Path(data, CIFAR_FS.folder).expanduser().exists()):
        place = _given(CIFAR_FS, folder)
    else:
        place = Path(cache).expanduser() if cache else cache_folder()
        shown = sys.stderr.isatty() if progress is None else progress
        downloaded(URL + arrays.ARCHIVE, arrays.CHECKSUM, place, shown, "the archive of CIFAR-100")
    return pools(CIFAR_FS, place, splits, size, cache, progress)


def tiered_imagenet(
    folder: str | Path | None = None,
    *,
    splits: Sequence[str] = SPLITS,
    size: int = 84,
    cache: str | Path | None = None,
    progress: bool | None = None,
) -> tuple[Pool, ...]:
    """TieredImageNet in its 351 classes to learn from, 97 to choose by and 160 to be judged on, of other categories.

    ``folder`` holds train_images_png.pkl and train_labels.pkl and so on, or train_images.npz and train_labels.pkl and
    so on. It defaults to tiered-imagenet in the folder that the environment variable MAMLBOOK_DATA names. The other
    arguments are those of ``mini_imagenet``. ``alphabets`` are the categories where the labels name them.

    The 448,695, 124,261 and 206,209 pictures take 9.5, 2.6 and 4.4 GB at 84 x 84, and as much again once episodes are
    drawn, since classes are of unequal size: read only the ``splits`` that are needed, or at a smaller ``size``, a
    quarter at 42. While a split is decoded its encoded pictures are held as well, and the cache then takes as much on
    disk as the pool in memory.

    Shapes: ``images`` of each pool is a tuple with one (pictures, 3, size, size) for each class.

    Raises:
        FileNotFoundError: the folder or one of its files does not exist.
        ValueError: a file is damaged or is not that of tieredImageNet, or two splits share a class.
        OSError: the cache cannot be written.

    References: [Ren et al., 2018](https://arxiv.org/abs/1803.00676).
    """
    place = _given(TIERED_IMAGENET, folder)
    return pools(TIERED_IMAGENET, place, splits, size, cache, progress)


def _given(benchmark: Benchmark, folder: str | Path | None) -> Path:
    """The folder that is named, or the place of the benchmark in the folder of all data."""
    data = os.environ.get("MAMLBOOK_DATA")
    if not folder and not data:
        raise FileNotFoundError(
            f"folder: expected the folder of {benchmark.title}, got none; name it in folder=, or the one above "
            f"{benchmark.folder} in MAMLBOOK_DATA; {benchmark.source}"
        )
    return (Path(folder) if folder else Path(str(data), benchmark.folder)).expanduser()
