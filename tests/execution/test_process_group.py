"""A group of one, who gets which tasks, and what is said; several processes are in test_distributed."""

import os

import pytest
import torch

from mamlbook.execution.process_group import Group, ProcessLost, processes


def test_without_torchrun_a_process_is_a_group_by_itself(monkeypatch):
    monkeypatch.delenv("RANK", raising=False)
    with processes() as group:
        assert (group.rank, group.size, group.first, group.joined) == (0, 1, True, False)
        assert torch.equal(group.gather(torch.arange(3), 3), torch.arange(3))
        assert group.collect("here") == ["here"]
        assert group.differing({"theta": torch.ones(2)}) == []


@pytest.mark.parametrize(("size", "tasks"), [(1, 1), (2, 5), (3, 3), (4, 11), (7, 100)])
def test_shares_are_contiguous_and_as_equal_as_can_be(size, tasks):
    shares = [range(tasks)[Group(rank, size).share(tasks)] for rank in range(size)]
    assert [task for share in shares for task in share] == list(range(tasks))
    lengths = {len(share) for share in shares}
    assert max(lengths) - min(lengths) <= 1


def test_fewer_tasks_than_processes():
    with pytest.raises(ValueError, match="tasks: expected at least one for each of the 3 processes, got 2; start"):
        Group(0, 3).share(2)


def test_more_processes_than_gpus(monkeypatch):
    for name, value in (("RANK", 3), ("WORLD_SIZE", 4), ("LOCAL_RANK", 3)):
        monkeypatch.setitem(os.environ, name, str(value))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match="expected at most one process for each of the 2 GPUs, got number 4"):
        processes("cuda").__enter__()


def test_a_lost_process_is_told_with_the_checkpoint(tmp_path, monkeypatch):
    def broken(tensor):
        raise RuntimeError("[here.cc:537] Connection reset by peer [127.0.0.1]:1. This is typical.\nmore")

    monkeypatch.setattr(torch.distributed, "all_reduce", broken)
    group = Group(1, 2, joined=True, checkpoint=tmp_path / "run.pt")
    told = r"process 1 of 2 stops: .* \(Connection reset by peer \[127.0.0.1\]:1\); "
    with pytest.raises(ProcessLost, match=told + "no checkpoint is left to resume"):
        group.total(torch.ones(1))
    group.checkpoint.touch()
    with pytest.raises(ProcessLost, match=told + r"--resume \(resume=True\) goes on from .*run.pt"):
        group.total(torch.ones(1))
