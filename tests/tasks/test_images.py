"""Pools check themselves; episodes are what they say, in law as well as in shape."""

import pytest
import torch

from mamlbook.tasks.base import require_tasks
from mamlbook.tasks.images import Episodes, Pool

CLASSES, DRAWINGS, SIDE = 12, 6, 8


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered_pool(looks=None):
    """Pictures that tell what they are: the corner pixels are asymmetric, the next two say class and drawing."""
    images = torch.zeros(CLASSES, DRAWINGS, SIDE, SIDE, dtype=torch.uint8)
    images[:, :, 0, 0] = 255
    images[:, :, 0, 1] = torch.arange(CLASSES)[:, None] + 1
    images[:, :, 0, 2] = torch.arange(DRAWINGS) + 1
    return Pool(images, tuple(f"c{c}" for c in range(CLASSES)), tuple("ab" * (CLASSES // 2)), looks)


def read(x):
    """Quarter turns, class and drawing of every picture of x, (B, K, 1, side, side)."""
    pictures = (x[:, :, 0] * 255).round().long()
    turned = torch.stack([pictures.rot90(-quarter, (2, 3)) for quarter in range(4)])
    turns = (turned[..., 0, 0] == 255).long().argmax(0)
    upright = turned.gather(0, turns[None, ..., None, None].expand_as(turned[:1]))[0]
    return turns, upright[..., 0, 1] - 1, upright[..., 0, 2] - 1


def unequal_pool(counts, channels=1):
    """Classes of different size, in colour on request: pictures that tell what they are, as above."""
    images = []
    for c, count in enumerate(counts):
        pictures = torch.zeros(count, channels, SIDE, SIDE, dtype=torch.uint8)
        pictures[:, 0, 0, 0] = 255
        pictures[:, 0, 0, 1] = c + 1
        pictures[:, 0, 0, 2] = torch.arange(count) + 1
        pictures[:, 1:] = pictures[:, :1] // 5
        images.append(pictures if channels > 1 else pictures[:, 0])
    return Pool(images, [f"c{c}" for c in range(len(counts))])


def test_shapes_and_labels():
    episodes = Episodes(numbered_pool(), ways=4, shots=2, queries=3)
    tasks = episodes.draw(7, seeded())
    require_tasks(tasks)
    assert tasks.support.x.shape == (7, 8, 1, SIDE, SIDE)
    assert tasks.query.x.shape == (7, 12, 1, SIDE, SIDE)
    assert tasks.support.x.dtype == torch.float32
    assert tasks.support.y.dtype == torch.int64
    assert (tasks.support.y == torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])).all()
    assert (tasks.query.y == torch.arange(4).repeat_interleave(3)).all()
    assert (tasks.index == -1).all()
    assert tasks.support.x.max() == 1
    assert tasks.support.x.min() == 0


@pytest.mark.parametrize("rotate", [False, True])
def test_an_episode_is_consistent(rotate):
    tasks = Episodes(numbered_pool(), ways=5, shots=2, queries=4, rotate=rotate).draw(50, seeded())
    support, query = ([part.view(50, 5, -1) for part in read(data.x)] for data in (tasks.support, tasks.query))
    turns, classes, drawings = (torch.cat(parts, 2) for parts in zip(support, query, strict=True))
    assert (classes == classes[:, :, :1]).all(), "a label stands for one class, in support and query"
    assert (turns == turns[:, :, :1]).all(), "a class is turned alike in support and query"
    assert all(len(set(task.tolist())) == 5 for task in classes[:, :, 0]), "the classes of a task differ"
    assert (drawings.sort(2).values == torch.arange(6)).all(), "no drawing is both learnt from and judged on"
    assert set(turns.unique().tolist()) == (set(range(4)) if rotate else {0})


def test_every_class_label_drawing_and_turn_is_equally_likely():
    tasks = Episodes(numbered_pool(), ways=3, shots=1, queries=1, rotate=True).draw(20_000, seeded())
    turns, classes, drawings = read(tasks.support.x)
    for label in range(3):
        for found, kinds in ((turns, 4), (classes, CLASSES), (drawings, DRAWINGS)):
            counts = found[:, label].bincount(minlength=kinds).double()
            expected = 20_000 / kinds
            chi_squared = ((counts - expected) ** 2 / expected).sum()
            assert chi_squared < kinds - 1 + 4 * (2 * (kinds - 1)) ** 0.5
    pairs = (classes[:, 0] * CLASSES + classes[:, 1]).unique()
    assert len(pairs) == CLASSES * (CLASSES - 1), "every ordered pair of classes meets"


def test_look_alikes_never_meet_and_looks_are_equally_likely():
    looks = torch.tensor([5, 5, 5, 5, 7, 7, 2, 9, 11, -3, 40, 41])
    tasks = Episodes(numbered_pool(looks), ways=4).draw(20_000, seeded())
    _, classes, _ = read(tasks.support.x)
    drawn = looks[classes].sort(1).values
    assert (drawn.diff(dim=1) > 0).all()
    for label in range(4):
        counts = classes[:, label].bincount(minlength=CLASSES).double() / 20_000
        expected = torch.tensor([1 / 4] * 4 + [1 / 2] * 2 + [1.0] * 6) / 8
        torch.testing.assert_close(counts, expected.double(), rtol=0, atol=0.012)


def test_every_drawing_of_a_class_is_equally_likely_whatever_the_class_has():
    counts = [2, 5, 3, 9]
    tasks = Episodes(unequal_pool(counts), ways=4, shots=1, queries=1).draw(9_000, seeded())
    _, classes, drawings = (
        torch.cat([a, b], 1) for a, b in zip(read(tasks.support.x), read(tasks.query.x), strict=True)
    )
    first, second = (classes[:, :4], drawings[:, :4]), (classes[:, 4:], drawings[:, 4:])
    assert torch.equal(first[0], second[0])
    for c, count in enumerate(counts):
        pairs = torch.stack([first[1][first[0] == c], second[1][second[0] == c]], 1)
        found = (pairs[:, 0] * count + pairs[:, 1]).bincount(minlength=count * count).view(count, count).double()
        assert (found.diagonal() == 0).all(), "no drawing is both learnt from and judged on"
        expected = len(pairs) / (count * (count - 1))
        apart = found[~torch.eye(count, dtype=torch.bool)]
        chi_squared = ((apart - expected) ** 2 / expected).sum()
        assert chi_squared < len(apart) - 1 + 4 * (2 * len(apart)) ** 0.5


def test_classes_of_one_size_in_a_list_are_the_same_pool():
    pool = numbered_pool()
    other = Pool(list(pool.images), pool.names, pool.alphabets)
    assert isinstance(other.images, torch.Tensor)
    for rotate in (False, True):
        drawn = [Episodes(p, rotate=rotate).draw(9, seeded()) for p in (pool, other)]
        assert torch.equal(drawn[0].support.x, drawn[1].support.x)
        assert torch.equal(drawn[0].query.x, drawn[1].query.x)


def test_colour_pictures_keep_their_channels_and_turn_as_a_whole():
    pool = unequal_pool([DRAWINGS] * CLASSES, channels=3)
    assert pool.images.shape == (CLASSES, DRAWINGS, 3, SIDE, SIDE)
    tasks = Episodes(pool, ways=4, shots=2, queries=1, rotate=True).draw(30, seeded())
    assert tasks.support.x.shape == (30, 8, 3, SIDE, SIDE)
    grey = Episodes(numbered_pool(), ways=4, shots=2, queries=1, rotate=True).draw(30, seeded())
    assert torch.equal(tasks.support.x[:, :, :1], grey.support.x), "the same draws as without colour"
    pictures = (tasks.query.x * 255).round().long()
    assert torch.equal(pictures[:, :, 1], pictures[:, :, 0] // 5)
    assert torch.equal(pictures[:, :, 2], pictures[:, :, 1])


def test_classes_of_unequal_size_in_colour():
    tasks = Episodes(unequal_pool([3, 8, 4], channels=3), ways=3, shots=2, queries=1).draw(5, seeded())
    require_tasks(tasks)
    assert tasks.support.x.shape == (5, 6, 3, SIDE, SIDE)
    _, classes, _ = read(tasks.support.x)
    assert (classes.view(5, 3, 2).diff(dim=2) == 0).all()


def test_a_class_that_is_too_small_is_named():
    pool = unequal_pool([4, 2, 9, 3])
    with pytest.raises(
        ValueError,
        match=r"at most the 2 drawings of class 'c1', got 3 \+ 1; ask for fewer of either, or leave out the 2 of 4 "
        r"classes that are too small, as in pool\[pool.counts >= 4\]",
    ):
        Episodes(pool, ways=2, shots=3, queries=1)
    assert Episodes(pool[pool.counts >= 4], ways=2, shots=3, queries=1).draw(2, seeded()).query.x.shape[1] == 2


def test_seed_decides_and_generator_moves_on():
    episodes = Episodes(numbered_pool(), rotate=True)
    generator = seeded(3)
    first, second = episodes.draw(9, generator), episodes.draw(9, generator)
    again = episodes.draw(9, seeded(3))
    assert torch.equal(first.support.x, again.support.x)
    assert torch.equal(first.query.x, again.query.x)
    assert not torch.equal(first.support.x, second.support.x)
    state = torch.get_rng_state()
    episodes.draw(1, generator)
    assert torch.equal(state, torch.get_rng_state()), "the global generator is left alone"


def test_the_largest_episode_uses_everything():
    tasks = Episodes(numbered_pool(), ways=CLASSES, shots=DRAWINGS - 1, queries=1).draw(1, seeded())
    _, classes, _ = read(tasks.query.x)
    assert sorted(classes[0].tolist()) == list(range(CLASSES))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ways": CLASSES + 1}, r"ways: expected at most the 12 .* got 13; ask for fewer"),
        (
            {"shots": 4, "queries": 3},
            r"shots \+ queries: expected at most the 6 drawings of class 'c0', got 4 \+ 3; .* of either$",
        ),
        ({"ways": 0}, r"ways: .* at least 1, got 0"),
        ({"shots": -1}, r"shots: .* at least 1, got -1"),
        ({"queries": 0}, r"queries: .* at least 1, got 0"),
        ({"ways": 2.0}, r"ways: expected a whole number"),
    ],
)
def test_impossible_episodes_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Episodes(numbered_pool(), **arguments)


def test_other_refusals():
    with pytest.raises(ValueError, match=r"tasks: .* at least 1, got 0"):
        Episodes(numbered_pool()).draw(0, seeded())
    with pytest.raises(ValueError, match="distinguishable"):
        Episodes(numbered_pool(torch.zeros(CLASSES, dtype=torch.int64)), ways=2)
    oblong = Pool(torch.zeros(5, 2, 4, 6, dtype=torch.uint8), "abcde", "aaaaa")
    assert Episodes(oblong).draw(2, seeded()).support.x.shape == (2, 5, 1, 4, 6)
    with pytest.raises(ValueError, match="rotate: expected square pictures, got 4 x 6"):
        Episodes(oblong, rotate=True)


IMAGES = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((IMAGES.float(), "ab", "cd"), "images: expected .*uint8.* got torch.float32"),
        ((IMAGES[0], "ab", "cd"), r"images: .* got torch.uint8 \(3, 4, 4\)"),
        ((IMAGES[:0], "", ""), "images: expected a non-empty"),
        ((IMAGES, "a", "cd"), "names: expected one for each of the 2 classes, got 1"),
        ((IMAGES, "ab", "cde"), "alphabets: expected one for each of the 2 classes, got 3"),
        ((IMAGES, "ab", "cd", torch.zeros(3, dtype=torch.int64)), r"looks: .* got torch.int64 \(3,\)"),
        ((IMAGES, "ab", "cd", torch.zeros(2)), "looks: .* got torch.float32"),
        (([],), "images: expected a non-empty .* got list"),
        (("pictures",), "images: .* got str"),
        (([IMAGES[0], IMAGES[0, :0]], "ab"), r"images: .* got torch.uint8 \(0, 4, 4\) for class 'b'"),
        (([IMAGES[0], IMAGES[0, :, 1:]],), r"pictures of \(4, 4\) as the first .* \(3, 3, 4\) for class 1"),
        (([IMAGES[0].float(), IMAGES[0]],), "got torch.float32 .* for class 0"),
        ((torch.zeros(2, 3, 8, 9, 3).byte(),), r"channels before .* \(8, 9, 3\); move them, as in images.movedim"),
        (([torch.zeros(4, 8, 9, 3).byte(), torch.zeros(3, 8, 9, 3).byte()],), "the channels before height and width"),
    ],
)
def test_a_pool_that_disagrees_with_itself_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Pool(*fields)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ([3, 1], [3, 1]),
        ((0,), [0]),
        (5, [5]),
        (-1, [CLASSES - 1]),
        (slice(2, 9, 3), [2, 5, 8]),
        (torch.tensor([4, 4, 0]), [4, 4, 0]),
        (torch.arange(CLASSES) > 9, [10, 11]),
        ([True, False] * (CLASSES // 2), [0, 2, 4, 6, 8, 10]),
    ],
)
def test_indexing_a_pool(index, expected):
    part = numbered_pool(torch.arange(CLASSES) * 10)[index]
    assert len(part) == len(expected)
    assert (part.images[:, 0, 0, 1] - 1).tolist() == expected
    assert part.names == tuple(f"c{c}" for c in expected)
    assert part.alphabets == tuple("ab"[c % 2] for c in expected)
    assert part.looks.tolist() == [10 * c for c in expected]


def test_indexing_classes_of_unequal_size():
    pool = unequal_pool([3, 8, 4])
    assert pool.counts.tolist() == [3, 8, 4]
    part = pool[[2, 0]]
    assert (part.counts.tolist(), part.names) == ([4, 3], ("c2", "c0"))
    assert (part.drawings[:, 0, 0, 1] - 1).tolist() == [2] * 4 + [0] * 3
    assert pool[1].images.shape == (1, 8, SIDE, SIDE), "classes of one size are one tensor again"


def test_arrays_and_defaults():
    pool = Pool(torch.zeros(3, 2, 4, 4).byte().numpy()[::-1])
    assert (pool.names, set(pool.alphabets), pool.looks.tolist()) == (("0", "1", "2"), {"all"}, [0, 1, 2])
    assert isinstance(pool.images, torch.Tensor)


def test_indexing_out_of_range_or_nothing():
    pool = numbered_pool()
    with pytest.raises(IndexError):
        pool[CLASSES]
    with pytest.raises(ValueError, match="non-empty"):
        pool[[]]
    with pytest.raises(ValueError, match="non-empty"):
        pool[3:3]


def test_repr_and_move():
    pool = numbered_pool()
    assert repr(pool) == "Pool(12 classes of 2 alphabets, 6 drawings each, 8 x 8, 12 looks)"
    assert repr(Episodes(pool, 3, 2, 1)) == "Episodes(ways=3, shots=2, queries=1, rotate=False, classes=12)"
    assert pool.to("cpu").names == pool.names
    photographs = unequal_pool([2, 5], channels=3)
    assert repr(photographs) == "Pool(2 classes of 1 alphabets, 2 to 5 drawings each, 3 channels of 8 x 8, 2 looks)"
    assert photographs.to("cpu").counts.tolist() == [2, 5]
