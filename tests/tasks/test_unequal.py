"""Tasks of unequal size are grouped, none is lost or changed, and every group is one batch."""

import numpy as np
import pytest
import torch

from mamlbook.tasks import Data, Sinusoids, Tasks, batches_by_size, require_tasks


def drawn(shots, queries=4, tasks=1, seed=0):
    return Sinusoids(shots, queries).draw(tasks, torch.Generator().manual_seed(seed))


def test_tasks_of_one_size_become_one_batch_in_the_order_of_their_first():
    tasks = [drawn(3, seed=0), drawn(5, seed=1), drawn(3, tasks=2, seed=2), drawn(3, 6, seed=3), drawn(5, seed=4)]
    batches = batches_by_size(tasks)
    require_tasks(batches)
    assert [(b.size, b.support.examples, b.query.examples) for b in batches] == [(3, 3, 4), (2, 5, 4), (1, 3, 6)]
    assert torch.equal(batches[0].support.x, torch.cat([tasks[0].support.x, tasks[2].support.x]))
    assert torch.equal(batches[1].query.y, torch.cat([tasks[1].query.y, tasks[4].query.y]))


def test_a_task_by_itself_has_no_task_axis():
    rows = [np.arange(n, dtype=np.float32).reshape(n, 1) for n in (2, 3, 2)]
    batches = batches_by_size([((x, x), Data(x[:1], -x[:1])) for x in rows])
    assert [b.support.x.shape for b in batches] == [(2, 2, 1), (1, 3, 1)]
    assert batches[1].support.x[0, :, 0].tolist() == [0, 1, 2]
    assert batches[0].index.tolist() == [-1, -1]


def test_numbers_are_kept():
    numbered = [drawn(3)._replace(index=torch.tensor([7])), drawn(5), drawn(3)._replace(index=torch.tensor([2]))]
    assert [batch.index.tolist() for batch in batches_by_size(numbered)] == [[7, 2], [-1]]


def test_other_keys_and_other_types_are_other_batches():
    x, y = torch.zeros(1, 2, 1), torch.zeros(1, 2, 1)
    trees = [x, {"a": x}, {"b": x}, x.long(), {"a": x}]
    batches = batches_by_size([Tasks(Data(tree, y), Data(tree, y)) for tree in trees])
    assert [batch.size for batch in batches] == [1, 2, 1, 1]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ([], "tasks: expected a list of at least one task, got none"),
        (drawn(3), "tasks: expected a list of at least one task, got Tasks"),
        (None, "tasks: expected a list of at least one task, got NoneType"),
        ([drawn(3), 5], r"expected Tasks or pairs \(support, query\), got int at place 1"),
        ([drawn(3).support], r"expected Tasks or pairs \(support, query\), got Data at place 0"),
        ([((torch.zeros(3, 1), torch.zeros(2, 1)),) * 2], r"support: .* got x \(1, 3, 1\) and y \(1, 2, 1\)"),
        ([((torch.zeros(3, 1), [0, 1, 1]),) * 2], "support.y: .* got int"),
    ],
)
def test_what_are_no_tasks_is_refused(tasks, message):
    with pytest.raises((TypeError, ValueError), match=message):
        batches_by_size(tasks)
