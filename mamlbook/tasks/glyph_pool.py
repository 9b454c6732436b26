"""The built-in drawings: letters of twelve scripts, from the DejaVu fonts that come with matplotlib."""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from mamlbook.checks import whole_number
from mamlbook.devices import on_cpu
from mamlbook.tasks.pool import Pool

# matplotlib takes half a second to import, which only who draws letters should wait for.
if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font
    from matplotlib.path import Path as Outline

TRAINING_SCRIPTS = ("Canadian Syllabics", "Coptic", "Cyrillic", "Greek", "Latin", "Lisu", "Old Italic")
TEST_SCRIPTS = ("Arabic", "Armenian", "Georgian", "Hebrew", "Lao")
FACES = tuple(
    f"DejaVu{family}{style}"
    for family, slanted in (("Sans", "Oblique"), ("Serif", "Italic"), ("SansMono", "Oblique"))
    for style in ("", "-Bold", f"-{slanted}", f"-Bold{slanted}")
)
ENOUGH_FACES = 4  # a letter of fewer faces would look too much the same in all its drawings
SIZE = 28

# Two letters look alike above this correlation of their blurred pictures, averaged over the faces they share.
ALIKE = 0.95
ALIKE_IN_OTHER_CASE = 0.8  # o and O are one shape, whose strokes differ in weight once both fill the same box
COMPARED_FACES = ("DejaVuSans", "DejaVuSerif", "DejaVuSansMono")

# How much hands differ: each is uniform between minus and plus this, and the size between its two values.
TURN, SHEAR, STRETCH, SHIFT = math.radians(10), 0.15, 0.12, 1.5
SMALLEST, LARGEST = 16.0, 21.0


def glyphs(drawings: int = 20, seed: int = 0) -> Pool:
    """Each letter drawn ``drawings`` times, by one face after the other, with a small affine distortion each time.

    A drawing maps the letter's outline p, its box centred at 0 with a longer side of 1, to

        size * turn(angle) @ [[1, shear], [0, 1]] @ [[e^stretch, 0], [0, e^-stretch]] @ p + shift.

    Letters that look alike share a number in ``looks``: the Latin, Greek and Cyrillic A, or o and O. A quarter turn
    makes other letters of some, above all of the Canadian syllabics, so that episodes had better not rotate them.

    Shapes: ``images`` is (1592, drawings, 28, 28); size and shift are in pixels.

    Raises:
        ValueError: ``drawings`` is less than 1.
    """
    whole_number("drawings", drawings)
    return _glyphs(drawings, seed)


@on_cpu()
def glyph_split(pool: Pool) -> tuple[Pool, Pool]:
    """Split by script: letters to learn from, and letters of other scripts to be judged on.

    A letter to be judged on that looks like one to learn from is left out.
    """
    learn = torch.tensor([script in TRAINING_SCRIPTS for script in pool.alphabets])
    judge = torch.tensor([script in TEST_SCRIPTS for script in pool.alphabets])
    return pool[learn], pool[judge & ~torch.isin(pool.looks, pool.looks[learn])]


@lru_cache(maxsize=4)
@on_cpu()
def _glyphs(drawings: int, seed: int) -> Pool:
    letters = _outlines()
    matrices = _distortions(drawings, len(letters), torch.Generator().manual_seed(seed))
    pictures = []
    for drawing in range(drawings):
        outlines = [list(faces.values())[drawing % len(faces)] for faces in letters.values()]
        pictures.append(_rasterised(outlines, matrices[drawing]))
    scripts = [script for letter in letters if (script := _script(letter))]
    names = [f"{script}/{letter}" for script, letter in zip(scripts, letters, strict=True)]
    return Pool(torch.stack(pictures, 1), tuple(names), tuple(scripts), _looks())


@cache
def _outlines() -> dict[str, dict[str, Outline]]:
    """The outlines of each letter, by face."""
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    folder = Path(get_data_path()) / "fonts/ttf"
    fonts = {face: FT2Font(str(folder / f"{face}.ttf")) for face in FACES}
    charmaps = {face: font.get_charmap() for face, font in fonts.items()}
    counts = Counter(chain.from_iterable(charmaps.values()))
    letters = {code: chr(code) for code in sorted(counts) if counts[code] >= ENOUGH_FACES and _script(chr(code))}
    return {
        letter: {face: _outline(fonts[face], code) for face in FACES if code in charmaps[face]}
        for code, letter in letters.items()
    }


def _script(character: str) -> str | None:
    """The script of a letter that is not a letter with an accent; None for all other characters."""
    if unicodedata.category(character) not in ("Lu", "Ll", "Lo") or unicodedata.decomposition(character):
        return None
    name = unicodedata.name(character)
    scripts = (script for script in TRAINING_SCRIPTS + TEST_SCRIPTS if name.startswith(f"{script.upper()} "))
    return next(scripts, None)


def _outline(font: FT2Font, code: int) -> Outline:
    """One letter in one face, its box centred at 0 with a longer side of 1."""
    from matplotlib.ft2font import LoadFlags
    from matplotlib.path import Path as Outline

    font.set_size(font.units_per_EM, 72)  # one pixel is one unit of the font: no rounding
    font.load_char(code, LoadFlags.NO_HINTING)
    points, codes = font.get_path()
    drawn = points[codes != Outline.CLOSEPOLY]  # closing a curve comes with a meaningless point
    low, high = drawn.min(0), drawn.max(0)
    return Outline((points - (low + high) / 2) / (high - low).max(), codes)


def _distortions(drawings: int, letters: int, generator: torch.Generator) -> Tensor:
    """Random maps of the plane: (drawings, letters, 3, 3)."""
    uniform = torch.rand(6, drawings, letters, generator=generator, dtype=torch.float64) * 2 - 1
    turn, shear, stretch, size, right, up = uniform
    size = SMALLEST + (LARGEST - SMALLEST) * (size + 1) / 2
    cos, sin = size * (TURN * turn).cos(), size * (TURN * turn).sin()
    wide, shear = (STRETCH * stretch).exp(), SHEAR * shear
    zero, one = torch.zeros_like(size), torch.ones_like(size)
    rows = [
        [cos * wide, (cos * shear - sin) / wide, SHIFT * right],
        [sin * wide, (sin * shear + cos) / wide, SHIFT * up],
        [zero, zero, one],
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _rasterised(outlines: list[Outline], matrices: Tensor) -> Tensor:
    """Each outline, mapped by its (3, 3) matrix to pixels around the centre: (letters, 28, 28) uint8, ink = 255."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.transforms import Affine2D

    margin = 6  # so that what sticks out of one picture does not reach the next
    cell = SIZE + 2 * margin
    columns = math.ceil(math.sqrt(len(outlines)))
    renderer = RendererAgg(cell * columns, cell * columns, 72)
    pen = renderer.new_gc()
    pen.set_linewidth(0)
    pen.set_snap(False)
    places = matrices.numpy().copy()
    row, column = np.divmod(np.arange(len(outlines)), columns)
    places[:, :2, 2] += cell * np.stack([column + 0.5, columns - row - 0.5], -1)  # the renderer counts rows upwards
    for outline, place in zip(outlines, places, strict=True):
        renderer.draw_path(pen, outline, Affine2D(place), (0.0, 0.0, 0.0))
    ink = torch.from_numpy(np.asarray(renderer.buffer_rgba())[..., 3].copy())
    pictures = ink.view(columns, cell, columns, cell).transpose(1, 2).flatten(0, 1)[: len(outlines)]
    return pictures[:, margin:-margin, margin:-margin].contiguous()


@cache
def _looks() -> Tensor:
    """One number for all letters that look alike, directly or through others: (letters,) int64."""
    letters = list(_outlines())
    index = {letter: number for number, letter in enumerate(letters)}
    threshold = torch.full((len(letters), len(letters)), ALIKE)
    for letter, number in index.items():
        other = index.get(letter.lower(), number)
        threshold[number, other] = threshold[other, number] = ALIKE_IN_OTHER_CASE
    alike = _similarity() > threshold
    looks, smallest = None, torch.arange(len(letters))
    while looks is None or not torch.equal(looks, smallest):
        looks = smallest
        smallest = torch.where(alike, looks, len(letters)).amin(1)
    return looks


def _similarity() -> Tensor:
    """Correlation of two letters' blurred pictures, the mean over shared faces: (letters, letters), 0 if none is."""
    letters = _outlines()
    total, count = torch.zeros(2, len(letters), len(letters)).unbind()
    upright = torch.diag(torch.tensor([LARGEST, LARGEST, 1.0], dtype=torch.float64))
    for face in COMPARED_FACES:
        present = torch.tensor([face in faces for faces in letters.values()])
        outlines = [faces[face] for faces in letters.values() if face in faces]
        pictures = _rasterised(outlines, upright.expand(len(outlines), 3, 3)).float()
        for _ in range(2):
            pictures = functional.avg_pool2d(pictures, 3, stride=1, padding=1)
        vectors = torch.zeros(len(letters), SIZE * SIZE)
        vectors[present] = pictures.flatten(1) - pictures.mean((1, 2))[:, None]
        vectors = functional.normalize(vectors)
        total += vectors @ vectors.T
        count += present[:, None] & present
    return total / count.clamp(min=1)
