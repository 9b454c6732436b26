"""A batch of tasks is a pair of trees: picked, moved, joined and cut alike in every tensor, and checked as a whole."""

import numpy as np
import pytest
import torch

from mamlbook.tasks import (
    Data,
    Episodes,
    LinearRegression,
    Lines,
    Mixture,
    Pool,
    Quadratics,
    Sinusoids,
    SquareWaves,
    Tasks,
    WaveCollection,
    glyphs,
    require_tasks,
)
from mamlbook.tasks.base import concatenated, joined, split_examples
from mamlbook.tasks.features import OwnFeatures, SharedFeatures


def numbers(*shape):
    return torch.arange(torch.Size(shape).numel()).view(shape).double()


def tree(tasks=3, examples=4, offset=0):
    """Two inputs, one of them a pair, and two targets."""
    x = {"a": numbers(tasks, examples, 2) + offset, "b": (numbers(tasks, examples), [numbers(tasks, examples, 1, 5)])}
    return Data(x, (numbers(tasks, examples, 1), torch.zeros(tasks, examples, dtype=torch.int64)))


def test_sizes():
    tasks = Tasks(tree(), tree(examples=7))
    assert (tasks.size, tasks.support.tasks, tasks.support.examples, tasks.query.examples) == (3, 3, 4, 7)
    assert Data(numbers(5, 2), numbers(5, 2)).examples == 2


def test_picking_reaches_every_tensor_of_a_tree():
    tasks = Tasks(tree(), tree(examples=7), torch.tensor([5, 6, 7])).pick([2, 0, 2])
    assert torch.equal(tasks.support.x["a"], numbers(3, 4, 2)[[2, 0, 2]])
    assert torch.equal(tasks.query.x["b"][1][0], numbers(3, 7, 1, 5)[[2, 0, 2]])
    assert torch.equal(tasks.support.y[0], numbers(3, 4, 1)[[2, 0, 2]])
    assert tasks.index.tolist() == [7, 5, 7]
    assert type(tasks.support) is Data
    assert Tasks(tree(), tree()).pick(slice(1, 2)).index is None


def test_moving_keeps_whole_numbers_whole():
    tasks = Tasks(tree(), tree(), torch.tensor([0, 1, 2])).to(torch.float32)
    assert tasks.support.x["b"][0].dtype == torch.float32
    assert tasks.support.y[1].dtype == torch.int64
    assert tasks.index.dtype == torch.int64
    assert tasks.to("meta").query.x["b"][1][0].is_meta
    assert tasks.like(torch.zeros((), dtype=torch.float64)).query.y[0].dtype == torch.float64


def test_a_batch_without_numbers_is_never_met_again():
    tasks = Tasks(tree(), tree())
    assert tasks.index is None
    assert tasks.numbered().index.tolist() == [-1, -1, -1]
    known = Tasks(tree(), tree(), torch.tensor([0, 1, 2]))
    assert known.numbered().index is known.index
    assert concatenated([tasks, known]).index.tolist() == [-1, -1, -1, 0, 1, 2]


def test_examples_are_joined_and_cut():
    both = joined(tree().x, tree(examples=2, offset=9).x)
    assert torch.equal(both["a"], torch.cat([numbers(3, 4, 2), numbers(3, 2, 2) + 9], 1))
    parts = split_examples(tree(examples=7), 3)
    assert [part.examples for part in parts] == [3, 2, 2]
    assert torch.equal(torch.cat([part.y[0] for part in parts], 1), numbers(3, 7, 1))
    with pytest.raises(ValueError, match="expected at least 8 examples in each set, one per local step, got 7"):
        split_examples(tree(examples=7), 8, "local step")


def test_a_mixture_of_trees():
    class Trees:
        def __init__(self, fill):
            self.fill = fill

        def draw(self, tasks, generator):
            data = Data({"a": torch.full((tasks, 2, 1), self.fill), "b": torch.zeros(tasks, 2)}, torch.zeros(tasks, 2))
            return Tasks(data, data)

    drawn = Mixture([Trees(1.0), Trees(2.0)]).draw(40, torch.Generator().manual_seed(0))
    assert set(drawn.support.x["a"].unique().tolist()) == {1.0, 2.0}
    assert (drawn.index == -1).all()
    with pytest.raises(ValueError, match=r"tasks of one shape and one type, got .*\(10, 1\).* and .*\(2, 1\), \(2,\)"):
        Mixture([Trees(1.0), Sinusoids()]).draw(40, torch.Generator().manual_seed(0))


X, Y = numbers(3, 4, 5), numbers(3, 4, 1)


@pytest.mark.parametrize(
    ("support", "query", "index", "message"),
    [
        (Data(X, Y[:, :3]), Data(X, Y), None, r"support: .* got x \(3, 4, 5\) and y \(3, 3, 1\)"),
        (
            Data(X, Y),
            Data(X[0], Y[0]),
            None,
            r"query: .* got x \(4, 5\) and y \(4, 1\); a single task needs .* x\[None\]",
        ),
        (Data(X, Y), Data(X[:2], Y[:2]), None, "query: expected as many tasks as support has, 3, got 2"),
        (Data((X, X[:, :2]), Y), Data(X, Y), None, r"got x \(3, 4, 5\) and \(3, 2, 5\) and y"),
        (Data({}, Y), Data(X, Y), None, "support: expected at least one tensor in x, got none"),
        (Data(X[:, :0], Y[:, :0]), Data(X, Y), None, r"at least one task and one example of each, .* \(3, 0\)"),
        (Data(X[:0], Y[:0]), Data(X, Y), None, r"at least one task and one example of each, .* \(0, 4\)"),
        (Data(X, Y), Data(X, Y), torch.zeros(2), r"index: expected one number per task, shape \(3,\), got \(2,\)"),
        (Data(X.tolist(), Y), Data(X, Y), None, "support.x: expected a tensor .* got float"),
        ((X, Y), Data(X, Y), None, r"support: expected Data, got tuple; write Data\(x, y\)"),
    ],
)
def test_a_batch_that_disagrees_with_itself_is_refused(support, query, index, message):
    with pytest.raises((ValueError, TypeError), match=message):
        require_tasks(Tasks(support, query, index))
    with pytest.raises((ValueError, TypeError), match=message):
        require_tasks([Tasks(Data(X, Y), Data(X, Y)), Tasks(support, query, index)])


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        ([], "expected Tasks or a list of at least one, got list without any"),
        ([Data(X, Y)], "got list with Data in it"),
        (((X, Y), (X, Y)), r"got tuple with tuple in it; write Tasks\(Data\(x, y\), Data\(x, y\)\)"),
        (Data(X, Y), r"got Data; a learner needs a query set as well, as in Tasks\(support, query\)"),
        (Sinusoids(), "got Sinusoids; draw from it first"),
        (Sinusoids, "got the class Sinusoids; draw from it first"),
        (X, "got Tensor; write Tasks"),
        (np.zeros(3), "got ndarray; write Tasks"),
        (None, "got NoneType; write Tasks"),
    ],
)
def test_what_are_no_tasks_is_refused(thing, message):
    with pytest.raises(TypeError, match=message):
        require_tasks(thing)


@pytest.mark.parametrize(
    "distribution",
    [
        Sinusoids(),
        Lines(),
        SquareWaves(),
        Mixture([Sinusoids()]),
        WaveCollection(),
        Quadratics([1.0], [0.0]),
        LinearRegression(),
        SharedFeatures(),
        OwnFeatures(),
        Episodes(Pool(torch.zeros(5, 2, 4, 4, dtype=torch.uint8))),
    ],
    ids=lambda distribution: type(distribution).__name__,
)
def test_tasks_are_drawn_from_a_number_and_a_generator(distribution):
    for tasks in (0, -1, 2.5, True, "3"):
        with pytest.raises((ValueError, TypeError), match=r"tasks: expected a whole number .*, got"):
            distribution.draw(tasks, torch.Generator())
    with pytest.raises(TypeError, match=r"generator: expected a torch.Generator, got int; write .*manual_seed\(0\)"):
        distribution.draw(1, 0)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"shots": 2.5}, "shots: expected a whole number of at least 1, got 2.5"),
        ({"queries": 0}, "queries: expected a whole number of at least 1, got 0"),
        ({"amplitude": 3}, r"amplitude: expected finite \(low, high\) with low <= high, got 3"),
        ({"phase": (2, 1)}, r"phase: expected finite .* got \(2, 1\)"),
        ({"domain": (0, float("inf"))}, r"domain: expected finite .* got \(0, inf\)"),
        ({"domain": (0, 1, 2)}, r"domain: expected finite .* got \(0, 1, 2\)"),
    ],
)
def test_a_family_of_curves_that_is_none_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Sinusoids(**fields)


def test_episodes_want_a_pool():
    with pytest.raises(TypeError, match=r"pool: expected a Pool, got function; call it .* as in glyphs\(\)"):
        Episodes(glyphs)
