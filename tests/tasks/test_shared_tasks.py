"""A test that asks about tasks of the training is found out, and data sets that only count alike are left in peace."""

import numpy as np
import pytest
import torch
from PIL import Image

from mamlbook.tasks import (
    Data,
    Episodes,
    Mixture,
    Pool,
    Signs,
    SupportAsQuery,
    Tasks,
    TaskTable,
    WaveCollection,
    check_tasks,
    picture_folder,
)

PEOPLE = 30


def people(names, seed=0, rows=24, noise=0.05, offset=0):
    """The rows of people, each with a level and a slope of their own, as columns; a seed is a group of people."""
    some, count = np.random.default_rng(seed), len(names)
    level, slope = some.normal(size=(2, count, 1))
    x = some.normal(size=(count, rows))
    y = level + slope * x + noise * some.normal(size=x.shape) + offset
    return np.repeat(np.array(names, dtype=object), rows), x.ravel(), y.ravel()


def table(columns, chosen=slice(None)):
    task, x, y = (column[chosen] for column in columns)
    return TaskTable(list(task), x, y, shots=3, queries=5)


def split_by_rows(columns, rows=24):
    """The usual mistake: half of the rows to the left and half to the right, whoever they belong to."""
    some = np.random.default_rng(9)
    left = np.concatenate([some.permutation(rows) % 2 == 0 for _ in range(len(columns[0]) // rows)])
    return table(columns, left), table(columns, ~left)


def unseen(train, test, **options):
    return check_tasks(train, test=test, **options)["test unseen"]


def called(letter, count=PEOPLE):
    return [f"{letter}{number}" for number in range(count)]


def test_a_table_that_was_split_by_rows():
    train, test = split_by_rows(people(called("p")))
    verdict = unseen(train, test)
    assert (verdict.level, verdict.number) == ("problem", 1)
    assert "training and test share the tasks 'p0', 'p1', 'p2', ...: split by task, not by row" in verdict.sentence
    pairs = [
        {(x, y) for x, y in zip(t.x.flatten().tolist(), t.y.flatten().tolist(), strict=True)} for t in (train, test)
    ]
    assert not pairs[0] & pairs[1], "the two sides share no example"


def test_a_table_that_was_split_by_task():
    first, second = table(people(called("p"))).split((0.5, 0.5))
    verdict = unseen(first, second)
    assert (verdict.level, verdict.number) == ("ok", 0)
    assert verdict.sentence == "of the test tasks have the name of a training task"


def test_the_share_is_that_of_the_test_tasks():
    first, second = table(people(called("p")[:20])), table(people(called("p")[15:25], seed=1))
    assert unseen(first, second).number == pytest.approx(5 / 10)
    one = unseen(table(people(called("p")[:20])), table(people(called("p")[19:25], seed=1)))
    assert one.number == pytest.approx(1 / 6)
    assert "share the tasks 'p19': split by task" in one.sentence


def test_examples_are_looked_for_where_no_name_is_shared():
    columns = people(called("p"))
    renamed = table((np.array([f"q{name}" for name in columns[0]], dtype=object), *columns[1:]))
    verdict = unseen(table(columns), renamed)
    assert verdict.level == "problem"
    assert verdict.sentence.startswith("of the test examples were also drawn for training")


@pytest.mark.parametrize("kind", [int, str, float], ids=lambda kind: kind.__name__)
def test_numbers_may_be_those_of_other_people(kind):
    """Numbers alone do not tell a split by rows from two groups that both count from 0: the sentence covers both."""
    names = [kind(number) for number in range(PEOPLE)]
    others = [table(people(names, seed=seed)) for seed in (0, 1)]
    for pair in (split_by_rows(people(names)), others):
        verdict = unseen(*pair)
        assert (verdict.level, verdict.number) == ("warning", 1)
        assert f"share the tasks {names[0]!r}, {names[1]!r}, {names[2]!r}, ..., split by task" in verdict.sentence
        assert "if these are others, give them other names" in verdict.sentence
    renamed = [table(people(called(letter), seed=seed)) for seed, letter in enumerate("ab")]
    assert unseen(*renamed).level == "ok", "which is the cure"


def test_a_shared_number_does_not_hide_a_shared_example():
    whole = table(people(list(range(PEOPLE))))
    assert unseen(whole, whole.split((0.5, 0.5))[0]).level == "problem"


def test_what_is_drawn_from_a_table_is_seen_as_well():
    train, test = split_by_rows(people(called("p")))
    for pair in ((SupportAsQuery(train), test), (train, Signs(test)), (SupportAsQuery(Signs(train)), test)):
        assert "split by task, not by row" in unseen(*pair).sentence


class Chosen:
    """A distribution of one's own, which takes some of the tasks of a table: those that are its ``names``."""

    def __init__(self, whole, names):
        self.whole, self.names = whole, names

    def __len__(self):
        return len(self.names)

    def draw(self, tasks, generator):
        drawn = self.whole.draw(len(self.whole), generator)
        kept = [b for b, number in enumerate(drawn.index.tolist()) if self.whole.names[number] in self.names]
        return drawn.pick(kept[:tasks])


def test_a_distribution_of_ones_own_is_compared_by_its_names():
    whole = table(people(called("p")))
    first, second, third = whole.names[:10], whole.names[10:20], whole.names[9:19]
    assert unseen(Chosen(whole, first), Chosen(whole, second)).level == "ok", "though both hold the whole table"
    verdict = unseen(Chosen(whole, first), Chosen(whole, third))
    assert (verdict.level, verdict.number) == ("problem", pytest.approx(1 / 10))


def test_names_that_are_not_those_of_tasks_are_passed_over():
    class Columns(Chosen):
        def __len__(self):
            return 10

        def draw(self, tasks, generator):
            return self.whole.draw(tasks, generator)

    sides = table(people(called("p"))).split((0.5, 0.5))
    assert unseen(*(Columns(side, ("load", "heat")) for side in sides)).level == "ok"


def looks(classes=10, drawings=8, seed=0):
    """Pictures with a look for each class, and noise."""
    some = torch.Generator().manual_seed(seed)
    look = 255 * torch.rand(classes, 1, 8, 8, generator=some).round()
    noise = 60 * torch.randn(classes, drawings, 8, 8, generator=some)
    return (look + noise).clamp(0, 255).byte()


def halves(pictures, names=None):
    return [Episodes(Pool(pictures[:, part], names)) for part in (slice(4), slice(4, 8))]


def test_classes_with_numbers_whose_pictures_were_split():
    verdict = unseen(*halves(looks()))
    assert (verdict.level, verdict.number) == ("problem", 1)
    digits = unseen(*halves(looks(), [str(number) for number in range(10)]))
    assert digits.level == "problem"


def test_classes_with_numbers_of_two_data_sets():
    for seed in range(20):
        pair = [Episodes(Pool(looks(seed=2 * seed + side))) for side in (0, 1)]
        assert unseen(*pair, tasks=10).level == "ok"


def test_some_numbered_classes_among_others():
    """The test pool has three classes of its own and seven of the training, numbered as there."""
    train, other = looks(12), looks(12, seed=5)
    mixed = torch.cat([train[:7, 4:], other[7:10, 4:]])
    numbers = [str(number) for number in range(12)]
    verdict = unseen(Episodes(Pool(train[:, :4], numbers)), Episodes(Pool(mixed, numbers[:10])))
    assert verdict.level == "problem"


@pytest.mark.parametrize(("test_folder", "level"), [("test", "problem"), ("night", "ok")])
def test_folders_of_the_same_classes_below_the_two_sides_of_a_split(tmp_path, test_folder, level):
    """train/cat and test/cat are one class, as Greek/character01 and Latin/character01 are two."""
    pictures = torch.randint(256, (4, 4, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for number, (side, name) in enumerate([(s, n) for s in ("train", test_folder) for n in ("cat", "dog")]):
        place = tmp_path / side / name
        place.mkdir(parents=True)
        for picture in range(4):
            Image.fromarray(pictures[number, picture].numpy()).save(place / f"{picture}.png")
    whole = picture_folder(tmp_path, size=8)
    sides = [whole[[i for i, a in enumerate(whole.alphabets) if a == side]] for side in ("train", test_folder)]
    verdict = unseen(*(Episodes(side, ways=2) for side in sides))
    assert verdict.level == level


def test_waves_of_a_collection_that_are_trained_on():
    train = WaveCollection((1, 2), (0.0, 1.0))
    assert unseen(train, WaveCollection((1, 3), (0.5, 1.5))).level == "ok"
    verdict = unseen(train, WaveCollection((2, 3), (1.0, 2.0)))
    assert (verdict.level, verdict.number) == ("problem", pytest.approx(1 / 4))
    assert "of the test waves are waves of the training" in verdict.sentence


def test_the_worst_of_several_parts_is_told():
    numbered, named = looks(), looks(seed=3)
    letters = called("c", 10)
    parts = Mixture([Episodes(Pool(numbered)), Episodes(Pool(named[:, :4], letters))])
    assert unseen(parts, Episodes(Pool(named[:, 4:], letters))).level == "problem"
    assert unseen(parts, Episodes(Pool(looks(seed=4), called("d", 10)))).level == "ok"


def test_a_table_and_something_else_have_no_names_in_common():
    class Free:
        def draw(self, tasks, generator):
            x = torch.randn(tasks, 8, 1, generator=generator)
            return Tasks(Data(x[:, :3], x[:, :3]), Data(x[:, 3:], x[:, 3:]))

    assert unseen(table(people(called("p"))), Free()).level == "ok"
