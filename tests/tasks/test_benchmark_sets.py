"""Few-shot benchmarks from made files: every layout is read right, and what is wrong with the files is said."""

import hashlib
import importlib
import io
import os
import pickle
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import cross_entropy

from mamlbook import ALGORITHMS, Model
from mamlbook.tasks import Episodes, benchmark_arrays, benchmark_packing, cifar_fs, mini_imagenet, tiered_imagenet
from mamlbook.tasks.array_pickle import load_arrays

# Not `import mamlbook.tasks.benchmark_sets`: the tests replace what its functions expect.
MODULE = importlib.import_module("mamlbook.tasks.benchmark_sets")
EACH = 4  # pictures of a class
CLASSES = {"train": ("n01", "n02", "n03"), "val": ("n04", "n05"), "test": ("n06", "n07")}
"""Miniature splits, by the names that files have."""
NUMBERS = {name: number for number, name in enumerate(sum(CLASSES.values(), ()))}
READERS = {"mini": mini_imagenet, "cifar": cifar_fs, "tiered": tiered_imagenet}


def picture(name, number, size=8):
    """Red tells the class, green the picture; blue falls from left to right, so that nothing may be mirrored."""
    pixels = np.zeros((size, size, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = 20 * NUMBERS[name] + 10, 50 * number + 5
    pixels[..., 2] = np.linspace(200, 0, size).astype(np.uint8)
    return pixels


def pictures(split, size=8):
    """All pictures of a split and the class of each, class after class in turns: 1, 2, 3, 1, 2, 3, ..."""
    names = [name for _ in range(EACH) for name in CLASSES[split]]
    return np.stack([picture(name, place // len(CLASSES[split]), size) for place, name in enumerate(names)]), names


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def save(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, 2))  # 2 is what Python 2 wrote


# ---------------------------------------------------------------- the layouts


def mini_table(folder):
    for split in CLASSES:
        images, names = pictures(split)
        rows = [f"{name}{number:04}.png,{name}" for number, name in enumerate(names)]
        for row, pixels in zip(rows, images, strict=True):
            save(folder / "images" / row.split(",")[0], png(pixels))
        (folder / f"{split}.csv").write_text("\n".join(["filename,label", *rows]) + "\n")


def mini_pickles(folder):
    for split in CLASSES:
        images, names = pictures(split)
        indices = {name: [i for i, other in enumerate(names) if other == name] for name in CLASSES[split]}
        save(folder / f"mini-imagenet-cache-{split}.pkl", {"image_data": images, "class_dict": indices})


def mini_folders(folder):
    for split in CLASSES:
        for number, (pixels, name) in enumerate(zip(*pictures(split), strict=True)):
            save(folder / split / name / f"{number:04}.png", png(pixels))


def cifar_folders(folder):
    for split, classes in CLASSES.items():
        for number, (pixels, name) in enumerate(zip(*pictures(split), strict=True)):
            save(folder / "data" / name / f"{number:04}.png", png(pixels))
        save(folder / f"splits/bertinetto/{split}.txt", "\n".join(classes).encode())


def cifar_pickles(folder):
    for split in CLASSES:
        images, names = pictures(split)
        save(folder / f"CIFAR_FS_{split}.pickle", {"data": images, "labels": [NUMBERS[name] for name in names]})


def cifar_archive(folder):
    """Three pictures of a class are in the part to train on and one in the part to test on, 32 x 32, as rows."""
    meta = {"fine_label_names": list(NUMBERS), "coarse_label_names": ["even", "odd"]}
    parts = {"meta": meta}
    for part, chosen in (("train", range(EACH - 1)), ("test", [EACH - 1])):
        labelled = [(name, number) for number in chosen for name in NUMBERS]
        rows = [np.moveaxis(picture(name, number, 32), -1, 0).reshape(-1) for name, number in labelled]
        fine = [NUMBERS[name] for name, _ in labelled]
        parts[part] = {"data": np.stack(rows), "fine_labels": fine, "coarse_labels": [label % 2 for label in fine]}
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / benchmark_arrays.ARCHIVE, "w:gz") as archive:
        for part, content in ("file.txt~", None), *parts.items():  # as the real one has it
            written = b"" if content is None else pickle.dumps(content, 2)
            entry = tarfile.TarInfo(f"cifar-100-python/{part}")
            entry.size = len(written)
            archive.addfile(entry, io.BytesIO(written))


def tiered_labels(split):
    """As in the files of Ren et al.: numbers begin anew in every split, and two classes may share a word."""
    own = {name: number for number, name in enumerate(CLASSES[split])}
    _, names = pictures(split)
    return {
        "label_specific": np.array([own[name] for name in names]),
        "label_specific_str": ["crane", *CLASSES[split][1:]],
        "label_general": np.array([own[name] % 2 for name in names]),
        "label_general_str": [f"{split} birds", f"{split} machines"],
    }


def tiered_png(folder):
    for split in CLASSES:
        encoded = [np.frombuffer(png(pixels), np.uint8)[:, None] for pixels in pictures(split)[0]]
        save(folder / f"{split}_images_png.pkl", encoded)
        save(folder / f"{split}_labels.pkl", tiered_labels(split))


def tiered_npz(folder, named=False):
    folder.mkdir(parents=True, exist_ok=True)
    for split in CLASSES:
        images, names = pictures(split)
        np.savez(folder / f"{split}_images.npz", images=images)
        numbers = {"labels": [NUMBERS[name] for name in names]}
        save(folder / f"{split}_labels.pkl", tiered_labels(split) if named else numbers)


LAYOUTS = {
    layout.__name__: layout
    for layout in (
        mini_table,
        mini_pickles,
        mini_folders,
        cifar_folders,
        cifar_pickles,
        cifar_archive,
        tiered_png,
        tiered_npz,
    )
}


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    """The miniature is what the package expects for now, and nothing outside names a folder."""
    monkeypatch.delenv("MAMLBOOK_DATA", raising=False)
    monkeypatch.delenv("MAMLBOOK_CACHE", raising=False)
    counts = {"classes": (3, 2, 2), "pictures": (3 * EACH, 2 * EACH, 2 * EACH)}
    for name in ("MINI_IMAGENET", "CIFAR_FS", "TIERED_IMAGENET"):
        monkeypatch.setattr(MODULE, name, getattr(MODULE, name)._replace(**counts))
    left = {"validation": " ".join(CLASSES["val"]), "test": " ".join(CLASSES["test"])}
    monkeypatch.setattr(benchmark_arrays, "CIFAR_FS_CLASSES", left)


@pytest.fixture
def load(tmp_path):
    """A reader of the miniature, at 8 x 8."""

    def read(layout, folder=None, **options):
        given = {"size": 8, "cache": tmp_path / "cache", "progress": False} | options
        return READERS[layout.partition("_")[0]](folder or tmp_path / layout, **given)

    return read


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Make the files of a layout."""

    def make(layout):
        folder = tmp_path / layout
        LAYOUTS[layout](folder)
        if layout == "cifar_archive":
            checksum = hashlib.md5((folder / benchmark_arrays.ARCHIVE).read_bytes()).hexdigest()
            monkeypatch.setattr(benchmark_arrays, "CHECKSUM", checksum)
        return folder

    return make


@pytest.fixture
def cached(tmp_path):
    """What the cache holds."""
    return lambda: sorted(path.name for path in (tmp_path / "cache").glob("*"))


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_pictures(made, load, layout):
    made(layout)
    size = 32 if layout == "cifar_archive" else 8
    splits = load(layout, size=size)
    for split, pool in zip(CLASSES, splits, strict=True):
        assert pool.images.shape == (len(CLASSES[split]), EACH, 3, size, size)
        assert pool.images.dtype == torch.uint8
        # Categories and words have an order of their own; red tells which class it is.
        order = pool.images[:, 0, 0, 0, 0].argsort().tolist()
        expected = [[picture(name, number, size) for number in range(EACH)] for name in CLASSES[split]]
        assert np.array_equal(pool.images[order].numpy(), np.moveaxis(np.array(expected), -1, 2))
    names = [name for pool in splits for name in pool.names]
    assert len(set(names)) == len(NUMBERS)


@pytest.mark.parametrize("layout", ["mini_table", "mini_pickles", "mini_folders", "cifar_folders", "cifar_archive"])
def test_classes_bear_their_names(made, load, layout):
    made(layout)
    assert [pool.names for pool in load(layout)] == [*CLASSES.values()]


def test_classes_of_one_word_are_told_apart_by_their_categories(made, load, tmp_path):
    made("tiered_png")
    train, *_ = load("tiered_png")
    assert train.names == ("train birds/crane", "train birds/n03", "train machines/n02")
    assert train.alphabets == ("train birds", "train birds", "train machines")
    tiered_npz(tmp_path / "tiered_npz", named=True)
    again, *_ = load("tiered_npz")
    assert (again.names, again.alphabets) == (train.names, train.alphabets)
    assert torch.equal(again.images, train.images)


def test_the_archive_of_cifar_knows_groups(made, load):
    made("cifar_archive")
    assert load("cifar_archive")[0].alphabets == ("even", "odd", "even")


def test_the_splits_of_cifar_fs_part_the_classes(monkeypatch):
    monkeypatch.undo()
    validation, test = (benchmark_arrays.CIFAR_FS_CLASSES[split].split() for split in ("validation", "test"))
    assert (len(set(validation)), len(set(test))) == (16, 20)
    assert not set(validation) & set(test)


def test_the_sizes_are_those_of_the_literature(monkeypatch):
    monkeypatch.undo()
    sets = [MODULE.MINI_IMAGENET, MODULE.CIFAR_FS, MODULE.TIERED_IMAGENET]
    assert [s.classes for s in sets] == [(64, 16, 20), (64, 16, 20), (351, 97, 160)]
    assert [sum(s.pictures) for s in sets] == [60_000, 60_000, 779_165]


def test_the_splits_that_are_asked_for_in_that_order(made, load):
    folder = made("mini_table")
    (folder / "train.csv").unlink()
    test, validation = load("mini_table", splits=["test", "validation"])
    assert (test.names, validation.names) == (CLASSES["test"], CLASSES["val"])


def test_validation_may_be_called_in_full(made, load):
    folder = made("mini_pickles")
    (folder / "mini-imagenet-cache-val.pkl").rename(folder / "mini-imagenet-cache-validation.pkl")
    assert load("mini_pickles")[1].names == CLASSES["val"]


def test_classes_of_unequal_size(made, load, monkeypatch):
    monkeypatch.setattr(MODULE, "MINI_IMAGENET", MODULE.MINI_IMAGENET._replace(pictures=(11, 8, 8)))
    folder = made("mini_folders")
    (folder / "train/n02/0001.png").unlink()
    train, *_ = load("mini_folders")
    assert train.counts.tolist() == [4, 3, 4]
    assert train.images[1][:, 1, 0, 0].tolist() == [55, 105, 155]


@pytest.mark.parametrize("layout", ["mini_pickles", "mini_table", "tiered_png"])
def test_pictures_are_brought_to_a_size_as_a_whole(made, load, layout):
    made(layout)
    (test,) = load(layout, size=4, splits=("test",))
    first = test.images[0, 0].float()
    assert first.shape == (3, 4, 4)
    blue = np.linspace(200, 0, 8).astype(np.uint8).reshape(4, 2).mean(1)
    assert (first[2] - torch.tensor(blue)).abs().max() < 12, "both edges are there, and left is left"
    assert (first[1] == 5).all()


def test_grey_and_transparent_pictures_become_coloured(made, load):
    folder = made("mini_folders")
    Image.fromarray(np.full((8, 8), 77, np.uint8)).save(folder / "test/n06/0000.png")
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(folder / "test/n06/0002.png")
    *_, test = load("mini_folders")
    assert test.images[0, :2, :, 3, 3].tolist() == [[77] * 3, [255] * 3]


# ---------------------------------------------------------------- the cache


@pytest.mark.parametrize("layout", ["mini_table", "mini_folders", "cifar_folders", "tiered_png"])
def test_decoded_pictures_are_kept(made, load, cached, layout, monkeypatch):
    made(layout)
    first = load(layout)
    assert len(cached()) == 3
    with monkeypatch.context() as patch:
        patch.setattr(benchmark_packing, "_packed", None)
        second = load(layout)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.images, other.images)
        assert (one.names, one.alphabets) == (other.names, other.alphabets)


@pytest.mark.parametrize("layout", ["mini_pickles", "cifar_pickles", "cifar_archive", "tiered_npz"])
def test_what_is_an_array_already_is_not_kept_twice(made, load, cached, layout):
    made(layout)
    load(layout)
    assert cached() == []


def test_a_changed_picture_is_seen(made, load):
    folder = made("mini_table")
    load("mini_table")
    file = folder / "images/n060000.png"
    before = file.stat()
    file.write_bytes(png(np.full((8, 8, 3), 99, np.uint8)))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert (load("mini_table")[2].images[0, 0] == 99).all()


@pytest.mark.parametrize("damage", ["empty", "half", "flipped", "other arrays"])
def test_a_damaged_cache_is_made_again(made, load, cached, tmp_path, damage):
    made("mini_table")
    first = load("mini_table")
    files = cached()
    for path in (tmp_path / "cache").iterdir():
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 255
        if damage == "other arrays":
            np.savez(path, images=np.zeros((12, 3, 8, 8)))
        else:
            path.write_bytes({"empty": b"", "half": whole[: len(whole) // 2], "flipped": bytes(flipped)}[damage])
    assert all(torch.equal(a.images, b.images) for a, b in zip(first, load("mini_table"), strict=True))
    assert cached() == files


def test_a_cache_that_cannot_be_written_is_explained(made, load, tmp_path):
    made("mini_table")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cache: .*file cannot be written: .*; name a folder that can in cache="):
        load("mini_table", cache=tmp_path / "file")


# ---------------------------------------------------------------- what is missing or broken


def test_a_folder_that_is_none_is_explained(load, tmp_path, monkeypatch):
    for read in (mini_imagenet, tiered_imagenet):
        with pytest.raises(FileNotFoundError, match=r"^folder: expected the folder of \w+, got none; name it .*https:"):
            read()
    with pytest.raises(FileNotFoundError, match=r"^folder: expected the folder of miniImageNet, .*nowhere does not"):
        load("mini_table", tmp_path / "nowhere")
    (tmp_path / "pictures.zip").write_bytes(b"PK")
    with pytest.raises(FileNotFoundError, match=r"pictures.zip is a file; unpack it first"):
        load("cifar_folders", tmp_path / "pictures.zip")
    monkeypatch.setenv("MAMLBOOK_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"tiered-imagenet does not exist"):
        tiered_imagenet()


def test_the_environment_names_the_folders(tmp_path, monkeypatch):
    mini_table(tmp_path / "data/mini-imagenet")
    monkeypatch.setenv("MAMLBOOK_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("MAMLBOOK_CACHE", str(tmp_path / "elsewhere"))
    assert [len(pool) for pool in mini_imagenet(progress=False)] == [3, 2, 2]
    assert len(list((tmp_path / "elsewhere").glob("mini-imagenet-*.npz"))) == 3


def test_an_empty_folder_is_told_what_could_be_there(load, tmp_path):
    (tmp_path / "empty").mkdir()
    known = r"images and \{split\}.csv; or mini-imagenet-cache-\{split\}.pkl; or \{split\}, with train, val and test"
    with pytest.raises(FileNotFoundError, match=rf"^folder: expected miniImageNet as {known} .* none of it; .*http"):
        load("mini_table", tmp_path / "empty")


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("mini_table", "val.csv"),
        ("mini_pickles", "mini-imagenet-cache-test.pkl"),
        ("cifar_folders", "splits/bertinetto/train.txt"),
        ("cifar_pickles", "CIFAR_FS_val.pickle"),
        ("tiered_png", "test_labels.pkl"),
        ("tiered_png", "train_images_png.pkl"),
        ("tiered_npz", "val_images.npz"),
    ],
)
def test_a_missing_file_is_named(made, load, cached, layout, file):
    folder = made(layout)
    (folder / file).unlink()
    with pytest.raises(FileNotFoundError, match=rf"^folder: .* holds no {file}, which [\w-]+ .* needs; put .*; .*htt"):
        load(layout)
    assert cached() == []


def test_a_picture_that_the_table_names_and_that_is_not_there(made, load, cached):
    folder = made("mini_table")
    (folder / "images/n060000.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"test.csv names 1 pictures that .*images does not hold, such as n06"):
        load("mini_table")
    assert cached() == []


@pytest.mark.parametrize("text", ["", "n060000.png,n06\n", "filename,label\nn060000.png\n"])
def test_a_table_without_its_columns(made, load, text):
    folder = made("mini_table")
    (folder / "test.csv").write_text(text)
    with pytest.raises(ValueError, match=r"test.csv: expected rows of filename,label below a line that says so; fetch"):
        load("mini_table")


def test_a_class_that_the_list_names_and_that_is_not_there(made, load):
    folder = made("cifar_folders")
    save(folder / "splits/bertinetto/val.txt", b"n04\nn99\n")
    with pytest.raises(FileNotFoundError, match=r"val.txt names the class n99, of which .*n99 holds no pictures; copy"):
        load("cifar_folders")


@pytest.mark.parametrize("layout", ["mini_table", "mini_folders", "tiered_png"])
@pytest.mark.parametrize("content", [b"", b"no picture", "half"])
def test_a_picture_that_cannot_be_decoded_is_named(made, load, cached, layout, content):
    folder = made(layout)
    noise = png(np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8))
    broken = noise[:900] if content == "half" else content
    if layout == "tiered_png":
        path = folder / "test_images_png.pkl"
        encoded = pickle.loads(path.read_bytes())
        save(path, [np.frombuffer(broken, np.uint8), *encoded[1:]])
        name = "test_images_png.pkl: picture 0"
    else:
        path = folder / ("images/n060000.png" if layout == "mini_table" else "test/n06/0000.png")
        path.write_bytes(broken)
        name = path.name
    with pytest.raises(ValueError, match=rf"{name} cannot be read as a picture: .*; fetch that file again"):
        load(layout)
    assert len(cached()) == 2, "the other splits are whole"
    assert not [file for file in cached() if "partial" in file or "test" in file]


@pytest.mark.parametrize(
    ("layout", "file"),
    [
        ("mini_pickles", "mini-imagenet-cache-val.pkl"),
        ("cifar_pickles", "CIFAR_FS_train.pickle"),
        ("tiered_png", "test_images_png.pkl"),
        ("tiered_npz", "test_labels.pkl"),
    ],
)
@pytest.mark.parametrize("content", ["half", b"", b"<html>404</html>"])
def test_a_truncated_pickle_is_named(made, load, layout, file, content):
    path = made(layout) / file
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content == "half" else content)
    with pytest.raises(ValueError, match=rf"{file} is damaged or no pickle: .+; fetch that file again"):
        load(layout)


def test_a_truncated_npz_is_named(made, load):
    path = made("tiered_npz") / "train_images.npz"
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"train_images.npz is damaged or holds no images: .+; fetch that file again"):
        load("tiered_npz")


@pytest.mark.parametrize(
    ("layout", "file", "content", "message"),
    [
        (
            "mini_pickles",
            "mini-imagenet-cache-val.pkl",
            {"data": 1},
            "expected image_data, class_dict, got data; f",
        ),
        ("mini_pickles", "mini-imagenet-cache-val.pkl", [1, 2], "expected image_data, class_dict, got list; fetch"),
        (
            "mini_pickles",
            "mini-imagenet-cache-val.pkl",
            {"image_data": np.zeros((2, 8, 8, 3), np.uint8), "class_dict": {"n04": [0], "n05": [0]}},
            "expected each of the 2 pictures in one class; fetch",
        ),
        (
            "mini_pickles",
            "mini-imagenet-cache-val.pkl",
            {"image_data": np.zeros((2, 8, 8, 3)), "class_dict": {}},
            r"expected pictures \(pictures, height, width, 3\) of uint8, got float64 \(2, 8, 8, 3\); fetch",
        ),
        (
            "mini_pickles",
            "mini-imagenet-cache-val.pkl",
            {"image_data": np.zeros((2, 8, 8, 3), np.uint8), "class_dict": 7},
            "the files of miniImageNet hold something else than they should: .*; fetch them again",
        ),
        (
            "cifar_pickles",
            "CIFAR_FS_val.pickle",
            {"data": np.zeros((3, 8, 8, 3), np.uint8), "labels": [3, 4]},
            "expected one for each of 3 pictures, got 2; fetch",
        ),
        ("tiered_png", "val_images_png.pkl", {"images": 1}, "expected one for each of 8 pictures, got dict; fetch"),
        (
            "tiered_npz",
            "val_labels.pkl",
            {"labels": [0]},
            "the whole validation split of tieredImageNet: it should",
        ),
    ],
)
def test_a_pickle_of_something_else(made, load, layout, file, content, message):
    save(made(layout) / file, content)
    with pytest.raises(ValueError, match=message):
        load(layout)


@pytest.mark.parametrize("layout", ["mini_pickles", "mini_folders"])
def test_a_wrong_count_of_classes(made, load, layout, monkeypatch):
    made(layout)
    monkeypatch.setattr(MODULE, "MINI_IMAGENET", MODULE.MINI_IMAGENET._replace(classes=(3, 2, 5)))
    with pytest.raises(ValueError, match=r"is not the whole test split of miniImageNet: it should have 5 classes and"):
        load(layout)


def test_a_wrong_count_of_pictures(made, load):
    folder = made("mini_folders")
    (folder / "train/n02/0001.png").unlink()
    with pytest.raises(ValueError, match=r"the whole train split of miniImageNet: it should have 12 pictures and has"):
        load("mini_folders")


@pytest.mark.parametrize("layout", ["mini_table", "mini_pickles", "cifar_folders", "cifar_pickles", "tiered_png"])
def test_a_class_in_two_splits(made, load, cached, layout, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(CLASSES, "test", ("n04", "n07"))
        folder = made(layout)
        if layout == "tiered_png":
            save(folder / "test_labels.pkl", tiered_labels("val"))
    shared = {"cifar_pickles": "3", "tiered_png": "val birds/crane"}.get(layout, "n04")
    with pytest.raises(ValueError, match=rf"in one split each, got '{shared}' in validation and in test; fetch"):
        load(layout)
    assert cached() == []


@pytest.mark.parametrize("splits", ["train", (), ("train", "train"), ("val",)])
def test_splits_that_are_none(made, load, splits):
    made("mini_table")
    with pytest.raises(ValueError, match=r"splits: expected some of \('train', 'validation', 'test'\), each once, as"):
        load("mini_table", splits=splits)


def test_a_size_that_is_none(made, load):
    made("mini_table")
    with pytest.raises(ValueError, match="size: expected a whole number of pixels of at least 1, got 0"):
        load("mini_table", size=0)


# ---------------------------------------------------------------- pickles that are programs


class Program:
    """What runs when it is loaded."""

    def __init__(self, call, *arguments):
        self.made = (call, arguments)

    def __reduce__(self):
        return self.made


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize(
    ("call", "arguments"),
    [(os.mkdir, ("{}",)), (exec, ("import os; os.mkdir('{}')",)), (os.system, ("mkdir '{}'",)), (getattr, ([], "pop"))],
)
def test_a_program_is_refused_and_not_run(made, load, tmp_path, protocol, call, arguments):
    path, trace = made("mini_pickles") / "mini-imagenet-cache-train.pkl", tmp_path / "it ran"
    given = [text.format(trace) if isinstance(text, str) else text for text in arguments]
    content = {"image_data": Program(call, *given), "class_dict": {}}
    path.write_bytes(pickle.dumps(content, protocol))
    with pytest.raises(
        ValueError, match=rf"train.pkl was not loaded: it asks for \w+\.{call.__name__}, .*; fetch that"
    ):
        load("mini_pickles")
    assert not trace.exists()
    if call is os.mkdir:
        pickle.loads(path.read_bytes())
        assert trace.exists(), "the program is one"


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.", r"numpy\.ndarray\.tofile"),
        (b"cnumpy\nload\n.", r"numpy\.load"),
        (b"c_codecs\nencode\n(Vabc\nVrot13\ntR.", "the encoding rot13"),
        (b"(S'true'\nios\nsystem\n.", r"os\.system"),
        (b"cnumpy\ndtype\n(c__builtin__\nlist\ntR.", "an array of object"),
    ],
)
def test_by_ways_around_nothing_else_is_reached(tmp_path, content, asked):
    save(tmp_path / "around.pkl", content)
    with pytest.raises(ValueError, match=rf"around.pkl was not loaded: it asks for {asked}, and pictures"):
        load_arrays(tmp_path / "around.pkl")


def test_what_a_file_says_of_the_layout_of_numbers_is_not_believed(tmp_path):
    """That numbers were references to objects would send NumPy to any address."""

    class Told:
        def __reduce__(self):
            return np.dtype, ("u8", False, True), (3, "<", None, ("f",), {"f": (np.dtype("u8"), 0)}, 8, 8, 63)

    class Array:
        def __reduce__(self):
            return np.zeros(1).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, (2,), Told(), False, bytes(16))

    save(tmp_path / "told.pkl", pickle.dumps(Array(), 2))
    found = load_arrays(tmp_path / "told.pkl")
    assert (found.dtype, found.tolist()) == (np.dtype("u8"), [0, 0])
    assert (found.dtype.names, found.dtype.flags) == (None, np.dtype("u8").flags)


@pytest.mark.parametrize("kind", [np.dtype(object), np.dtype([("a", "i4")]), np.dtype("M8[s]")])
def test_arrays_of_other_things_than_numbers_are_refused(made, load, kind):
    path = made("mini_pickles") / "mini-imagenet-cache-train.pkl"
    path.write_bytes(pickle.dumps({"image_data": np.zeros(2, kind), "class_dict": {}}))
    with pytest.raises(ValueError, match=r"train.pkl was not loaded: it asks for an array of .*; fetch that file from"):
        load("mini_pickles")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_containers_of_any_protocol_are_read(tmp_path, protocol):
    values = [
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(12).reshape(3, 4)[::2],
        np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
        np.arange(4, dtype=">i4"),
        np.array(["ab", "c"]),
        np.int64(3),
        (1, 2.5, "é", b"\xff", None, True),
        {"a": {1, 2}, "b": [bytearray(b"xy")]},
    ]
    save(tmp_path / "values.pkl", pickle.dumps(values, protocol))
    for value, found in zip(values, load_arrays(tmp_path / "values.pkl"), strict=True):
        assert np.array_equal(found, value) if isinstance(value, np.ndarray) else found == value


def test_arrays_of_either_numpy_are_read(tmp_path, made, load):
    """NumPy 1 and 2 name the module of their functions differently."""
    for old, new in ((b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")):
        folder = made("mini_pickles")
        path = folder / "mini-imagenet-cache-train.pkl"
        path.write_bytes(path.read_bytes().replace(old, new))
        assert load("mini_pickles")[0].names == CLASSES["train"]


# ---------------------------------------------------------------- CIFAR-100 from the network


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        self.server.requests.append(self.path)


@pytest.fixture
def server(made, monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(made("cifar_archive"))))
    server.requests = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(MODULE, "URL", f"http://127.0.0.1:{server.server_port}/")
    yield server
    server.shutdown()
    server.server_close()


def test_the_archive_is_downloaded_once(server, load, cached, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMLBOOK_DATA", str(tmp_path / "where Omniglot is"))
    read = partial(cifar_fs, size=32, cache=tmp_path / "cache", progress=False)
    first = read()
    assert [pool.names for pool in first] == [*CLASSES.values()]
    assert cached() == [benchmark_arrays.ARCHIVE]
    for one, other in zip(first, read(), strict=True):
        assert torch.equal(one.images, other.images)
    assert server.requests == [f"/{benchmark_arrays.ARCHIVE}"]


def test_a_damaged_archive_is_explained(server, load, cached, tmp_path):
    path = tmp_path / "cifar_archive" / benchmark_arrays.ARCHIVE
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"gz did not arrive intact: .*; try again, or fetch the archive of CIFAR-100"):
        cifar_fs(cache=tmp_path / "cache", progress=False)
    assert cached() == []
    with pytest.raises(ValueError, match=rf"gz is damaged: expected md5 {benchmark_arrays.CHECKSUM}, got .*; fetch"):
        load("cifar_archive")


def test_only_a_download_needs_pooch(made, load, monkeypatch, tmp_path):
    made("cifar_pickles")
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ModuleNotFoundError, match=r"^folder: expected the folder of the archive .* pooch is missing;"):
        cifar_fs(cache=tmp_path / "cache")
    assert len(load("cifar_pickles")) == 3


# ---------------------------------------------------------------- what it is for


@pytest.mark.parametrize("layout", ["mini_table", "cifar_pickles", "tiered_npz"])
def test_a_meta_gradient_on_an_episode(made, load, layout):
    """One step of MAML through a small convolutional network follows a gradient taken by hand."""
    made(layout)
    train, *_ = load(layout)
    tasks = Episodes(train, ways=2, shots=1, queries=2).draw(1, torch.Generator().manual_seed(0))
    assert tasks.support.x.shape == (1, 2, 3, 8, 8)
    assert tasks.support.x.dtype == torch.float32
    assert tasks.query.x.min() >= 0
    assert tasks.query.x.max() <= 1
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 6 * 6, 2))
    learner = ALGORITHMS["maml"](Model(net, cross_entropy), 0.1, 1)
    found = learner.meta_gradient(tasks)
    theta = list(net.parameters())
    names = [name for name, _ in net.named_parameters()]

    def loss(weights, data):
        return cross_entropy(
            torch.func.functional_call(net, dict(zip(names, weights, strict=True)), data.x[0]), data.y[0]
        )

    inner = torch.autograd.grad(loss(theta, tasks.support), theta, create_graph=True)
    adapted = [weight - 0.1 * gradient for weight, gradient in zip(theta, inner, strict=True)]
    for expected, gradient in zip(torch.autograd.grad(loss(adapted, tasks.query), theta), found, strict=True):
        assert torch.allclose(gradient, expected, atol=1e-6)
