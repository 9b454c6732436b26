"""Arrays, pairs and other precisions become what a model reads, and what cannot is explained in one sentence."""

from collections import UserDict

import numpy as np
import pytest
import torch

from mamlbook.tasks import Data, Quadratics, Sinusoids, Tasks, as_data, prepared, prepared_data

SINGLE = torch.zeros(())
X, Y = np.arange(24.0).reshape(2, 3, 4), np.arange(6.0).reshape(2, 3, 1)


def ready(x, y=Y, like=SINGLE):
    return prepared_data((x, y), like)


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, ">f8"])
def test_arrays_of_any_precision_become_tensors_in_that_of_the_model(kind):
    for like in (SINGLE, SINGLE.double(), SINGLE.bfloat16()):
        data = ready(X.astype(kind), like=like)
        assert data.x.dtype == data.y.dtype == like.dtype
        assert torch.equal(data.x.double(), torch.from_numpy(X))


def test_arrays_that_torch_does_not_take_over_are_copied():
    locked = X.copy()
    locked.flags.writeable = False
    for x in (locked, X[:, ::-1], X.transpose(1, 0, 2)[::-1].transpose(1, 0, 2), np.broadcast_to(X[:1], X.shape)):
        assert torch.equal(ready(x).x, torch.from_numpy(x.copy()).float())


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16])
def test_labels_of_any_width_are_int64(kind):
    for labels in (np.array([[0, 1, 2], [2, 1, 0]], kind), torch.tensor([[0, 1, 2], [2, 1, 0]]).numpy().astype(kind)):
        y = ready(X, labels).y
        assert y.dtype == torch.int64
        assert y.tolist() == [[0, 1, 2], [2, 1, 0]]
    y = ready(X, torch.tensor([[0, 1, 2], [2, 1, 0]], dtype=torch.int32)).y
    assert y.dtype == torch.int64


def test_truth_values_and_complex_numbers_stay():
    data = ready({"mask": X > 3, "wave": X + 1j})
    assert data.x["mask"].dtype == torch.bool
    assert data.x["wave"].dtype == torch.complex128


def test_inputs_that_are_indices_stay_whole():
    assert ready(np.ones((2, 3, 4), np.int32)).x.dtype == torch.int64


def test_trees_of_arrays_and_foreign_mappings():
    tokens = UserDict(ids=np.ones((2, 3, 4), np.int64), more=UserDict(mask=torch.ones(2, 3, 4)))
    data = ready((tokens, [X]))
    assert type(data.x[0]) is dict
    assert data.x[0]["more"]["mask"].shape == (2, 3, 4)
    assert data.x[1][0].dtype == torch.float32


def test_a_whole_batch_and_a_list_of_batches():
    tasks = Tasks((X, Y), Data(X, torch.from_numpy(Y)), np.array([4, 9], np.int32))
    one = prepared(tasks, SINGLE)
    assert (type(one.support), one.support.x.dtype, one.query.y.dtype) == (Data, torch.float32, torch.float32)
    assert one.index.dtype == torch.int64
    assert one.index.tolist() == [4, 9]
    assert prepared(tasks._replace(index=None), SINGLE).index.tolist() == [-1, -1]
    assert prepared(tasks._replace(index=[0, 1]), SINGLE).index.tolist() == [0, 1]
    several = prepared([tasks, one.pick([0])], SINGLE)
    assert [batch.size for batch in several] == [2, 1]
    double = Quadratics([1.0, 2.0], [0.0, 1.0]).draw(2, torch.Generator())
    assert prepared(double, SINGLE).support.x.dtype == torch.float32


def test_what_is_ready_is_left_as_it_is():
    tasks = Sinusoids().draw(3, torch.Generator().manual_seed(0))
    assert prepared(tasks, SINGLE).query.x is tasks.query.x


def test_a_gradient_finds_its_way_back_to_the_data():
    x = torch.zeros(2, 3, 4, dtype=torch.float64, requires_grad=True)
    ready(x).x.sum().backward()
    assert (x.grad == 1).all()


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X.astype(np.uint8), Y, r"x: expected numbers that a network can read, got uint8 .* as in x.float\(\) / 255"),
        ([torch.zeros(2, 3).byte()], Y, "x: expected numbers that a network can read, got uint8"),
        (X.astype(str), Y, "support.x: expected an array of numbers, got one of <U"),
        (X.astype(object), Y, "support.x: expected an array of numbers, got one of object"),
        (X, Y.tolist(), r"support.y: .* got float; make lists of numbers one tensor, as in torch.tensor\(numbers\)"),
        (X, None, "support.y: .* got NoneType"),
        ("words", Y, "support.x: .* got str"),
        (X[0], Y[0], r"support: .* got x \(3, 4\) and y \(3, 1\); a single task needs a leading axis"),
        (X[:, 0, 0], Y[:, 0, 0], "a single task needs a leading axis"),
        (X[0, 0, 0], Y, "support.x"),
        (np.ma.masked_greater(X, 2), Y, r"support.x: expected an array without a mask.*array.filled\(0\)"),
        (torch.zeros(2, 3, 4).to_sparse(), Y, r"support.x: expected a dense tensor, got a sparse one; call to_dense"),
        (torch.nested.nested_tensor([X[0], X[1, :1]], layout=torch.jagged), Y, "got a nested one; .*batches_by_size"),
    ],
)
def test_what_cannot_be_read_is_refused(x, y, message):
    with pytest.raises((ValueError, TypeError), match=message):
        ready(x, y)
    with pytest.raises((ValueError, TypeError), match=message):
        prepared(Tasks((x, y), (X, Y)), SINGLE)


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (Sinusoids().draw(2, torch.Generator()), "got Tasks; pass tasks.support"),
        (torch.zeros(2, 3), r"got Tensor; write Data\(x, y\)"),
        ((X, Y, Y), r"got tuple of 3; write Data\(x, y\)"),
        (Sinusoids, "got the class Sinusoids"),
    ],
)
def test_what_is_no_set_of_examples_is_refused(thing, message):
    with pytest.raises(TypeError, match=f"support: expected Data or a pair .x, y., {message}"):
        as_data(thing)
    with pytest.raises(TypeError, match=message):
        prepared_data(thing, SINGLE)


@pytest.mark.parametrize("index", [np.zeros(2), torch.tensor([True, False]), [0.5, 1.0]])
def test_numbers_of_tasks_are_whole(index):
    with pytest.raises(TypeError, match="index: expected the whole number of each task, got torch"):
        prepared(Tasks((X, Y), (X, Y), index), SINGLE)


def test_a_pair_is_data():
    assert as_data([X, Y]).x is X
    data = Data(X, Y)
    assert as_data(data) is data
