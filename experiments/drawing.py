"""Four starts that tell three drawings apart after one drawing of each: what the figure "draw three characters" shows.

    python -m experiments.drawing --data FOLDER

writes runs/drawing.json and, beside it, the weights of the first seed, method after method, in half precision. FOLDER
holds the two zips of Omniglot. Every method has the same network, tasks and number of meta-steps, and its own rates,
searched on alphabets of the background set that the search does not train on.
"""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from experiments import arguments, fit
from mamlbook import GradientDescent, MetaLearner, Model, accuracy, confidence, evaluate, fomaml, maml
from mamlbook.inner import PrototypeHead
from mamlbook.pages import environment, record
from mamlbook.pages.figures.widgets.drawing import SIDE, WAYS, network
from mamlbook.pages.figures.widgets.drawing import STEPS as SHOWN
from mamlbook.tasks.images import Episodes
from mamlbook.tasks.omniglot_pool import background, evaluation, omniglot
from mamlbook.tasks.pool import Pool
from mamlbook.training import pick_device

METHODS = ("maml", "fomaml", "prototypes", "random")
SHOTS, QUERIES = 1, 3
FILTERS, WIDTHS = 16, (8, 16)
STEPS = 3  # inner steps in training
TASKS, ITERATIONS, SEARCH, SEEDS = 8, 300, 120, 5
ALPHAS, BETAS = (0.1, 0.3), (1e-3, 3e-3)
FURTHER = 5  # how often a search goes beyond the end at which its best rate lies
VALIDATION_ALPHABETS, VALIDATION_TASKS, TEST_TASKS = 6, 300, 1000
SEARCH_SEED, VALIDATION_SEED, TEST_SEED = 100, 101, 102
EPISODE = ("Sylheti", (5, 9, 11), 4)  # the figure's alphabet, its characters by number, and how many drawings of each
INK = 77  # of 255: what counts as part of a drawing where its edges are looked for


def multiplications(filters: int) -> int:
    """What one picture costs on its way through the network."""
    return 9 * filters * (14 * 14 + filters * (7 * 7 + 4 * 4)) + filters * 4 * 4 * WAYS


def learner(method: str, alpha: float, seed: int = 0, filters: int = FILTERS) -> MetaLearner:
    """A method's learner; the random start learns nothing before a task, and prototypes take no steps in one."""
    model = Model(network(filters, seed), cross_entropy)
    if method == "prototypes":
        return MetaLearner(model, GradientDescent(0.0, 0, start=PrototypeHead()))
    return (fomaml if method == "fomaml" else maml)(model, alpha, STEPS)


def centred(images: Tensor) -> Tensor:
    """Drawings, (..., 28, 28) uint8, moved by whole pixels until the middle of their ink is that of the picture."""
    flat = images.reshape(-1, SIDE, SIDE)
    ink = flat > INK
    moved = torch.zeros_like(flat)
    shifts = []
    for axis in (2, 1):  # ink of rows, then of columns
        there = ink.any(axis)
        first, last = there.int().argmax(1), SIDE - 1 - there.flip(1).int().argmax(1)
        shifts.append(torch.div(SIDE - 1 - first - last, 2, rounding_mode="floor"))
    for number, (down, right) in enumerate(torch.stack(shifts, 1).tolist()):
        rows, columns = (slice(max(0, by), SIDE + min(0, by)) for by in (down, right))
        from_rows, from_columns = (slice(max(0, -by), SIDE + min(0, -by)) for by in (down, right))
        moved[number, rows, columns] = flat[number, from_rows, from_columns]
    return moved.view(images.shape)


def distorted(images: Tensor, seed: int = 0) -> Tensor:
    """The same drawings turned by up to 12 degrees, zoomed by up to a quarter and moved by up to a pixel."""
    draw = torch.Generator().manual_seed(seed)
    flat = images.reshape(-1, 1, SIDE, SIDE).float()
    angle, across, up = (2 * torch.rand(3, len(flat), generator=draw) - 1) * torch.tensor([[math.pi / 15], [1], [1]])
    zoom = (0.22 * (2 * torch.rand(2, len(flat), generator=draw) - 1)).exp()
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(-1, 2, 2) * zoom.T[:, :, None]
    affine = torch.cat([turn, (2 / SIDE * torch.stack([across, up], 1))[:, :, None]], 2)
    found = grid_sample(flat, affine_grid(affine, list(flat.shape), align_corners=False), align_corners=False)
    return found.round().to(torch.uint8).view(images.shape)


def prepared(pool: Pool, copies: bool = False) -> Pool:
    """The pool's drawings, centred; with ``copies``, each beside a distorted one."""
    images = centred(pool.images)
    return Pool(torch.cat([images, distorted(images)], 1) if copies else images, pool.names, pool.alphabets, pool.looks)


def pools(folder: Path | None) -> dict[str, Pool]:
    """The drawings to learn from, those of the search, and those to be judged on."""
    every = omniglot(folder)
    known = background(every)
    held_out = sorted(set(known.alphabets))[-VALIDATION_ALPHABETS:]
    inside = torch.tensor([alphabet in held_out for alphabet in known.alphabets])
    return {
        "search": prepared(known[~inside], copies=True),
        "validation": prepared(known[inside]),
        "training": prepared(known, copies=True),
        "test": prepared(evaluation(every)),
    }


def trained(learner: MetaLearner, pool: Pool, beta: float, steps: int, seed: int) -> MetaLearner:
    """The learner after meta-steps on episodes of the pool; a drawing that is turned by 90 degrees is another class."""
    fit(
        learner,
        Episodes(pool, WAYS, SHOTS, QUERIES, rotate=True),
        steps=steps,
        tasks=TASKS,
        beta=lambda step: beta * (1 + math.cos(math.pi * step / steps)) / 2,
        seed=seed,
        progress=False,
        execution="eager",
    )
    return learner


def scores(learner: MetaLearner, pool: Pool, tasks: int, seed: int, shots: int = SHOTS) -> Tensor:
    """The accuracy in per cent of each task after 0, 1, ... inner steps, (tasks, steps + 1)."""
    episodes = Episodes(pool, WAYS, shots, QUERIES)
    steps = SHOWN if learner.solver.steps else 0
    found = 100 * evaluate(learner, episodes, tasks=tasks, steps=steps, seed=seed, metric=accuracy, chunk=50)
    return found.expand(-1, SHOWN + 1)


def search(
    method: str, known: dict[str, Pool], iterations: int, tasks: int, tried: dict[tuple[float, float], float]
) -> tuple[dict[str, float], list]:
    """The rates with the best accuracy after ``STEPS`` steps on the validation alphabets, and all that was tried.

    A best rate at the end of those that were tried with its partner is followed beyond it.
    """
    rates = {"alpha": [0.0] if method == "prototypes" else list(ALPHAS)}
    rates["beta"] = [0.0] if method == "random" else list(BETAS)
    wanted = list(itertools.product(*rates.values()))
    for _ in range(FURTHER + 1):
        for alpha, beta in wanted:
            if (alpha, beta) not in tried:
                start = learner(method, alpha, SEARCH_SEED)
                if beta:
                    trained(start, known["search"], beta, iterations, SEARCH_SEED)
                tried[alpha, beta] = scores(start, known["validation"], tasks, VALIDATION_SEED)[:, STEPS].mean().item()
        best = max(tried, key=lambda pair: tried[pair])
        alphas, betas = ([pair[i] for pair in tried if pair[1 - i] == best[1 - i]] for i in (0, 1))
        wanted = [(alpha, best[1]) for alpha in _beyond(alphas, best[0])]
        wanted += [(best[0], beta) for beta in _beyond(betas, best[1])]
        if not wanted:
            break
    rows = [{"alpha": alpha, "beta": beta, "accuracy": round(found, 2)} for (alpha, beta), found in tried.items()]
    return dict(zip(("alpha", "beta"), best, strict=True)), rows


def _beyond(values: list[float], best: float) -> list[float]:
    """The rates beyond the end of those that were tried, if the best lies there."""
    if not best:
        return []
    above = [round(2.5 * best, 6)] if best == max(values) else []
    return above + ([round(best / 2.5, 6)] if best == min(values) else [])


def halved(learner: MetaLearner) -> MetaLearner:
    """The learner with the weights that are stored: those in half precision."""
    with torch.no_grad():
        for weight in learner.parameters():
            weight.copy_(weight.half())
    return learner


def compare(known: dict[str, Pool], rates: dict[str, dict[str, float]], options) -> tuple[dict, tuple[Tensor, ...]]:
    """What each method comes to from each seed, on the same test tasks, and the first seed's weights."""
    found: dict[str, Any] = {}
    kept: list[Tensor] = []
    for method, own in rates.items():
        seeds: list[list[float]] = []
        for seed in range(options.seeds):
            start = learner(method, own["alpha"], seed)
            if own["beta"]:
                trained(start, known["training"], own["beta"], options.iterations, seed)
            one = scores(halved(start), known["test"], options.tasks, TEST_SEED)
            seeds.append([round(value, 3) for value in one.mean(0).tolist()])
            if seed == 0:
                mean, half = confidence(one)
                two = confidence(scores(start, known["test"], options.tasks, TEST_SEED, shots=2))[0]
                kept += [weight.detach().clone() for weight in start.parameters()]
                first = {
                    "accuracy": [
                        [round(v, 2) for v in pair] for pair in zip(mean.tolist(), half.tolist(), strict=True)
                    ],
                    "two_shots": [round(v, 2) for v in two.tolist()],
                }
        found[method] = {**own, **first, "seeds": seeds}
    return found, tuple(kept)


def widths(known: dict[str, Pool], rates: dict[str, float], options) -> list[dict[str, Any]]:
    """MAML with more and fewer filters, trained as in the search: accuracy, and what a picture costs."""
    rows = []
    for filters in WIDTHS:
        start = learner("maml", rates["alpha"], SEARCH_SEED, filters)
        trained(start, known["search"], rates["beta"], options.search, SEARCH_SEED)
        mean, half = confidence(scores(start, known["validation"], options.validation, VALIDATION_SEED)[:, STEPS])
        accuracy = [round(mean.item(), 2), round(half.item(), 2)]
        rows.append({"filters": filters, "accuracy": accuracy, "multiplications": multiplications(filters)})
    return rows


def episode(pool: Pool) -> dict[str, Any]:
    """One real episode: three characters of an alphabet that no method has seen, by the first four people.

    A drawing is 28 rows of 28 hexadecimal digits, 0 for paper and f for ink.
    """
    alphabet, members, drawings = EPISODE
    inside = [number for number, name in enumerate(pool.alphabets) if name == alphabet]
    characters = [inside[member] for member in members]
    pictures = pool.images[characters, :drawings].float().mul(15 / 255).round().int()
    digits = [["".join(f"{ink:x}" for ink in one.flatten().tolist()) for one in four] for four in pictures]
    return {"names": [pool.names[number] for number in characters], "drawings": digits}


def main(words: list[str] | None = None) -> None:
    parser = arguments("drawing", __doc__, seeds=SEEDS, iterations=ITERATIONS, search=SEARCH, tasks=TEST_TASKS)
    parser.add_argument("--validation", type=int, default=VALIDATION_TASKS, help="tasks that judge a rate")
    parser.add_argument("--data", type=Path, default=None, help="folder of the two Omniglot zips")
    options = parser.parse_args(words)
    begun, device = time.perf_counter(), pick_device(options.device)
    known = {name: pool.to(device) for name, pool in pools(options.data).items()}
    searched = {method: search(method, known, options.search, options.validation, {}) for method in METHODS}
    rates = {method: best for method, (best, _) in searched.items()}
    found, theta = compare(known, rates, options)
    result = {
        "command": "python -m experiments.drawing",
        "methods": found,
        "search": {method: rows for method, (_, rows) in searched.items()},
        "widths": widths(known, rates["maml"], options),
        "episode": episode(known["test"]),
        **about(options),
        "seconds": round(time.perf_counter() - begun),
        **environment(device),
    }
    print(record("drawing", result, theta, folder=options.results))


def about(options) -> dict[str, Any]:
    return {
        "protocol": f"Omniglot, 28x28, every drawing moved until the middle of its ink is that of the picture; {WAYS} "
        f"characters, {SHOTS} drawing of each to learn from, {QUERIES} to be told; every pair of inner and outer rates "
        f"trained for {options.search} meta-steps on 24 background alphabets and judged after {STEPS} inner steps on "
        f"{options.validation} tasks of the other {VALIDATION_ALPHABETS}; then, on all 30, a training for each seed; "
        f"methods[...].accuracy = [%, ± 95 % over tasks] after 0, 1, ..., {SHOWN} inner steps of the first seed on "
        f"{options.tasks} tasks of the 20 evaluation alphabets, the same for all methods, seeds = the means of every "
        "seed, two_shots = the means with 2 drawings of each to learn from; prototypes take no steps",
        "data": "Omniglot of Lake, Salakhutdinov and Tenenbaum, MIT licence, https://github.com/brendenlake/omniglot",
        "network": {
            "blocks": 3,
            "norm": "of each picture by itself",
            "filters": FILTERS,
            "multiplications": multiplications(FILTERS),
        },
        "training": {
            "iterations": options.iterations,
            "tasks": TASKS,
            "steps": STEPS,
            "rule": "Adam, its rate annealed to zero along a cosine",
            "pictures": "each drawing beside a copy that is turned by up to 12 degrees, zoomed by up to a quarter and "
            "moved by up to a pixel; each class of a task turned by a random multiple of 90 degrees",
        },
        "seeds": list(range(options.seeds)),
    }


if __name__ == "__main__":
    main()
