"""A folder of pictures as a pool: one folder for each class, as ``torchvision.datasets.ImageFolder`` has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from tqdm import tqdm

from mamlbook.checks import whole_number
from mamlbook.tasks.pool import Pool

ENDINGS = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
MODES = ("L", "RGB")
NOT_OURS = ("__MACOSX",)  # what an operating system leaves in an archive, besides files whose names begin with a dot


def picture_folder(
    folder: str | Path,
    *,
    size: int | tuple[int, int] = 28,
    mode: str = "L",
    invert: bool = False,
    progress: bool | None = None,
) -> Pool:
    """Every folder of pictures at or below the given one as a class, sorted by name.

    A class is called by its path below ``folder``; what stands above it in that path is its alphabet, so that both
    class/1.png and alphabet/class/1.png are read. Each picture is turned as its camera says (EXIF), put on white where
    it is transparent, made grey (``mode="L"``) or coloured ("RGB"), cut about its centre to the shape of ``size``, and
    shrunk or grown with Lanczos' filter, which does not alias. ``size`` is the side of a square or (height, width).
    ``invert`` makes dark ink on white paper what a ``Pool`` of drawings expects, ink = 255 on 0. Of an animation the
    first picture is taken. Files whose names begin with a dot or end unlike a picture's are passed over.
    ``progress=None`` shows a bar in a terminal only.

    Shapes: ``images`` is that of a ``Pool``, with 3 channels for "RGB".

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: a folder is empty, holds pictures and folders of pictures, or is there twice by a link; a picture
            cannot be read; a number or the mode is none.
    """
    height, width = size if isinstance(size, tuple | list) and len(size) == 2 else (size, size)
    for side in (height, width):
        whole_number("size", side, 1, "a whole number of pixels, or (height, width),")
    if mode not in MODES:
        raise ValueError(f"mode: expected 'L' for grey or 'RGB' for coloured pictures, got {mode!r}")
    root = Path(folder).expanduser()
    classes = picture_classes(root)
    total = sum(map(len, classes.values()))
    images = []
    disable = None if progress is None else not progress
    with tqdm(total=total, desc=root.name, unit=" pictures", disable=disable) as bar:
        for files in classes.values():
            pictures = []
            for file in files:
                pictures.append(_picture(file, (width, height), mode, invert))
                bar.update()
            images.append(torch.from_numpy(np.stack(pictures)))
    places = [place.relative_to(root) for place in classes]
    alphabets = [place.parent.as_posix() if place.parent.name else "all" for place in places]
    return Pool(images, [place.as_posix() for place in places], alphabets)


def picture_classes(root: Path) -> dict[Path, list[Path]]:
    """The pictures of every class, by its folder."""
    if not root.is_dir():
        trouble = "is a file; unpack it first" if root.is_file() else "does not exist"
        raise FileNotFoundError(
            f"folder: expected a folder with one folder of pictures for each class, {root} {trouble}"
        )
    classes = dict(_below(root, {}))
    if root in classes:
        raise ValueError(
            f"folder: expected one folder of pictures for each class, {root} holds pictures itself, such as "
            f"{classes[root][0].name}; give each class a folder, or name the folder above"
        )
    return classes


def _below(folder: Path, met: dict[Path, Path]) -> Iterator[tuple[Path, list[Path]]]:
    """Every folder of pictures at or below this one, in the order of names; ``met`` are those before, by their place.

    A folder that comes again, by a link, would be two classes that are the same, or never end.
    """
    place = folder.resolve()
    if place in met:
        raise ValueError(f"folder: {folder} is {met[place]} once more, by a link; take the link away")
    met[place] = folder
    ours = (e for e in folder.iterdir() if not e.name.startswith(".") and e.name not in NOT_OURS)
    entries = sorted(ours, key=lambda entry: entry.name)
    folders = [entry for entry in entries if entry.is_dir()]
    pictures = [entry for entry in entries if entry.suffix.lower() in ENDINGS and not entry.is_dir()]
    if pictures and folders:
        raise ValueError(
            f"folder: {folder} holds pictures, such as {pictures[0].name}, and folders, such as {folders[0].name}; "
            "pictures of one class belong into one folder"
        )
    if not pictures and not folders:
        raise ValueError(f"folder: {folder} holds no pictures ({', '.join(ENDINGS)}); put some into it or take it away")
    if pictures:
        yield folder, pictures
    for below in folders:
        yield from _below(below, met)


def _picture(file: Path, size: tuple[int, int], mode: str, invert: bool) -> np.ndarray:
    """(height, width) or (3, height, width), uint8."""
    try:
        with Image.open(file) as opened:
            whole = without_losses(ImageOps.exif_transpose(opened)).convert(mode)
        # Pillow cuts as little as it can, alike on both sides.
        pixels = np.asarray(ImageOps.fit(whole, size, Image.Resampling.LANCZOS))
    except Exception as error:  # decoders raise whatever they like
        raise ValueError(
            f"{file} cannot be read as a picture: {error}; replace it or take it out of the folder"
        ) from None
    pixels = 255 - pixels if invert else pixels
    return pixels if mode == "L" else np.moveaxis(pixels, -1, 0)


def without_losses(picture: Image.Image) -> Image.Image:
    """Without what Pillow would lose: transparency is put on white, 16 bits are brought down to 8."""
    if picture.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is unknown")
    if picture.mode.startswith("I"):
        return Image.fromarray((np.asarray(picture).clip(0, 2**16 - 1) // 2**8).astype(np.uint8))
    if picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info:
        coloured = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", coloured.size, "white"), coloured)
    return picture
