"""Omniglot from a folder or the network: read right, kept once, and every mishap explained."""

import hashlib
import importlib
import io
import shutil
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from PIL import Image

from mamlbook.files import cache_folder
from mamlbook.tasks import Episodes, check_tasks, omniglot_zip
from mamlbook.tasks.omniglot_pool import background, evaluation, omniglot, paper_split

# Not `import mamlbook.tasks.omniglot_pool`: in the package that name is the function.
MODULE = importlib.import_module("mamlbook.tasks.omniglot_pool")
BACKGROUND, EVALUATION = "images_background.zip", "images_evaluation.zip"
ALPHABETS = {BACKGROUND: {"Greek": 3, "Latin": 2}, EVALUATION: {"Tengwar": 2}}
"""A miniature with the layout of the real zips."""


def png(number, person):
    """Black on white like the real ones: a square whose place tells the character and the person."""
    pixels = np.full((105, 105), 255, dtype=np.uint8)
    pixels[15 * number : 15 * number + 15, 5 * person : 5 * person + 5] = 0
    file = io.BytesIO()
    Image.fromarray(pixels).convert("1").save(file, "PNG")
    return file.getvalue()


def write_zip(path, alphabets, number=0, skip=(), extra=(), root=None):
    with zipfile.ZipFile(path, "w") as archive:
        for alphabet, size in alphabets.items():
            for character in range(1, size + 1):
                for person in range(1, 21):
                    file = f"{alphabet}/character{character:02}/{number:04}_{person:02}.png"
                    if file not in skip:
                        archive.writestr(f"{root or path.stem}/{file}", png(number, person))
                number += 1
        for file in extra:
            archive.writestr(file, b"not a drawing")


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.delenv("MAMLBOOK_DATA", raising=False)
    monkeypatch.delenv("MAMLBOOK_CACHE", raising=False)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with both miniature zips, which are what the package expects for now."""
    monkeypatch.setattr(omniglot_zip, "ALPHABETS", ALPHABETS)
    folder = tmp_path / "zips"
    folder.mkdir()
    write_zip(folder / BACKGROUND, ALPHABETS[BACKGROUND])
    write_zip(folder / EVALUATION, ALPHABETS[EVALUATION], number=5)
    return folder


@pytest.fixture
def load(tmp_path):
    return partial(omniglot, cache=tmp_path / "cache", progress=False)


@pytest.fixture
def cached(tmp_path):
    """What the cache holds."""
    return lambda: sorted(path.name for path in (tmp_path / "cache").glob("*"))


def test_reads_every_drawing_the_right_way_round(folder, load):
    pool = load(folder)
    assert pool.images.shape == (7, 20, 28, 28)
    assert pool.names[:3] == ("Greek/character01", "Greek/character02", "Greek/character03")
    assert pool.names[-1] == "Tengwar/character02"
    assert pool.alphabets == ("Greek",) * 3 + ("Latin",) * 2 + ("Tengwar",) * 2
    assert pool.looks.tolist() == list(range(7))
    places = (torch.arange(28) + 0.5) * 3.75
    for number, person in ((0, 1), (3, 7), (6, 20)):
        image = pool.images[number, person - 1].float() / 255
        assert image.sum().item() == pytest.approx(15 * 5 / 3.75**2, rel=0.2), "ink is 255 and the paper is 0"
        assert (image.sum(1) @ places / image.sum()).item() == pytest.approx(15 * number + 7.5, abs=0.5)
        assert (image.sum(0) @ places / image.sum()).item() == pytest.approx(5 * person + 2.5, abs=0.5)


def test_splits(folder, load, monkeypatch):
    monkeypatch.setattr(MODULE, "TRAINING_CHARACTERS", 4)
    pool = load(folder)
    assert set(background(pool).alphabets) == {"Greek", "Latin"}
    assert set(evaluation(pool).alphabets) == {"Tengwar"}
    train, test = paper_split(pool)
    assert (len(train), len(test)) == (4, 3)
    assert sorted(train.names + test.names) == sorted(pool.names)
    assert paper_split(pool)[0].names == train.names
    assert any(paper_split(pool, seed=seed)[0].names != train.names for seed in (2, 3))
    with pytest.raises(ValueError, match="expected all 7 characters of Omniglot, got 5"):
        paper_split(background(pool))


def test_second_time_comes_from_the_cache(folder, load, cached, monkeypatch):
    first = load(folder)
    files = cached()
    monkeypatch.setattr(omniglot_zip, "characters", None)
    second = load(folder)
    assert cached() == files
    assert len(files) == 1
    assert torch.equal(first.images, second.images)
    assert (first.names, first.alphabets) == (second.names, second.alphabets)
    assert torch.equal(first.looks, second.looks)


def test_other_content_or_packing_is_not_taken_for_it(folder, load, cached, monkeypatch):
    first = load(folder)
    monkeypatch.setattr(MODULE, "PACKING", 0)
    load(folder)
    assert len(cached()) == 2
    write_zip(folder / EVALUATION, ALPHABETS[EVALUATION], number=2)
    assert not torch.equal(load(folder).images, first.images)
    assert len(cached()) == 3


@pytest.mark.parametrize("damage", ["empty", "half", "garbage", "flipped", "other arrays"])
def test_a_damaged_cache_is_made_again(folder, load, cached, tmp_path, damage):
    pool = load(folder)
    (packed,) = (tmp_path / "cache").glob("*")
    content = bytearray(packed.read_bytes())
    content[len(content) // 2] ^= 255
    if damage == "other arrays":
        np.savez(packed, images=np.zeros(3))
    else:
        whole = packed.read_bytes()
        broken = {"empty": b"", "half": whole[: len(whole) // 2], "garbage": b"?" * 999, "flipped": bytes(content)}
        packed.write_bytes(broken[damage])
    assert torch.equal(load(folder).images, pool.images)
    assert cached() == [packed.name]
    assert packed.read_bytes() != b""
    with np.load(packed) as arrays:
        assert arrays["images"].shape == (7, 20, 28, 28)


def test_zips_may_carry_other_files_and_another_root(folder, load):
    extra = ("__MACOSX/images_background/Greek/character01/._0000_01.png", "images_background/.DS_Store", "Greek/")
    write_zip(folder / BACKGROUND, ALPHABETS[BACKGROUND], extra=extra, root="python/images_background")
    assert len(load(folder)) == 7


def spoil(folder, how):
    path = folder / EVALUATION
    whole = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(whole[: len(whole) * 2 // 3])
    elif how == "a web page":
        path.write_text("<html>404</html>")
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "a flipped byte":
        place = whole.index(b"IDAT") + 8
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
    elif how == "the other zip":
        shutil.copy(folder / BACKGROUND, path)
    elif how == "a missing alphabet":
        write_zip(path, {})
    elif how == "a missing character":
        write_zip(path, {"Tengwar": 1})
    elif how == "a missing drawing":
        write_zip(path, {"Tengwar": 2}, skip=["Tengwar/character01/0000_13.png"])
    elif how == "an extra alphabet":
        write_zip(path, {"Tengwar": 2, "Martian": 1})
    elif how == "a drawing that is none":
        file = "Tengwar/character01/0000_13.png"
        write_zip(path, {"Tengwar": 2}, skip=[file], extra=[file])


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", "images_evaluation.zip is damaged or not a zip: .*; fetch that file again"),
        ("a web page", "is damaged or not a zip"),
        ("empty", "is damaged or not a zip"),
        ("a flipped byte", "is damaged or not a zip: Bad CRC"),
        ("a drawing that is none", "is damaged or not a zip: cannot identify"),
        ("the other zip", "is not the Omniglot images_evaluation.zip: Tengwar should have 2 characters and has 0"),
        ("a missing alphabet", "Tengwar should have 2 characters and has 0"),
        ("a missing character", "Tengwar should have 2 characters and has 1"),
        ("a missing drawing", "Tengwar/character01 should have drawings 1 to 20 and has 19"),
        ("an extra alphabet", "unknown alphabet, Martian"),
        ("missing", "holds no images_evaluation.zip; name the folder .* or leave both out to download"),
    ],
)
def test_a_bad_zip_is_explained_and_leaves_nothing_behind(folder, load, cached, how, message):
    good = (folder / EVALUATION).read_bytes()
    spoil(folder, how)
    with pytest.raises(FileNotFoundError if how == "missing" else ValueError, match=message):
        load(folder)
    assert cached() == []
    (folder / EVALUATION).write_bytes(good)
    assert len(load(folder)) == 7


def test_a_missing_folder_is_explained(tmp_path, load, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"nowhere is not a folder; .* MAMLBOOK_DATA"):
        load(tmp_path / "nowhere")
    monkeypatch.setenv("MAMLBOOK_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder"):
        load()


def test_the_environment_names_the_folders(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("MAMLBOOK_DATA", str(folder))
    monkeypatch.setenv("MAMLBOOK_CACHE", str(tmp_path / "elsewhere"))
    assert len(omniglot(progress=False)) == 7
    assert len(list((tmp_path / "elsewhere").glob("omniglot-*.npz"))) == 1


def test_the_cache_is_where_pooch_has_it(tmp_path, monkeypatch):
    import pooch  # only here, so that the other tests can be collected without it

    for name in ("MAMLBOOK_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder() == pooch.os_cache("mamlbook")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert sys.platform != "linux" or cache_folder() == pooch.os_cache("mamlbook")


def test_only_a_download_needs_pooch(folder, load, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ModuleNotFoundError, match=r"^folder: .* pooch is missing; name the folder in folder= or"):
        load()
    assert len(load(folder)) == 7


def test_a_cache_that_cannot_be_written_is_explained(folder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cache: .*file cannot be written: .*; name a folder that can in cache="):
        omniglot(folder, cache=tmp_path / "file", progress=False)
    assert (tmp_path / "file").read_text() == "in the way"


def test_an_interrupted_packing_leaves_nothing_behind(folder, load, cached, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(omniglot_zip, "_shrunk", lambda png: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            load(folder)
    assert cached() == []
    assert len(load(folder)) == 7


def test_progress_is_shown_on_demand(folder, tmp_path, capsys):
    omniglot(folder, cache=tmp_path / "silent", progress=False)
    assert capsys.readouterr() == ("", "")
    omniglot(folder, cache=tmp_path / "shown")
    assert "7/7" in capsys.readouterr().err


class Server(ThreadingHTTPServer):
    """Serves a folder; ``cut`` breaks off every file half-way."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=folder))
        self.cut, self.requests = False, []


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        self.server.requests.append(self.path)

    def copyfile(self, source, outputfile):
        content = source.read()
        outputfile.write(content[: len(content) // 2] if self.server.cut else content)


@pytest.fixture
def server(folder, monkeypatch):
    server = Server(str(folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(MODULE, "URL", f"http://127.0.0.1:{server.server_port}/")
    checksums = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in ALPHABETS}
    monkeypatch.setattr(MODULE, "CHECKSUMS", checksums)
    yield server
    server.shutdown()
    server.server_close()


def test_downloads_once(server, load, cached, folder):
    pool = load()
    assert sorted(server.requests) == [f"/{BACKGROUND}", f"/{EVALUATION}"]
    assert len(cached()) == 3
    assert torch.equal(load().images, pool.images)
    assert torch.equal(load(folder).images, pool.images), "the same zips in a folder are recognised"
    assert len(server.requests) == 2
    assert len(cached()) == 3


def test_what_was_packed_from_a_folder_is_found_without_it(server, load, folder, tmp_path):
    write_zip(folder / EVALUATION, ALPHABETS[EVALUATION], number=5, extra=("of another archiver",))
    pool = load(folder)
    assert torch.equal(load().images, pool.images)
    assert not server.requests
    next((tmp_path / "cache").glob("*.npz")).write_bytes(b"?")
    with pytest.raises(ValueError, match="did not arrive intact"):
        load()
    assert server.requests, "what cannot be read is no cache"


def test_a_broken_connection_is_explained_and_leaves_nothing_behind(server, load, cached):
    server.cut = True
    with pytest.raises(OSError, match=f"{BACKGROUND} did not arrive intact: .*; try again, or fetch both zips by hand"):
        load()
    assert cached() == []
    server.cut = False
    assert len(load()) == 7


def test_no_connection_is_explained(server, load, cached, monkeypatch):
    monkeypatch.setattr(MODULE, "URL", "http://127.0.0.1:1/")
    with pytest.raises(OSError, match="did not arrive intact") as caught:
        load()
    assert caught.value.__suppress_context__, "one sentence, without those of three libraries"
    assert cached() == []


def test_a_file_that_is_not_there_is_explained(server, load, folder, cached):
    (folder / EVALUATION).rename(folder / "gone")
    with pytest.raises(OSError, match=f"{EVALUATION} did not arrive intact: 404"):
        load()
    assert cached() == [BACKGROUND], "the file that arrived intact is kept"


def test_a_wrong_checksum_is_explained_and_leaves_nothing_behind(server, load, folder, cached):
    good = (folder / BACKGROUND).read_bytes()
    write_zip(folder / BACKGROUND, {"Greek": 1})
    with pytest.raises(ValueError, match=f"{BACKGROUND} did not arrive intact: .*does not match"):
        load()
    assert cached() == []
    (folder / BACKGROUND).write_bytes(good)
    assert len(load()) == 7


@pytest.fixture(scope="module")
def real(omniglot_folder, tmp_path_factory):
    return omniglot(omniglot_folder, cache=tmp_path_factory.mktemp("cache"), progress=False)


def test_the_real_thing(real):
    assert real.images.shape == (1623, 20, 28, 28)
    assert len(set(real.names)) == 1623
    assert len(set(real.alphabets)) == 50
    assert sorted(real.looks.tolist()) == list(range(1, 1624))
    assert real.names[0] == "Alphabet_of_the_Magi/character01"
    assert real.looks[0] == 709
    assert (len(background(real)), len(evaluation(real))) == (964, 659)
    assert background(real).looks.max() == 964
    ink = real.images.float().mean((2, 3)) / 255
    assert 0.07 < ink.mean() < 0.10
    assert ink.min() > 0.002, "no drawing is empty"
    assert ink.max() < 0.35, "no drawing is white on black"


def test_the_real_paper_split(real):
    train, test = paper_split(real)
    assert (len(train), len(test)) == (1200, 423)
    assert not set(train.names) & set(test.names)
    assert len(set(train.alphabets)) == 50, "the split does not go by alphabet"


def test_drawings_of_a_character_are_alike(real):
    """The nearest of five support drawings names the class far more often than chance does."""
    tasks = Episodes(real, ways=5).draw(400, torch.Generator().manual_seed(0))
    distances = torch.cdist(tasks.query.x.flatten(2), tasks.support.x.flatten(2))
    assert (distances.argmin(2) == tasks.query.y).float().mean() > 0.35


def test_a_check_of_its_tasks_finds_nothing(real):
    train, test = paper_split(real)
    report = check_tasks(Episodes(train, queries=5), test=Episodes(test))
    assert not report.problems + report.warnings, report
