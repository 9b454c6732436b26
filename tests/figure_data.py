"""Figures to look at, of numbers that cost nothing: networks, benchmarks, errors and curves made up for the tests."""

import json
import math
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from mamlbook.networks import mlp
from mamlbook.pages import Cell, figures
from mamlbook.pages.figures.widgets.base import Widget
from mamlbook.pages.figures.widgets.cost import NAMES
from mamlbook.pages.figures.widgets.diagnosis import HEALTHY, TEXTS
from mamlbook.pages.figures.widgets.drawing import network
from mamlbook.pages.quiz import QUESTION, STATEMENTS

STEPS, WIDTHS = [1, 2, 5, 16, 64], [10, 40]
POSITIONS = [0.0, 0.1, 0.3, 0.6, 1.0, 1.5]
LABELS = ["one wave", "waves within 10 %", "waves within 30 %", "waves within 60 %", "all waves", "three families"]
ROLES = {"joint": "joint", "maml": "maml", "fomaml": "fomaml", "reptile": "reptile", "scratch": "random"}
# Of each: the error at the start and where it ends, at both ends of the dial, and what a step leaves of the difference.
SHAPES = {
    "joint": (0.001, 3.2, 0.0008, 1.6, 0.9),
    "maml": (0.01, 3.4, 0.002, 0.2, 0.3),
    "fomaml": (0.008, 3.8, 0.002, 0.21, 0.35),
    "reptile": (0.006, 4.2, 0.0015, 0.3, 0.55),
    "scratch": (4.5, 4.6, 3.0, 2.5, 0.85),
}


def starts(**changes) -> dict:
    """Three networks with different weights, the first with steep ones."""
    networks = {name: mlp(1, 40, 40, 1, seed=seed) for seed, name in enumerate(("maml", "joint", "random"))}
    found = {name: [p.detach().clone() for p in network.parameters()] for name, network in networks.items()}
    found["maml"] = [1.4 * p for p in found["maml"]]
    return {**found, **changes}


def walkers() -> dict:
    """Two policies for the plane with different weights."""
    networks = {name: mlp(2, 8, 8, 2, activation=nn.Tanh, seed=seed) for seed, name in enumerate(("maml", "joint"))}
    return {name: [p.detach().clone() for p in network.parameters()] for name, network in networks.items()}


def counted() -> dict:
    """Bytes that look like counted ones, every method at a slope of its own."""
    table = {
        name: {
            str(w): {
                "peak": [w * w * (number + 1) * (4 + s) for s in STEPS],
                "operations": [w * w * (number + 1) * s for s in STEPS],
            }
            for w in WIDTHS
        }
        for number, name in enumerate(NAMES)
    }
    return {"steps": STEPS, "counted": table}


def workload(method: str, steps: int, tasks: int, network: str = "mlp", **times: float) -> dict:
    rows = [{"contender": name.replace("_", " "), "milliseconds": ms} for name, ms in times.items()]
    rows.append({"contender": "JAX", "wrong": "by far"})
    return {"network": network, "method": method, "steps": steps, "tasks": tasks, "flops": 4e7, "rows": rows}


def timed() -> dict:
    workloads = [
        workload("maml", 5, 25, mamlbook_compiled=1.25, mamlbook=12.0, higher=130.0),
        workload("maml", 64, 25, mamlbook=190.0, mamlbook_checkpointed=250.0),
        workload("maml", 5, 512, mamlbook_compiled=40.0),
        workload("fomaml", 5, 25, mamlbook=7.0),
        workload("maml", 1, 16, "conv4-max", mamlbook=900.0),
    ]
    return {"limit": {"gflops": 100.0}, "workloads": workloads}


def crossing(device: str, factor: float = 1.0) -> dict:
    """What the experiment on crossovers writes, of few workloads, every time a multiple of the kernels."""
    sizes = [(25, 40, 1), (1, 40, 1), (125, 40, 1), (25, 10, 1), (25, 640, 1), (25, 40, 5)]
    workloads = []
    for tasks, width, steps in sizes:
        kernels = {"one by one": 127 * tasks * steps, "all at once": 39 + 96 * steps}
        kernels |= {"compiled": 50 * steps} if width < 640 else {}
        work = tasks * width * width * steps
        times = {way: {"milliseconds": factor * (0.02 * n + 1e-5 * work)} for way, n in kernels.items()}
        size = {"tasks": tasks, "width": width, "steps": steps}
        workloads.append({**size, "operations": 240 * work, "bytes": 200 * work, "kernels": kernels, "times": times})
    return {"workloads": workloads, "device": device}


def failures(seeds: int = 2) -> dict:
    """Curves that look like those of the experiment: every case at a height of its own, one with gaps."""
    cases = {}
    for number, name in enumerate([HEALTHY, *TEXTS]):
        loss = [[(number + 1) * (3 - i / 40) + seed for i in range(80)] for seed in range(seeds)]
        error = [[(number + 1) * 3 / (1 + step) + seed for step in range(13)] for seed in range(seeds)]
        cases[name] = {"loss": loss, "error": error}
    cases[next(iter(TEXTS))]["loss"][0][20:] = [None] * 60
    return {"cases": cases, "training": {"iterations": 400, "window": 5}}


def measured(seed: int = 0, seeds: int = 5, steps: int = 20, noise: float = 0.06) -> dict:
    """Errors that look like those of an experiment, and cost nothing."""
    generator = np.random.default_rng(seed)

    def place(name: str, position: float) -> dict:
        share = math.sqrt(position / 1.5)
        low, high, least, most, left = SHAPES[name]
        start, end = low * (high / low) ** share, least * (most / least) ** share
        curve = end + (start - end) * left ** np.arange(steps + 1)
        factors = np.exp(noise * generator.standard_normal(seeds))
        return {
            "error": {str(n): {"new": [float(f"{v:.6g}") for v in factor * curve]} for n, factor in enumerate(factors)}
        }

    dial = [
        {"position": p, "label": label, "power": 3 + p, "spread": 2.1 * p}
        for p, label in zip(POSITIONS, LABELS, strict=True)
    ]
    runs, tuned = ({name: [place(name, p) for p in POSITIONS] for name in ROLES} for _ in range(2))
    return {"dial": dial, "runs": runs, "tuned": tuned}


def field_of(errors: list[float | None], beta: float = 1e-3) -> dict:
    """An entry of the field, with the same errors for both budgets."""
    one = {"meta_steps": 10, "beta": beta, "inner_steps": 1, "errors": errors, "curves": []}
    return {"budgets": {"meta-steps": one, "arithmetic": one}}


def verdicts() -> dict:
    """Networks under two rows: exact, exact with an option under one row, refused under both for different reasons."""
    refusals = {"maml": "net: expected a < b, got b; write it otherwise", "anil": "net: expected a head; name it"}
    runs = {
        "plain": ("dense", "", {"maml": 2.5e-15, "anil": 0.0}, []),
        "unnamed": ("dense", "Model(net, loss, head='last')", {"maml": 1e-16, "anil": 3e-13}, ["anil"]),
        "broken": ("random", "", refusals, []),
        **{f"plain {number}": ("dense", "", {"maml": 1e-16, "anil": 1e-15}, []) for number in range(2, 6)},
    }
    return {
        "runs": {
            name: {"about": f"a {name} one", "kind": kind, "option": option, "needing": needing, "cells": cells}
            for name, (kind, option, cells, needing) in runs.items()
        }
    }


FIELD = {
    "maml, S = 1": field_of([0.30, 0.32, 0.31, 0.29, 0.33]),
    "fomaml, S = 1": field_of([0.41, 0.43, 0.42, 0.39, 0.45]),
    "joint": field_of([1.5, 1.6, None, 1.4, 1.5]),
    "maml, S = 5": field_of([0.15, 0.17, 0.16, 0.14, 0.18]),
    "fomaml, S = 5": field_of([0.10, 0.22, 0.12, 0.20, 0.16]),
}


def field_results(folder: Path, entries: dict | None = None) -> Path:
    """The folder, with a field of waves in it."""
    (folder / "field-waves.json").write_text(json.dumps({"entries": FIELD if entries is None else entries}))
    return folder


def searched(shift: float) -> dict:
    """An entry whose errors are made up: a valley over the outer rate, and a run that is lost at the largest."""
    chosen = {"meta_steps": 1000, "beta": 0.01, "alpha": 0.03, "inner_steps": 7, "errors": [shift, shift + 0.1, None]}
    tried = [
        {"beta": beta, "alpha": alpha, "meta-steps": curve, "arithmetic": curve}
        for beta in (0.0003, 0.001, 0.003, 0.01, 0.03)
        for alpha in (0.01, 0.03)
        for curve in [[9.0, shift + abs(math.log10(beta / 0.01)) + abs(math.log10(alpha / 0.03))]]
    ]
    tried[-1]["meta-steps"] = tried[-1]["arithmetic"] = None
    final = [
        {
            "beta": beta,
            "alpha": alpha,
            "meta-steps": {"inner_steps": 7, "errors": [shift + apart + 0.1 * n for n in range(3)]},
        }
        for beta, alpha, apart in ((0.01, 0.03, 0.05), (0.01, 0.01, 0.4), (0.003, 0.03, 0.6), (0.1, 0.03, 2.0))
    ]
    final[-1]["meta-steps"]["errors"][1] = None
    for one in final[:2]:
        one["arithmetic"] = one["meta-steps"]
    return {
        "search": tried,
        "final": final,
        "budgets": {"meta-steps": chosen, "arithmetic": chosen | {"meta_steps": 400}},
    }


SEARCHES = {
    "kernel-ridge": searched(0.5),
    "maml, S = 1": searched(0.3),
    "reptile, S = 1": searched(0.6),
    "maml, S = 5": searched(0.2),
    "reptile, S = 5": searched(0.4),
}


def searches(row: str = "reptile") -> Widget:
    with TemporaryDirectory() as folder:
        return figures.field_searches(row, results=field_results(Path(folder), SEARCHES))


def few_shot_cells(seeds: int = 3, tasks: int = 600) -> dict[str, dict[str, Cell]]:
    """A table of two columns that looks like a measured one: rows that share what is hard about a task."""
    generator = torch.Generator().manual_seed(0)

    def column(ways: int, **shares: float) -> dict[str, Cell]:
        hard, found = 0.1 * torch.randn(tasks, generator=generator), {}
        for name, share in shares.items():
            queries = 5 * ways
            noise = 0.03 * torch.randn(seeds, tasks, generator=generator)
            found[name] = Cell(((share + hard + noise).clamp(0, 1) * queries).round().long(), queries)
        return found

    return {"5w1s": column(5, maml=0.8, fomaml=0.79, reptile=0.6), "20w1s": column(20, maml=0.6, fomaml=0.55)}


def comparison() -> Widget:
    with TemporaryDirectory() as folder:
        return figures.field_comparison(results=field_results(Path(folder)))


def drawn_starts() -> tuple[dict, tuple]:
    """Four networks that nobody trained, and three characters, a bar, a frame and a stair, each a little moved."""
    methods = ("maml", "fomaml", "prototypes", "random")
    networks = [network(filters=4, seed=seed) for seed in range(len(methods))]
    draw = torch.Generator().manual_seed(0)  # so that gains and offsets are not 1 and 0
    noisy = [p.detach() + 0.1 * torch.randn(p.shape, generator=draw) for net in networks for p in net.parameters()]
    weights = tuple(p.half().float() for p in noisy)
    rows, columns = np.mgrid[:28, :28]
    drawings = []
    for character in range(3):
        drawings.append([])
        for at in range(4):
            down, right = rows - 9 - at, columns - 9
            frame = np.maximum(abs(down - 5), abs(right - 5)) == 5
            ink = [(down == 4) & (abs(right - 5) < 6), frame, (down // 3 == right // 3) & (abs(down - 5) < 6)][
                character
            ]
            drawings[-1].append("".join("0f"[int(one)] for one in ink.ravel()))
    rates = {name: {"alpha": 0.0 if name == "prototypes" else 0.2} for name in methods}
    return {"methods": rates, "episode": {"drawings": drawings}}, weights


def through_training(meta_steps: tuple[int, ...] = (0, 1, 10, 100), seeds: int = 3) -> tuple[dict, dict]:
    """Two trainings that nobody ran: networks whose weights grow, and curves made up for them."""
    results, weights = {}, {}
    for number, name in enumerate(("maml", "joint")):
        net, kept = mlp(1, 40, 40, 1, seed=number), []
        for n in range(len(meta_steps)):
            kept += [(1 + 0.2 * n) * p.detach().clone() for p in net.parameters()]
        weights[name] = tuple(kept)
        rows = [
            {
                "loss": [[4 - 0.3 * n - 0.1 * s * (2 - number) + 0.05 * seed for s in range(11)] for n in range(4)],
                "curvature": [0.2 + 0.3 * n + 0.1 * number + 0.02 * seed for n in range(4)],
                "agreement": [0.5 + 0.1 * n - 0.1 * number + 0.01 * seed for n in range(4)],
            }
            for seed in range(seeds)
        ]
        runs = {quantity: [row[quantity] for row in rows] for quantity in rows[0]}
        results[name] = {"at": list(meta_steps), "waves": 200, "runs": runs, "training": {"alpha": 0.01}}
    return results, weights


MAKERS = {
    "arrows": figures.gradient_arrows,
    "comparison": comparison,
    "cost": lambda: figures.cost_explorer(counted(), timed()),
    "crossover": lambda: figures.crossover_explorer(crossing("a processor"), crossing("a GPU", 0.1)),
    "diagnosis": lambda: figures.failure_diagnosis(failures()),
    "diversity": lambda: figures.diversity_dial(measured()),
    "drawing": lambda: figures.draw_characters(*drawn_starts()),
    "drift": figures.moving_target,
    "floor": figures.noise_floor,
    "guide": figures.algorithm_guide,
    "context": figures.attention_context,
    "kink": figures.kink_figure,
    "memory": figures.memory_of_solutions,
    "navigation": lambda: figures.plane_navigation(walkers(), {"maml": 0.02, "joint": 0.01}),
    "pattern": lambda: figures.adaptation_pattern(starts()["maml"]),
    "prior": figures.prior_of_steps,
    "protocol": lambda: figures.tasks_needed(few_shot_cells()),
    "pull": figures.proximal_pull,
    "quiz": lambda: figures.select_all(QUESTION, STATEMENTS, "practice"),
    "ridge": lambda: figures.solved_head(starts()["maml"]),
    "rates": figures.rate_slopes,
    "searches": searches,
    "scrubber": lambda: figures.training_scrubber(*through_training(), step=10),
    "sine": lambda: figures.sine_adaptation(starts()),
    "truncation": figures.truncated_steps,
    "two_tasks": figures.two_tasks_figure,
    "verdicts": lambda: figures.network_verdicts(verdicts(), "plain", "maml"),
    "weights": figures.weights_figure,
}


@cache
def figure(kind: str) -> Widget:
    """A figure of a kind, made once."""
    return MAKERS[kind]()
