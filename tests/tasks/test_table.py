"""A table as tasks: every row where it belongs, no row on both sides, no task in two parts."""

import math

import numpy as np
import pytest
import torch

from mamlbook.tasks import TaskTable, check_tasks

SIZES = {"pump 7": 6, "pump 2": 9, "pump 5": 7, "pump 1": 12}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def columns(seed=0):
    """The rows of all tasks in a random order; x says which row it is and y which task."""
    task = [name for name, size in SIZES.items() for _ in range(size)]
    order = np.random.default_rng(seed).permutation(len(task))
    task = [task[row] for row in order]
    return task, np.arange(float(len(task))), np.array([float(name[-1]) for name in task])


def table(shots=2, queries=4):
    return TaskTable(*columns(), shots=shots, queries=queries)


def test_every_row_of_a_task_is_its_own_and_none_is_on_both_sides():
    task, _, y = columns()
    for seed in range(30):
        support, query, index = table().draw(3, generator(seed))
        assert support.x.shape == (3, 2, 1)
        assert query.y.shape == (3, 4, 1)
        assert len(set(index.tolist())) == 3
        for b, number in enumerate(index.tolist()):
            rows = [int(row) for data in (support, query) for row in data.x[b, :, 0].tolist()]
            assert len(set(rows)) == 6
            assert {task[row] for row in rows} == {table().names[number]}
            assert [y[row] for row in rows] == support.y[b, :, 0].tolist() + query.y[b, :, 0].tolist()


def test_every_row_comes_equally_often_in_the_support_set():
    counts, task = torch.zeros(sum(SIZES.values())), columns()[0]
    source = generator()
    for _ in range(1500):
        counts[table().draw(4, source).support.x.flatten().long()] += 1
    expected = torch.tensor([1500 * 2 / SIZES[name] for name in task])
    # Of each task the counts add up to a constant: as many degrees of freedom as rows, less one for each task.
    assert ((counts - expected) ** 2 / expected).sum() < 30 + 4 * 60**0.5


def test_the_seed_decides_and_the_global_generator_does_not():
    first, again, other = (table().draw(2, generator(seed)).support.x for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_names_are_in_the_order_of_the_table():
    assert TaskTable([3, 1, 3, 1], torch.zeros(4), torch.zeros(4), shots=1, queries=1).names == (3, 1)
    assert TaskTable(np.array(["b", "a"] * 2), np.zeros(4), np.zeros(4), shots=1, queries=1).names == ("b", "a")


def test_labels_stay_a_column_and_several_numbers_stay_together():
    x, y = torch.zeros(6, 3, 5), torch.tensor([0, 1, 2, 0, 1, 2])
    drawn = TaskTable([0, 0, 0, 1, 1, 1], x, y, shots=1, queries=2).draw(2, generator())
    assert drawn.query.x.shape == (2, 2, 3, 5)
    assert drawn.query.y.shape == (2, 2)
    assert drawn.query.y.dtype == torch.int64


@pytest.mark.parametrize("shares", [(0.5, 0.25, 0.25), (2, 1, 1), (1, 1)], ids=str)
def test_parts_share_no_task_and_keep_their_rows(shares):
    task, seen = columns()[0], []
    for part in table().split(shares, seed=3):
        seen += part.names
        drawn = part.draw(len(part), generator())
        for b, number in enumerate(drawn.index.tolist()):
            rows = drawn.query.x[b].flatten().long().tolist()
            assert {task[row] for row in rows} == {part.names[number]}
        assert (part.shots, part.queries) == (2, 4)
    assert len(seen) == len(set(seen)) == sum(s if isinstance(s, int) else round(4 * s) for s in shares)


def test_the_seed_of_a_split_decides():
    parts = {table().split((2, 2), seed=seed)[0].names for seed in range(60)}
    assert table().split((2, 2), seed=0)[0].names == table().split((2, 2), seed=0)[0].names
    assert len(parts) == 6  # all pairs of four, in the order of the table


def test_the_check_of_tasks_finds_nothing_in_parts_and_a_leak_in_the_whole():
    some = np.random.default_rng(0)
    whole = TaskTable(np.repeat(np.arange(40), 20), some.normal(size=800), some.normal(size=800))
    first, second = whole.split((0.5, 0.5))
    assert not check_tasks(first, test=second).problems
    assert [verdict.name for verdict in check_tasks(whole, test=first).problems] == ["test unseen"]


@pytest.mark.parametrize("seed", range(5))
def test_tasks_drawn_from_the_seed_of_the_split_lie_in_all_parts(seed):
    whole = TaskTable(np.repeat(np.arange(200), 2), np.zeros(400), np.zeros(400), shots=1, queries=1)
    first, last = whole.split((100, 100), seed=seed)
    drawn = {whole.names[number] for number in whole.draw(100, generator(seed)).index.tolist()}
    assert min(len(drawn & set(part.names)) for part in (first, last)) > 25


@pytest.mark.parametrize(
    ("build", "kind", "message"),
    [
        (lambda: table(shots=0), ValueError, "shots: expected a whole number of at least 1, got 0"),
        (lambda: table(3, 4), ValueError, "at most the 6 rows of task 'pump 7', got 3 [+] 4; .* leave out the 1 tasks"),
        (lambda: TaskTable([], torch.zeros(0), torch.zeros(0)), ValueError, "with at least one row, got 0, 0 and 0"),
        (lambda: TaskTable([1], torch.zeros(2), torch.zeros(1)), ValueError, "of one length, .* got 1, 2 and 1 rows"),
        (lambda: TaskTable([1], np.array(["7"]), torch.zeros(1)), TypeError, "x: expected an array of numbers"),
        (lambda: TaskTable([1], torch.zeros(1), [1.0]), TypeError, "y: expected a tensor or a NumPy array"),
        (
            lambda: TaskTable([[1]], torch.zeros(1), torch.zeros(1)),
            TypeError,
            "task: expected a column of names or num",
        ),
        (lambda: TaskTable(np.array(1), torch.zeros(1), torch.zeros(1)), TypeError, "task: expected a column of names"),
        (lambda: TaskTable([1, math.nan], torch.zeros(2), torch.zeros(2)), ValueError, "task: .* got nan in row 1"),
        (lambda: TaskTable([None], torch.zeros(1), torch.zeros(1)), ValueError, "task: .* got None in row 0.* leave"),
        (lambda: TaskTable([1], np.zeros(1, np.longdouble), torch.zeros(1)), TypeError, "x: expected an array of numb"),
        (lambda: TaskTable([1], np.ma.masked_invalid([np.nan]), torch.zeros(1)), TypeError, "x: .* without a mask"),
        (lambda: table().split(seed=-1), ValueError, "seed: expected a whole number of at least 0, got -1"),
        (lambda: table().split(seed=2**64), ValueError, r"seed: expected a whole number of at most 2\^64 - 1"),
        (lambda: table().draw(5, generator()), ValueError, "between 1 and the 4 tasks of the table, got 5"),
        (lambda: table().draw(1, 0), TypeError, "generator: expected a torch.Generator"),
        (lambda: table().split((0.5, 0.4)), ValueError, "add up to at most the 4 tasks of the table"),
        (lambda: table().split((0.9, 0.05, 0.05)), ValueError, "shares: expected parts of at least one of the 4 tasks"),
    ],
    ids=[
        *("shots", "few rows", "empty", "lengths", "text", "list"),
        *("names in lists", "no column", "nan", "none", "long double", "mask", "negative seed", "large seed"),
        *("too many", "seed", "shares", "no task"),
    ],
)
def test_errors(build, kind, message):
    with pytest.raises(kind, match=message):
        build()


def test_arrays_of_another_byte_order_and_of_a_full_mask_are_read():
    columns = np.arange(4.0).astype(">f8"), np.ma.masked_invalid([0.0, 1, 2, 3])
    read = TaskTable(["a", "a", "b", "b"], *columns, shots=1, queries=1)
    assert read.x[:, 0].tolist() == read.y[:, 0].tolist() == [0, 1, 2, 3]
    columns[0][0] = 9
    assert read.x[0, 0] == 0  # it has its own


def test_prints():
    assert repr(table()) == "TaskTable(4 tasks of 6 to 12 rows, shots=2, queries=4)"
