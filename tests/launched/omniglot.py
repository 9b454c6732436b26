"""The Omniglot experiment on noise in place of characters; with KILL_AT=n the last process is lost at that draw."""

import os
import signal
import sys

import torch

from experiments import omniglot as experiment
from mamlbook.tasks.images import Episodes, Pool

draw, draws = Episodes.draw, iter(range(10**6))


def counted(self, tasks, generator):
    if str(next(draws)) == os.environ.get("KILL_AT") and os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(self, tasks, generator)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)  # which the processes' own noise follows, and a checkpoint holds
    patterns = torch.rand(30, 20, 28, 28, generator=torch.Generator().manual_seed(0)).mul(255).to(torch.uint8)
    pool = Pool(patterns, tuple(map(str, range(30))), ("A",) * 30)
    experiment.omniglot, experiment.split = lambda folder: pool, lambda pool, name: (pool[:20], pool[20:])
    Episodes.draw = counted
    experiment.main(sys.argv[1:])


if __name__ == "__main__":
    main()
