"""The built-in letters: how many, drawn well, the same every time, and look-alikes known as such."""

import importlib
from collections import Counter

import pytest
import torch

from mamlbook.tasks.glyph_pool import TEST_SCRIPTS, TRAINING_SCRIPTS, glyph_split, glyphs
from mamlbook.tasks.images import Episodes

# Not `import mamlbook.tasks.glyph_pool`: in the package that name is the function.
MODULE = importlib.import_module("mamlbook.tasks.glyph_pool")


@pytest.fixture(scope="module")
def pool():
    return glyphs()


def look(pool, letter):
    (number,) = (n for n, name in enumerate(pool.names) if name.endswith(f"/{letter}"))
    return pool.looks[number].item()


def test_all_letters_of_twelve_scripts(pool):
    assert pool.images.shape == (1592, 20, 28, 28)
    assert Counter(pool.alphabets) == {
        **{"Latin": 443, "Canadian Syllabics": 403, "Cyrillic": 266, "Georgian": 119, "Greek": 84, "Armenian": 76},
        **{"Arabic": 50, "Lisu": 40, "Lao": 36, "Old Italic": 31, "Hebrew": 30, "Coptic": 14},
    }
    assert len(set(pool.names)) == 1592
    assert "Greek/α" in pool.names
    assert not any(name.endswith(("/é", "/ά", "/1", "/ː")) for name in pool.names), "no accents, digits or marks"


def test_every_drawing_has_ink_in_the_middle(pool):
    images = pool.images.flatten(0, 1).float() / 255
    ink = images.sum((1, 2))
    assert images.amax((1, 2)).min() > 0.5
    assert ink.min() > 15
    assert 0.08 < images.mean() < 0.2
    border = ink - images[:, 2:-2, 2:-2].sum((1, 2))
    assert (border / ink).max() < 0.15, "nothing much is cut off"
    assert (border / ink).mean() < 0.005
    rows, columns = ((images.amax(axis) > 0.2).float() for axis in (2, 1))
    for lit in (rows, columns):
        first, last = lit.argmax(1), 27 - lit.flip(1).argmax(1)
        off = (first + last) / 2 - 13.5
        assert off.abs().max() <= 4, "the box is centred, up to the shift and to what turning does to its corners"
        assert off.mean().abs() < 0.1
    longer = torch.maximum(rows.sum(1), columns.sum(1))
    assert longer.min() >= 12
    assert longer.mean() == pytest.approx(20, abs=1.5)


def test_drawings_differ(pool):
    flat = pool.images.flatten(2).float()
    for drawing in range(1, 20):
        assert (flat[:, drawing] - flat[:, drawing - 1]).norm(dim=1).min() > 0


def test_seed_and_number_decide(pool):
    again = MODULE._glyphs.__wrapped__(20, 0)
    assert torch.equal(again.images, pool.images)
    assert glyphs() is pool, "drawn once"
    few = glyphs(drawings=2, seed=1)
    assert few.images.shape[1] == 2
    assert not torch.equal(few.images, pool.images[:, :2])
    assert torch.equal(few.looks, pool.looks)
    state = torch.get_rng_state()
    glyphs(drawings=1, seed=5)
    assert torch.equal(state, torch.get_rng_state()), "the global generator is left alone"
    with pytest.raises(ValueError, match=r"drawings: .* at least 1, got 0"):
        glyphs(drawings=0)


@pytest.mark.parametrize("letters", ["AΑАꓮ", "oOοОօ", "cCсϹ", "xXхΧ", "PРΡᑭ", "Vv", "Юю"])
def test_look_alikes_share_a_number(pool, letters):
    known = [letter for letter in letters if any(name.endswith(f"/{letter}") for name in pool.names)]
    assert len({look(pool, letter) for letter in known}) == 1


@pytest.mark.parametrize("letters", ["AaBbDdEeGg", "OQCUX", "ΑΛΔ", "nhmru", "ИНП", "אבגדם", "ᐁᐃᐅᐊ", "აბგდე", "عغ"])
def test_different_shapes_do_not(pool, letters):
    assert len({look(pool, letter) for letter in letters}) == len(letters)


def test_looks_are_not_decided_by_a_hair():
    """No pair is so close to a threshold that another machine's rounding could move it across."""
    similarity = MODULE._similarity()
    assert torch.allclose(similarity, similarity.T, atol=1e-6)
    torch.testing.assert_close(similarity.diagonal(), torch.ones(1592))
    assert (similarity - MODULE.ALIKE).abs().min() > 1e-5
    letters = list(MODULE._outlines())
    pairs = [(n, letters.index(x.lower())) for n, x in enumerate(letters) if x != x.lower() and x.lower() in letters]
    assert len(pairs) == 399
    assert min(abs(similarity[pair].item() - MODULE.ALIKE_IN_OTHER_CASE) for pair in pairs) > 1e-5
    assert 950 < len(MODULE._looks().unique()) < 1100


def test_split_by_script(pool):
    train, test = glyph_split(pool)
    assert set(train.alphabets) == set(TRAINING_SCRIPTS)
    assert set(test.alphabets) == set(TEST_SCRIPTS)
    assert not set(train.looks.tolist()) & set(test.looks.tolist()), "nothing judged on has been seen"
    looks = [len(part.looks.unique()) for part in (train, test)]
    assert looks[0] / looks[1] == pytest.approx(3, abs=0.5)


def test_episodes_of_letters(pool):
    """The nearest of five letters is right far more often than chance, and far from always."""
    tasks = Episodes(pool).draw(400, torch.Generator().manual_seed(0))
    distances = torch.cdist(tasks.query.x.flatten(2), tasks.support.x.flatten(2))
    assert 0.5 < (distances.argmin(2) == tasks.query.y).float().mean() < 0.85
