"""What ``tests/test_distributed.py`` starts in every process: python -m torch.distributed.run ... FOLDER DEVICE.

Each process writes to FOLDER/RANK.pt what it has after a shared meta-gradient of every case, after trainings, and what
was refused.
"""

import operator
import sys
from pathlib import Path

import torch
from torch.optim import SGD

import product_cases as cases
from mamlbook import Model, fit, linear
from mamlbook.execution.distributed import DistributedMetaGradient
from mamlbook.execution.process_group import processes
from mamlbook.tasks.quadratic import Quadratics, half_squared_error


def meta_gradient(group, name, compute=None):
    """The losses of all tasks and the gradients of all that is learned, float64."""
    learner, tasks = cases.build(name)
    learner, tasks = learner.to(group.device), tasks.to(group.device)
    torch.manual_seed(7)
    gradients, losses = DistributedMetaGradient(learner, group, compute and compute(learner))(tasks)
    return [losses.cpu()], [g.cpu() for g in gradients]


def trained(group, name):
    learner, distribution = cases.training(name)
    learner.to(group.device)
    if group.rank:  # every process starts where the first one does
        with torch.no_grad():
            learner.model.theta[0].add_(1.0)
    history = fit(learner, distribution, **cases.FIT, group=group)
    return history.losses, [p.detach().cpu() for p in learner.parameters()]


def limited(group):
    """The losses of a run whose time is up at once on the first process's clock alone."""
    learner, distribution = cases.training("maml")
    learner.to(group.device)
    return fit(learner, distribution, **cases.FIT, minutes=60 if group.rank else 1e-9, group=group).losses


def message(do):
    try:
        do()
    except (ValueError, RuntimeError, ArithmeticError) as error:
        return f"{type(error).__name__}: {error}"


def refusals(group):
    learner, waves = cases.training("maml")
    learner.to(group.device)
    one = waves.draw(1, torch.Generator().manual_seed(0)).like(learner.model.theta[0])
    weighted, _ = cases.build("softmax-weights")
    bowl, bowls = Model(linear([1.0]), half_squared_error), Quadratics([1.0, 1.0], [0.0, 0.0])
    return {
        "too few tasks": message(lambda: DistributedMetaGradient(learner, group)(one)),
        "compiled weights": message(
            lambda: DistributedMetaGradient(weighted.to(group.device), group, weighted.gradients)
        ),
        "another device": message(lambda: DistributedMetaGradient(learner.to("meta"), group)),
        "another seed": message(lambda: fit(*cases.training("maml"), **cases.FIT | {"seed": group.rank}, group=group)),
        "not finite": message(
            lambda: fit(cases.maml(bowl, 0.1, 1), bowls, steps=1000, tasks=2, beta=30.0, optimizer=SGD, group=group)
        ),
        **{name: message(lambda name=name: trained(group, name)) for name in cases.REMEMBERING},
    }


def noises(group):
    group.separate_noise()
    return torch.rand(3)


def main():
    folder, device = Path(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    with processes(device) as group:
        result = {
            "share": (group.rank, group.size, [group.share(tasks) for tasks in (2, 5, 8)]),
            "gradients": {name: meta_gradient(group, name) for name in cases.GRADIENTS},
            "computed": meta_gradient(group, "meta-sgd", operator.attrgetter("gradients")),
            "trained": {name: trained(group, name) for name in cases.TRAINED},
            "limited": limited(group),
            "noise": noises(group),
            "refused": refusals(group),
        }
    torch.save(result, folder / f"{group.rank}.pt")


if __name__ == "__main__":
    main()
