"""Folders of pictures become pools: read as a person sees them, and what is wrong with them is said."""

import numpy as np
import pytest
import torch
from PIL import Image

from mamlbook.tasks import Episodes, picture_folder


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, dtype=np.uint8)).save(path, **options)


def flat(value, height=8, width=8):
    return np.full((height, width) if np.isscalar(value) else (height, width, len(value)), value)


@pytest.fixture
def animals(tmp_path):
    """Three classes of 2, 3 and 1 pictures, each of one grey."""
    for name, greys in {"dog": (10, 20), "Cat": (30, 40, 50), "eel": (60,)}.items():
        for number, grey in enumerate(greys):
            save(tmp_path / name / f"{number}.png", flat(grey))
    return tmp_path


def test_a_folder_for_each_class_in_the_order_of_names(animals):
    pool = picture_folder(animals, size=4)
    assert pool.names == ("Cat", "dog", "eel")
    assert set(pool.alphabets) == {"all"}
    assert pool.counts.tolist() == [3, 2, 1]
    assert pool.drawings[:, 0, 0, 0].tolist() == [30, 40, 50, 10, 20, 60]
    assert pool.drawings.shape == (6, 1, 4, 4)
    assert Episodes(pool[pool.counts > 1], ways=2).draw(3, torch.Generator()).support.x.shape == (3, 2, 1, 4, 4)
    with pytest.raises(ValueError, match="at most the 1 drawings of class 'eel', got 1"):
        Episodes(pool, ways=2)


def test_folders_above_the_classes_are_alphabets(tmp_path):
    for name in ("Greek/alpha", "Greek/beta", "Latin/a", "North/Runes/f"):
        save(tmp_path / name / "1.png", flat(9))
    pool = picture_folder(str(tmp_path), size=4)
    assert pool.names == ("Greek/alpha", "Greek/beta", "Latin/a", "North/Runes/f")
    assert pool.alphabets == ("Greek", "Greek", "Latin", "North/Runes")


def test_colour_and_shape(tmp_path):
    save(tmp_path / "red/1.png", flat((200, 30, 10)))
    save(tmp_path / "grey/1.png", flat(77))
    pool = picture_folder(tmp_path, size=(6, 5), mode="RGB")
    assert pool.images.shape == (2, 1, 3, 6, 5)
    assert pool.images[:, 0, :, 2, 2].tolist() == [[77, 77, 77], [200, 30, 10]]


def test_a_picture_is_cut_about_its_centre_and_shrunk_without_aliasing(tmp_path):
    wide = flat(0, 30, 90)
    wide[:, 30:60:2] = 240  # what shrinks to grey if every pixel counts
    wide[:, :30] = 255
    save(tmp_path / "class/1.png", wide)
    picture = picture_folder(tmp_path, size=5).images[0, 0].float()
    assert (picture[:, 1:4] - 120).abs().max() < 16
    assert picture.max() < 180, "what lies beside the middle square is cut off"


def test_a_photograph_is_turned_as_its_camera_says(tmp_path):
    pixels = flat(0, 16, 16)
    pixels[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter to the right
    save(tmp_path / "class/1.png", pixels, exif=exif)
    picture = picture_folder(tmp_path, size=16).images[0, 0]
    assert picture[:, :8].max() == 0
    assert picture[:, 8:].min() == 255


def test_transparency_is_put_on_white(tmp_path):
    pixels = flat((0, 0, 0, 0))
    pixels[:4, :, 3] = 255
    save(tmp_path / "class/1.png", pixels)
    picture = picture_folder(tmp_path, size=8).images[0, 0]
    assert picture[:4].max() == 0
    assert picture[4:].min() == 255
    inverted = picture_folder(tmp_path, size=8, invert=True).images[0, 0]
    assert torch.equal(inverted, 255 - picture)


def test_pictures_of_other_depths(tmp_path):
    (tmp_path / "class").mkdir()
    Image.fromarray(np.full((4, 4), 130 * 256 + 7, np.uint16)).save(tmp_path / "class/1.png")
    Image.fromarray(np.full((4, 4), 200, np.uint8)).convert("1", dither=0).save(tmp_path / "class/2.png")
    Image.fromarray(np.full((4, 4), 130, np.uint8)).convert("P").save(tmp_path / "class/3.gif")
    Image.new("CMYK", (4, 4), (0, 0, 0, 125)).save(tmp_path / "class/4.jpg")
    found = picture_folder(tmp_path, size=4).images[0, :, 0, 0].tolist()
    assert found[:3] == [130, 255, 130]
    assert abs(found[3] - 130) < 3


def test_what_is_no_picture_is_passed_over(animals):
    for name in (".DS_Store", "dog/.DS_Store", "dog/Thumbs.db", "dog/._0.png", "notes.txt", ".git/0.png"):
        path = animals / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"?")
    (animals / "__MACOSX/dog").mkdir(parents=True)
    assert picture_folder(animals, size=4).counts.tolist() == [3, 2, 1]


def test_a_folder_that_is_none_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        picture_folder(tmp_path / "nowhere")
    (tmp_path / "pictures.zip").write_bytes(b"PK")
    with pytest.raises(FileNotFoundError, match=r"pictures\.zip is a file; unpack it first"):
        picture_folder(tmp_path / "pictures.zip")
    with pytest.raises(ValueError, match="holds no pictures"):
        picture_folder(tmp_path)


def test_an_empty_class_is_named(animals):
    (animals / "fox").mkdir()
    (animals / "fox/readme.txt").write_text("none yet")
    with pytest.raises(ValueError, match=r"fox holds no pictures \(.bmp, .*\); put some into it or take it away"):
        picture_folder(animals)


@pytest.mark.parametrize("to", ["dog", "."])
def test_a_folder_that_comes_again_by_a_link_is_refused(animals, to):
    (animals / "new").symlink_to(to)
    with pytest.raises(ValueError, match=r"^folder: .*once more, by a link; take the link away"):
        picture_folder(animals, size=4)


def test_a_class_may_be_a_link_to_elsewhere(animals, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "wolves"
    first = next(iter(sorted(path for path in animals.iterdir() if path.is_dir())))
    first.rename(elsewhere)
    first.symlink_to(elsewhere)
    assert first.name in picture_folder(animals, size=4).names


def test_pictures_in_two_places_are_refused(animals):
    save(animals / "loose.png", flat(1))
    with pytest.raises(ValueError, match=r"holds pictures, such as loose\.png, and folders, such as Cat; .* one class"):
        picture_folder(animals)
    with pytest.raises(ValueError, match=r"dog holds pictures itself, such as 0.png; give each class a folder"):
        picture_folder(animals / "dog")


@pytest.mark.parametrize("content", [b"", b"no picture", "half"])
def test_a_picture_that_cannot_be_read_is_named(animals, content):
    path = animals / "dog/0.png"
    save(path, np.random.default_rng(0).integers(0, 255, (40, 40)))
    path.write_bytes(path.read_bytes()[:900] if content == "half" else content)
    with pytest.raises(ValueError, match=r"dog.0.png cannot be read as a picture: .*; replace it or take it out"):
        picture_folder(animals)


def test_pixels_of_unknown_range_are_refused(tmp_path):
    (tmp_path / "class").mkdir()
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "class/1.tif")
    with pytest.raises(ValueError, match=r"1\.tif cannot be read as a picture: its pixels are floating-point numbers"):
        picture_folder(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 0}, r"size: expected a whole number of pixels, or \(height, width\), of at least 1, got 0"),
        ({"size": (4, 2.5)}, "size: .* got 2.5"),
        ({"size": (4, 4, 3)}, "size: .* got .4, 4, 3."),
        ({"mode": "rgb"}, "mode: expected 'L' for grey or 'RGB' for coloured pictures, got 'rgb'"),
    ],
)
def test_other_refusals(animals, arguments, message):
    with pytest.raises(ValueError, match=message):
        picture_folder(animals, **arguments)


def test_progress_is_shown_on_demand(animals, capsys):
    picture_folder(animals, progress=False)
    assert capsys.readouterr() == ("", "")
    picture_folder(animals, progress=True)
    assert "6/6" in capsys.readouterr().err
