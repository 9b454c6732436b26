"""The processes that torchrun starts: who is who, what they exchange, and what is said when one is lost."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


class ProcessLost(RuntimeError):
    """Another process of the group has ended or does not answer, so that this one cannot go on."""


@dataclass
class Group:
    """The processes that train together, as one of them sees them; by itself, without ``processes``, a single one.

    ``rank`` is this one's number among ``size``, ``device`` is where it computes, and ``checkpoint`` what a broken run
    goes on from. What the methods exchange is on ``device``, and every process has to call them alike.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    joined: bool = False
    checkpoint: Path | None = None

    @property
    def first(self) -> bool:
        """Whether this is the process that shows progress and writes files."""
        return self.rank == 0

    def share(self, tasks: int) -> slice:
        """Which of so many tasks are this process's own; shares are contiguous and differ by one task at most.

        Raises:
            ValueError: there are fewer tasks than processes.
        """
        if tasks < self.size:
            raise ValueError(
                f"tasks: expected at least one for each of the {self.size} processes, got {tasks}; "
                "start fewer processes or draw more tasks"
            )
        small, larger = divmod(tasks, self.size)
        start = self.rank * small + min(self.rank, larger)
        return slice(start, start + small + (self.rank < larger))

    def total(self, tensor: Tensor) -> Tensor:
        """The sum over processes, in place: the same bits in every one."""
        self._exchange(dist.all_reduce, tensor)
        return tensor

    def gather(self, own: Tensor, tasks: int) -> Tensor:
        """What belongs to all tasks, (B, ...), from each process's share of it, in the order of the tasks."""
        # A sum with zeros is exact, takes shares that differ in size, and never waits for the device.
        everyone = own.new_zeros(tasks, *own.shape[1:])
        everyone[self.share(tasks)] = own
        return self.total(everyone)

    def collect(self, value: Any) -> list[Any]:
        """Everybody's value, by rank."""
        values = [value] * self.size
        self._exchange(dist.all_gather_object, values, value)
        return values

    def follow(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors by those of the first process."""
        for tensor in tensors:
            self._exchange(dist.broadcast, tensor.detach(), 0)

    def differing(self, state: Mapping[str, Tensor]) -> list[str]:
        """The names of the tensors that are not, bit for bit, those of the first process; every process gets them."""
        if not self.joined:
            return []
        own = [tensor.detach().to(self.device).reshape(-1).view(torch.uint8) for tensor in state.values()]
        first = torch.cat(own)
        self._exchange(dist.broadcast, first, 0)
        pairs = zip(own, first.split([len(part) for part in own]), strict=True)
        differs = self.total(torch.stack([(mine != theirs).any() for mine, theirs in pairs]).int())
        return [name for name, count in zip(state, differs.tolist(), strict=True) if count]

    def separate_noise(self) -> None:
        """Let each process draw numbers of its own from torch's global generator, from a seed that the first one draws.

        With equal numbers, tasks of different processes would share their noise, which would not average out.
        """
        if self.size > 1:
            torch.manual_seed(self.collect(torch.randint(2**62, ()).item())[0] + self.rank)

    def _exchange(self, collective: Callable, *arguments: Any) -> None:
        if not self.joined:
            return
        try:
            collective(*arguments)
        except RuntimeError as error:
            # Without gloo's place in its source and its advice.
            reason = re.sub(r"^\[[^]]*\] ", "", str(error).split("\n")[0]).split(". ")[0]
            found = self.checkpoint is not None and self.checkpoint.is_file()
            way = (
                f"--resume (resume=True) goes on from {self.checkpoint}" if found else "no checkpoint is left to resume"
            )
            raise ProcessLost(
                f"process {self.rank} of {self.size} stops: another one has ended or does not answer ({reason}); {way}"
            ) from error


@contextmanager
def processes(device: torch.device | str = "cpu", timeout: float = 300) -> Iterator[Group]:
    """Join the processes that torchrun started; started in another way, a process is a group by itself.

    They talk by gloo on a CPU, and by nccl on GPUs, where each process takes the one of its own number. ``timeout`` is
    how many seconds to wait for a process that is there and does not answer; one that has ended is noticed at once,
    and torchrun then stops the others.

    Raises:
        ValueError: there are more processes than GPUs.
        ProcessLost: from what is exchanged inside, when another process has ended.
    """
    device = torch.device(device)
    if not {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= os.environ.keys():
        yield Group(device=device)
        return
    local = int(os.environ["LOCAL_RANK"])
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"--nproc-per-node: expected at most one process for each of the {torch.cuda.device_count()} GPUs, "
                f"got number {local + 1}; start fewer, or compute on the CPU"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    dist.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        timeout=timedelta(seconds=timeout),
        device_id=device if device.type == "cuda" else None,
    )
    yield Group(dist.get_rank(), dist.get_world_size(), device, joined=True)
    # Not after an error: leaving can mean waiting for the others.
    dist.destroy_process_group()
