"""Meta-train: ``fit``.

**The outer rule.** ``beta`` is a number of at least 0 (at 0 nothing moves) or a function of the step's number, from 0,
which depends on nothing else; a rule of torch's ``lr_scheduler`` is written as such a function. ``optimizer`` is called
once as ``optimizer(params, lr=beta)``, with the first rate above 0. A function may group the weights; each group keeps
the ratio of its rate to beta. A weight that it leaves out stays as it is.

**Calling again.** A call on a learner that has been trained draws tasks of its own, decided by ``seed`` and by
``learner.meta_steps``, with a new optimizer. With ``after``, the history of the call before, the tasks (for the same
``seed``), the optimizer's memory, the losses and the step's number go on instead: both calls are one longer run, bit
for bit, and ``steps`` are those that come on top.

**An interrupt** by hand (Ctrl-C, a notebook's stop button) ends the call after the last whole meta-step. The history is
returned with ``interrupted=True``. In several processes it ends all of them.

**A limit.** After so many ``minutes`` of the clock, compilation included, the call ends at the next multiple of
``every``. The history holds what was done, and the run goes on from it as from any other. Several processes follow the
clock of the first.

**Checkpoints.** Every ``every`` steps the losses are read back; losses, weights, buffers and the optimizer's memory are
checked to be finite; and with ``checkpoint`` everything needed to go on is written. ``resume=True`` continues from
there to ``steps`` in all, bit for bit. What decides the run has to be the same: the learner and the distribution as
``repr`` shows them, without addresses in memory; names, shapes and precision of the weights; tasks, seed, the
optimizer's class and the settings of its groups; and beta at the steps already done. ``every``, ``device``,
``progress``, ``execution`` and how fast an optimizer computes (``foreach``, ``fused``) may change.

**How.** ``execution='eager'`` has Python compute all tasks at once. 'compiled' traces and compiles the meta-step, after
a wait of seconds to minutes at the first one. ``Execution(compiled, tasks)`` takes so many tasks at a time. 'auto' is
eager and looks at the clock in its second step. In a run of more than ten seconds it tries other numbers of tasks at a
time, in one of more than two minutes the compiler as well. It takes what is fastest, says so beside the bar and in
``history.execution``, and keeps what it measured in the cache folder for the next run. All ways give the same
meta-gradients up to rounding.

**Where.** ``device=None`` leaves the learner where it is, 'auto' takes the GPU if there is one. ``progress=None`` shows
a bar in a terminal, and in a notebook that a person runs. A ``group`` from ``mamlbook.execution.processes`` shares
every meta-batch among its processes, which all call this alike; the first writes the checkpoint, where all can read it.
Its meta-gradients are those of one process up to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from mamlbook.arguments import require_distribution, require_learner
from mamlbook.checks import positive, seed_number, whole_number
from mamlbook.devices import pick_device
from mamlbook.execution.process_group import Group
from mamlbook.execution.ways import Execution, execution_of
from mamlbook.learner import MetaLearner
from mamlbook.tasks.distribution import TaskDistribution
from mamlbook.training.checkpoint import Checkpoint
from mamlbook.training.drive import Drive, computing_alone
from mamlbook.training.history import History
from mamlbook.training.outer_rule import OuterRule, Rate, rates
from mamlbook.training.run import Run


def fit(
    learner: MetaLearner,
    distribution: TaskDistribution,
    *,
    steps: int,
    tasks: int = 25,
    beta: Rate = 1e-3,
    optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    seed: int = 0,
    device: str | int | torch.device | None = None,
    every: int = 100,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    after: History | None = None,
    minutes: float | None = None,
    progress: bool | None = None,
    execution: str | Execution = "auto",
    group: Group | None = None,
) -> History:
    """Meta-train theta for ``steps`` outer steps of ``tasks`` fresh tasks each; the module says what else it does.

    theta <- theta - beta (outer rule) grad sum_b w_b s_b(theta).

    >>> from torch.nn.functional import mse_loss
    >>> from mamlbook import Model, Sinusoids, fit, maml, mlp
    >>> learner = maml(Model(mlp(1, 8, 1, seed=0), mse_loss), alpha=0.01, steps=1)
    >>> first = fit(learner, Sinusoids(), steps=3, tasks=2)
    >>> len(first.losses), len(fit(learner, Sinusoids(), steps=2, tasks=2, after=first).losses)
    (3, 5)

    Raises:
        TypeError, ValueError: an argument that cannot do, or a checkpoint or history of another run.
        NonFinite: a loss (``NonFiniteLoss``), a weight, a buffer or the optimizer's memory (``NonFiniteState``).
        RuntimeError: the processes of the group have come to hold different things; ``ProcessLost``: one has ended.
    """
    steps, tasks, every, seed, minutes = numbers(learner, distribution, steps, tasks, every, seed, minutes)
    file = None if checkpoint is None else Checkpoint(checkpoint)
    if device is not None:
        learner.to(pick_device(device))
    planned = rates(beta, steps + steps_before(after))
    rule = OuterRule(optimizer, learner, planned)
    run = Run(learner, distribution, tasks, seed, rule, planned, file, group, execution_of(execution))
    run.take_over(after, resume)
    Drive([run], every, minutes).begin(progress, partial(computing_alone, run, minutes))
    return run.history


def numbers(learner, distribution, steps, tasks, every, seed, minutes) -> tuple[int, int, int, int, float]:
    """The numbers as Python's, after what they are numbers of."""
    require_learner(learner)
    require_distribution(distribution, learner)
    return (
        whole_number("steps", steps, expected="a whole number of meta-steps"),
        whole_number("tasks", tasks, expected="a whole number of tasks"),
        whole_number("every", every, expected="a whole number of meta-steps"),
        seed_number("seed", seed),
        math.inf if minutes is None else positive("minutes", "number of minutes", minutes),
    )


def steps_before(after: History | None) -> int:
    """How many meta-steps the run to go on from has done."""
    if after is None:
        return 0
    if not isinstance(after, History):
        raise TypeError(f"after: expected the History that fit returned, got {type(after).__name__}")
    return len(after.losses)
