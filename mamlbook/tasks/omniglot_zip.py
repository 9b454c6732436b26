"""The two zips of Omniglot: what they must hold, and their drawings shrunk to 28 x 28."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

DRAWINGS = 20
SIZE = 28

# How many characters each alphabet of each zip has.
ALPHABETS = {
    "images_background.zip": {
        "Alphabet_of_the_Magi": 20,
        "Anglo-Saxon_Futhorc": 29,
        "Arcadian": 26,
        "Armenian": 41,
        "Asomtavruli_(Georgian)": 40,
        "Balinese": 24,
        "Bengali": 46,
        "Blackfoot_(Canadian_Aboriginal_Syllabics)": 14,
        "Braille": 26,
        "Burmese_(Myanmar)": 34,
        "Cyrillic": 33,
        "Early_Aramaic": 22,
        "Futurama": 26,
        "Grantha": 43,
        "Greek": 24,
        "Gujarati": 48,
        "Hebrew": 22,
        "Inuktitut_(Canadian_Aboriginal_Syllabics)": 16,
        "Japanese_(hiragana)": 52,
        "Japanese_(katakana)": 47,
        "Korean": 40,
        "Latin": 26,
        "Malay_(Jawi_-_Arabic)": 40,
        "Mkhedruli_(Georgian)": 41,
        "N_Ko": 33,
        "Ojibwe_(Canadian_Aboriginal_Syllabics)": 14,
        "Sanskrit": 42,
        "Syriac_(Estrangelo)": 23,
        "Tagalog": 17,
        "Tifinagh": 55,
    },
    "images_evaluation.zip": {
        "Angelic": 20,
        "Atemayar_Qelisayer": 26,
        "Atlantean": 26,
        "Aurek-Besh": 26,
        "Avesta": 26,
        "Ge_ez": 26,
        "Glagolitic": 45,
        "Gurmukhi": 45,
        "Kannada": 41,
        "Keble": 26,
        "Malayalam": 47,
        "Manipuri": 40,
        "Mongolian": 30,
        "Old_Church_Slavonic_(Cyrillic)": 45,
        "Oriya": 46,
        "Sylheti": 28,
        "Syriac_(Serto)": 23,
        "Tengwar": 25,
        "Tibetan": 42,
        "ULOG": 26,
    },
}

# <alphabet>/character01/0709_01.png: official number of the character, then of the person who drew it.
_DRAWING = re.compile(r"(?:^|/)([^/]+)/(character\d+)/(\d{4})_(\d\d)\.png$")


class Character(NamedTuple):
    """One character: ``number`` is its official one, 1 to 1623; ``images`` is (20, 28, 28) uint8 with ink = 255."""

    alphabet: str
    name: str
    number: int
    images: np.ndarray


def characters(zips: list[Path]) -> Iterator[Character]:
    """Every character of the zips, in the order of zips, alphabets and names.

    Raises:
        ValueError: a file is damaged, not a zip, or not the Omniglot one of that name.
    """
    for path in zips:
        try:
            with zipfile.ZipFile(path) as archive:
                for (alphabet, name, number), drawings in _listed(archive, path.name).items():
                    # Reading a drawing checks its CRC: a damaged one does not get through.
                    images = np.stack([_shrunk(archive.read(drawing)) for drawing in drawings])
                    yield Character(alphabet, name, number, images)
        except _Unexpected as error:
            raise ValueError(f"{path} is not the Omniglot {path.name}: {error}; fetch that file again") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, Image.UnidentifiedImageError, OSError) as error:
            raise ValueError(f"{path} is damaged or not a zip: {error}; fetch that file again") from None


class _Unexpected(ValueError):
    """A sound zip with something else in it than Omniglot."""


def _listed(archive: zipfile.ZipFile, zip_name: str) -> dict[tuple[str, str, int], list[str]]:
    """The files of each character, sorted by person, after checking that none is missing or too many."""
    found: defaultdict[tuple[str, str, int], dict[int, str]] = defaultdict(dict)
    for file in sorted(archive.namelist()):
        if match := _DRAWING.search(file):
            alphabet, name, number, person = match.groups()
            found[alphabet, name, int(number)][int(person)] = file
    sizes = Counter(alphabet for alphabet, _, _ in found)
    for alphabet, expected in ALPHABETS[zip_name].items():
        if sizes[alphabet] != expected:
            raise _Unexpected(f"{alphabet} should have {expected} characters and has {sizes[alphabet]}")
    if unknown := sizes.keys() - ALPHABETS[zip_name].keys():
        raise _Unexpected(f"it has an unknown alphabet, {min(unknown)}")
    for (alphabet, name, _), drawings in found.items():
        if sorted(drawings) != list(range(1, DRAWINGS + 1)):
            raise _Unexpected(f"{alphabet}/{name} should have drawings 1 to {DRAWINGS} and has {len(drawings)}")
    return {character: list(drawings.values()) for character, drawings in found.items()}


def _shrunk(png: bytes) -> np.ndarray:
    """A black on white drawing of any size as (28, 28) uint8 with ink = 255."""
    # Pillow resizes 1-bit images without smoothing, whatever the filter: thin strokes would break.
    grey = Image.open(io.BytesIO(png)).convert("L").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return 255 - np.asarray(grey)
