"""Parts of a pool share no class, no look and, on request, no alphabet; their sizes are what was asked for."""

import pytest
import torch

from mamlbook.tasks import Pool, class_split, glyphs


def pool(classes=10, alphabets=None, looks=None):
    return Pool(torch.zeros(classes, 2, 4, 4, dtype=torch.uint8), [f"c{c}" for c in range(classes)], alphabets, looks)


@pytest.mark.parametrize(
    ("shares", "sizes"),
    [((0.6, 0.2, 0.2), [6, 2, 2]), ((0.7, 0.3), [7, 3]), ((1 / 3,) * 3, [3, 4, 3]), ((5, 3), [5, 3]), ((1.0,), [10])],
)
def test_every_class_is_in_one_part(shares, sizes):
    parts = class_split(pool(), shares)
    assert [len(part) for part in parts] == sizes
    names = [name for part in parts for name in part.names]
    assert len(names) == len(set(names)) == sum(sizes)
    assert all(list(part.names) == sorted(part.names) for part in parts)


def test_the_seed_decides():
    first, again, other = (class_split(pool(100), seed=seed)[0].names for seed in (0, 0, 1))
    assert first == again != other
    state = torch.get_rng_state()
    class_split(pool())
    assert torch.equal(torch.get_rng_state(), state)


def test_every_class_has_the_same_chance():
    counts = torch.zeros(10)
    for seed in range(600):
        counts[[int(name[1:]) for name in class_split(pool(), seed=seed)[1].names]] += 1
    assert ((counts - 120) ** 2 / 96).sum() < 10 + 4 * 20**0.5


def test_classes_that_look_alike_stay_together():
    looks = torch.tensor([5, 0, 5, 1, 0, 2, 5, 3, 4, 6])
    for seed in range(40):
        parts = class_split(pool(looks=looks), (0.5, 0.5), seed=seed)
        seen = [set(part.looks.tolist()) for part in parts]
        assert not seen[0] & seen[1]
        assert sum(map(len, parts)) == 10
        assert 3 <= len(parts[0]) <= 7


def test_alphabets_stay_together_and_with_those_that_look_alike():
    alphabets = ["Greek"] * 3 + ["Latin"] * 3 + ["Lao"] * 2 + ["Thai"] * 2
    looks = torch.tensor([0, 1, 2, 0, 3, 4, 5, 6, 7, 8])
    for seed in range(40):
        parts = class_split(pool(alphabets=alphabets, looks=looks), (0.6, 0.4), seed=seed, by_alphabet=True)
        sides = [set(part.alphabets) for part in parts]
        assert not sides[0] & sides[1]
        assert any(side >= {"Greek", "Latin"} for side in sides), "alpha and a look alike"


def test_glyphs_are_split_without_a_look_on_both_sides():
    parts = class_split(glyphs(1))
    seen = [set(part.looks.tolist()) for part in parts]
    assert not seen[0] & (seen[1] | seen[2])
    assert not seen[1] & seen[2]
    assert [round(len(part) / 1592, 1) for part in parts] == [0.6, 0.2, 0.2]


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ((0.5, 0.4), r"add up to 1, or whole numbers .* the 10 classes of the pool, got \(0.5, 0.4\)"),
        ((8, 3), r"got \(8, 3\)"),
        ((1.5, -0.5), r"got \(1.5, -0.5\)"),
        ((), r"got \(\)"),
        ((0.99, 0.01), r"expected at least one class in every part, got none in part 1 \(0.01\) of 10 classes"),
    ],
)
def test_shares_that_are_none_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        class_split(pool(), shares)
