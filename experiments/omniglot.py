"""Meta-train on Omniglot or on photographs, and measure few-shot accuracy on classes that were never seen.

    python -m experiments.omniglot --ways 5 --shots 1 --algorithm maml --iterations 8000 --data FOLDER

writes runs/omniglot-5w1s-maml.json and, beside it, the weights in half precision. With ``--pictures mini-imagenet``,
``cifar-fs`` or ``tiered-imagenet`` it does so on the classes to learn from and to be judged on of that benchmark, and
``--data`` is the folder of its files. In several processes, one for each GPU or core,

    torchrun --nproc-per-node 4 -m experiments.omniglot --ways 5 --shots 1 --algorithm maml --data FOLDER

splits the tasks of each meta-batch among them and follows the same meta-gradient. If a process is lost, all end, and
the same command with --resume goes on from the last checkpoint.

With --minutes it does as many meta-steps, up to --iterations, as fit into them by the time of a few, so that the outer
rate comes to zero in time. If they take longer than that, it stops at a checkpoint and measures what it has.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from experiments import fit
from mamlbook import ALGORITHMS, accuracy, confidence, evaluate
from mamlbook.checks import positive
from mamlbook.devices import noise_kept
from mamlbook.execution.process_group import Group, ProcessLost, processes
from mamlbook.learner import MetaLearner
from mamlbook.model_zoo import composed
from mamlbook.stored import RUNS, environment, record
from mamlbook.tasks.benchmark_sets import cifar_fs, mini_imagenet, tiered_imagenet
from mamlbook.tasks.images import Episodes, Pool
from mamlbook.tasks.omniglot_pool import background, evaluation, omniglot, paper_split
from mamlbook.training import History, pick_device

STEPS = (0, 1, 3, 5)
# Batch statistics make the number of query drawings part of the protocol: 1 is the paper's, 15 is common elsewhere.
QUERIES = (1, 15)
PHOTOGRAPHS = {"mini-imagenet": mini_imagenet, "cifar-fs": cifar_fs, "tiered-imagenet": tiered_imagenet}
SIDES = {"omniglot": 28, "mini-imagenet": 84, "cifar-fs": 32, "tiered-imagenet": 84}
# Of the same four convolutions, with batch statistics of the query set as here.
PUBLISHED: dict[str, tuple[str, dict[tuple[int, int], tuple[float, float]]]] = {
    "maml": (
        "Finn et al., 2017, table 1",
        {(5, 1): (98.7, 0.4), (5, 5): (99.9, 0.1), (20, 1): (95.8, 0.3), (20, 5): (98.9, 0.2)},
    ),
    "fomaml": (
        "Nichol et al., 2018, table 1",
        {(5, 1): (98.3, 0.5), (5, 5): (99.2, 0.2), (20, 1): (89.4, 0.5), (20, 5): (97.9, 0.1)},
    ),
    "reptile": (
        "Nichol et al., 2018, table 1, with transduction",
        {(5, 1): (97.68, 0.04), (5, 5): (99.48, 0.06), (20, 1): (89.43, 0.14), (20, 5): (97.12, 0.32)},
    ),
    "imaml": (
        "Rajeswaran et al., 2019, table 2, gradient descent",
        {(5, 1): (99.16, 0.35), (5, 5): (99.67, 0.12), (20, 1): (94.46, 0.42), (20, 5): (98.69, 0.1)},
    ),
}
# What a training does not depend on, and what is said by the number of iterations.
UNSAID = ("data", "device", "execution", "every", "resume", "minutes", "results", "checkpoints")
LONG = 0.3  # seconds that the timed meta-steps take at least: there are four times as many until they do
PLANNED = 0.9  # of the minutes, so that a slower spell does no harm
BLOCKS = 20  # between checkpoints, at least, so that the end of the minutes is not missed by much


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m experiments.omniglot", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--ways", type=int, default=5, help="classes per task")
    add("--shots", type=int, default=1, help="support drawings per class")
    add("--algorithm", choices=sorted(ALGORITHMS), default="maml")
    add("--iterations", type=int, default=8000, help="meta-steps, at most with --minutes")
    add("--pictures", choices=sorted(SIDES), default="omniglot")
    add("--data", type=Path, default=None, help="folder of the two Omniglot zips, or of the benchmark's files")
    add("--split", choices=("paper", "background"), default="paper", help="Omniglot 1200/423 shuffled, or by alphabets")
    add("--pooling", choices=("stride", "max"), default="stride", help="the paper has max for photographs")
    add("--filters", type=int, default=64, help="of each convolution (the paper: 32 for photographs)")
    add("--queries", type=int, default=None, help="query pictures per class in training; as many as shots by default")
    add("--tasks", type=int, default=16, help="tasks per meta-step (the paper: 32)")
    add("--alpha", type=float, default=0.4, help="inner rate for the mean cross-entropy (the paper: 2)")
    add("--steps", type=int, default=1, help="inner steps in training")
    add("--beta", type=float, default=1e-3, help="first outer rate of Adam, annealed to zero along a cosine")
    add("--evaluation-tasks", type=int, default=1000)
    add("--device", default="auto")
    add("--seed", type=int, default=0)
    add("--every", type=int, default=100, help="meta-steps between checkpoints")
    add("--execution", choices=("auto", "eager", "compiled"), default="auto", help="auto measures what is fastest")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    either.add_argument("--minutes", type=float, help="train for so long at most; measuring comes on top")
    add("--results", type=Path, default=RUNS, help="folder to write to")
    add("--checkpoints", type=Path, default=Path("checkpoints"))
    options = parser.parse_args(words)
    if options.pictures in PHOTOGRAPHS and options.split != "paper":
        parser.error(f"--split: {options.pictures} has a split of its own; leave it out")
    return options


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What the learner is composed of; of conv4 batch norm's gain and offset adapt only where a row says so itself."""
    shape = {"channels": 3 if options.pictures in PHOTOGRAPHS else 1, "size": SIDES[options.pictures]}
    network = {"name": "conv4", "ways": options.ways, **shape, "filters": options.filters, "pooling": options.pooling}
    return {"network": network, "algorithm": options.algorithm, "alpha": options.alpha, "steps": options.steps}


def build(options: argparse.Namespace) -> MetaLearner:
    return composed(settings(options), seed=options.seed)


def command(options: argparse.Namespace) -> str:
    """The words that repeat the training, but for the folder of the data."""
    usual = vars(arguments([]))
    said = {name: value for name, value in vars(options).items() if name not in UNSAID and value != usual[name]}
    words = (f"--{name.replace('_', '-')} {value}" for name, value in said.items())
    return " ".join(["python -m experiments.omniglot", *words])


def published(options: argparse.Namespace) -> dict[str, Any]:
    """The figure of a paper for these tasks, where there is one: per cent with its 95 % interval, and the source."""
    source, figures = PUBLISHED.get(options.algorithm, ("", {}))
    same = ("pictures", "split", "pooling", "filters")  # the tasks and the network, as they are by default
    usual = vars(arguments([]))
    theirs = all(getattr(options, name) == usual[name] for name in same)
    figure = figures.get((options.ways, options.shots)) if theirs else None
    return {} if figure is None else {"paper": {"accuracy": list(figure), "source": source}}


def split(pool: Pool, name: str) -> tuple[Pool, Pool]:
    return paper_split(pool) if name == "paper" else (background(pool), evaluation(pool))


def pools(options: argparse.Namespace) -> tuple[Pool, Pool]:
    """The classes to learn from and those to be judged on."""
    if options.pictures in PHOTOGRAPHS:
        train, test = PHOTOGRAPHS[options.pictures](options.data, splits=("train", "test"))
        return train, test
    return split(omniglot(options.data), options.split)


def episodes(pool: Pool, queries: int, options: argparse.Namespace) -> Episodes:
    """Tasks of the pool; a drawing that is turned counts as another class, a photograph does not."""
    return Episodes(pool, options.ways, options.shots, queries, rotate=options.pictures not in PHOTOGRAPHS)


def measure(learner: MetaLearner, held_out: Pool, options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy in per cent with its 95 % interval, by queries per class and by inner steps."""
    measured: dict[str, Any] = {}
    for queries in QUERIES:
        scores = evaluate(
            learner,
            episodes(held_out, queries, options),
            tasks=options.evaluation_tasks,
            steps=max(STEPS),
            seed=options.seed + 1,
            metric=accuracy,
            chunk=20,
            progress=True,
        )
        mean, half = confidence(100 * scores)
        measured[str(queries)] = {str(step): [round(v[step].item(), 2) for v in (mean, half)] for step in STEPS}
    return measured


def describe(options: argparse.Namespace, learner: MetaLearner, history: History, measured: dict) -> dict[str, Any]:
    """Everything needed to read the number and to run it again."""
    window = max(1, options.iterations // 100)
    return {
        "accuracy": measured,
        **published(options),
        "command": command(options),
        "learner": settings(options),
        "protocol": {
            **data(options),
            "ways": options.ways,
            "shots": options.shots,
            "evaluation": f"{options.evaluation_tasks} tasks; accuracy[queries per class][inner steps] = [%, ± 95 %]; "
            "batch norm uses the statistics of the batch at hand (transductive)",
        },
        "training": {
            "algorithm": options.algorithm,
            "iterations": options.iterations,
            **({} if options.minutes is None else {"minutes": options.minutes, "done": len(history.losses)}),
            "execution": str(history.execution or "eager"),
            "tasks": options.tasks,
            "queries": options.queries or options.shots,
            "beta": options.beta,
            "filters": options.filters,
            "pooling": options.pooling,
            "configuration": str(learner),
            "loss": [round(v, 4) for v in history.smoothed(window)[window - 1 :: window].tolist()],
        },
        "seed": options.seed,
        "seconds": round(history.seconds),
        **environment(learner.model.theta[0].device),
    }


def data(options: argparse.Namespace) -> dict[str, str]:
    """Which pictures, and how their classes are split."""
    if options.pictures in PHOTOGRAPHS:
        side = SIDES[options.pictures]
        pictures = f"{options.pictures}, {side}x{side} in colour, from 0 to 1"
        return {"data": pictures, "split": "its training classes to train, its test classes held out"}
    pictures = "Omniglot, 28x28, ink = 1; each class of a task turned by a random multiple of 90 degrees"
    if options.split == "paper":
        return {"data": pictures, "split": "1200 characters to train, 423 held out, shuffled (seed 1)"}
    alphabets = "964 characters of 30 background alphabets to train, 659 of 20 evaluation alphabets held out"
    return {"data": pictures, "split": alphabets}


def named(options: argparse.Namespace) -> str:
    suffix = "" if options.split == "paper" else f"-{options.split}"
    return f"{options.pictures}-{options.ways}w{options.shots}s-{options.algorithm}{suffix}"


def train(learner: MetaLearner, pool: Pool, options: argparse.Namespace, group: Group) -> History:
    run = partial(
        fit,
        # By default as many query pictures as support pictures: the paper's protocol for Omniglot.
        distribution=episodes(pool.to(group.device), options.queries or options.shots, options),
        tasks=options.tasks,
        seed=options.seed,
        device=group.device,
        group=group,
        execution=options.execution,
    )
    minutes, every = None, options.every
    if options.minutes is not None:
        count, minutes = group.collect(fitting(run, learner, options.minutes, group))[0]
        options.iterations = min(options.iterations, count)
        every = min(every, math.ceil(options.iterations / BLOCKS))
        if group.first:
            print(f"{options.iterations} meta-steps are to fit into {options.minutes:g} minutes", flush=True)
    return run(
        learner,
        steps=options.iterations,
        beta=lambda step: options.beta * (1 + math.cos(math.pi * step / options.iterations)) / 2,
        every=every,
        checkpoint=options.checkpoints / f"{named(options)}.pt",
        resume=options.resume,
        minutes=minutes,
        progress=True,
    )


def fitting(run: Callable[..., History], learner: MetaLearner, minutes: float, group: Group) -> tuple[int, float]:
    """How many meta-steps fit into the minutes, by the time of a few on a copy, and the minutes that those leave."""
    minutes = positive("minutes", "number of minutes", minutes)
    started, copied = time.monotonic(), copy.deepcopy(learner)
    count, took = 1, 0.0
    with noise_kept():  # the run's own noise begins as it would without this
        history = first = run(copied, steps=1, progress=False)  # what is slow once
        while took < LONG:
            count, before = 4 * count, history
            history = run(copied, steps=count, after=before, progress=False)
            # By the clock of the first process: all have to go on or end together.
            took = group.collect(history.seconds - history.compiling - before.seconds + before.compiling)[0]
    left = max(1.0, 60 * minutes - (time.monotonic() - started))
    return max(1, int(PLANNED * (left - first.compiling) / took * count)), left / 60


def main(words: list[str] | None = None) -> None:
    options = arguments(words)
    device = pick_device(options.device)
    training, held_out = pools(options)
    learner = build(options)
    try:
        with processes(device) as group:
            history = train(learner, training, options, group)
    except ProcessLost as error:
        sys.exit(str(error))
    if group.first:
        report(learner, held_out.to(group.device), options, history, group.size)


def report(learner: MetaLearner, held_out: Pool, options: argparse.Namespace, history: History, size: int) -> None:
    """Measure the trained learner, write the result and print it."""
    name = named(options)
    # What is stored is what is measured: the weights in half precision.
    with torch.no_grad():
        for weight in learner.parameters():
            weight.copy_(weight.half())
    measured = measure(learner, held_out, options)
    result = describe(options, learner, history, measured) | {"processes": size}
    path = record(name, result, tuple(learner.parameters()), folder=options.results)
    print(f"{name}: {len(history.losses)} meta-steps in {history.seconds:.0f} s, written to {path}")
    for queries, by_steps in measured.items():
        for step, (mean, half) in by_steps.items():
            print(f"{mean:.2f} ± {half:.2f} %  after {step} steps, {queries} query drawing(s) a class")


if __name__ == "__main__":
    main()
