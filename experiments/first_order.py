"""How fast and how far MAML, FOMAML and Reptile get on waves, each with rates of its own, counted in two ways.

    python -m experiments.first_order
    python -m experiments.first_order --contenders "maml, S = 5"

writes runs/first-order.json, one contender at a time, and goes on where it stopped. ``PROTOCOL`` says what is done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments
from experiments.side_by_side import OwnRates, draw
from experiments.sweeps import numbers
from mamlbook import Model, Params, Sinusoids, Tasks, evaluate, maml, mlp
from mamlbook.algorithms import ALGORITHMS
from mamlbook.pages import environment, recall, record
from mamlbook.training import pick_device

META_STEPS, GRADIENTS, TASKS, SEEDS = 150, 1_200, 25, 5
SEARCH_SEEDS = (100, 101, 102)
ALPHAS, BETAS = (0.01, 0.02), (1e-2, 2e-2, 4e-2)
TARGETS, WINDOW, EVERY = {1: 1.5, 5: 0.75}, 25, 10
TEST_STEPS, TEST_POINTS = 10, 20
VALIDATION, TEST = (11, 200), (12, 400)  # the seed of the waves, and how many

PROTOCOL = (
    f"gradients: those of one meta-gradient for each task, where a Hessian-vector product counts as two. There are two "
    f"budgets, {META_STEPS} meta-steps of {TASKS} waves, and {GRADIENTS} gradients a task. search: every inner rate "
    f"with every outer rate (Adam), from {len(SEARCH_SEEDS)} seeds. arrived: the first meta-step at which the mean "
    f"query loss of the last {WINDOW} meta-steps, whose waves are all new, is at most the target. errors: for each "
    f"budget the mean squared error after {TEST_STEPS} inner steps on {TEST_POINTS} new points, on {VALIDATION[1]} "
    f"validation waves in the search and {TEST[1]} other waves in the runs. chosen: the settings that arrived soonest "
    "and that had the least error with each budget, on average over the seeds; fewer seeds that did not arrive, or "
    f"were lost, come before that. runs: the chosen settings from fresh seeds; losses: every {EVERY}th of the means "
    f"over {WINDOW} meta-steps. None stands for what was not reached, or had become nan"
)


class Contender(NamedTuple):
    """A row of the comparison table with a number of inner steps."""

    row: str
    steps: int

    @property
    def name(self) -> str:
        return f"{self.row}, S = {self.steps}"

    @property
    def gradients(self) -> int:
        """What one meta-gradient costs for each task: a Hessian-vector product is worth two gradients."""
        row = ALGORITHMS[self.row]
        return row.gradients(self.steps) + 2 * row.products(self.steps)

    def ends(self) -> dict[str, int]:
        """The meta-steps of each budget."""
        return {"meta-steps": META_STEPS, "arithmetic": GRADIENTS // self.gradients}


CONTENDERS = {
    contender.name: contender
    for contender in map(Contender, ("maml", "fomaml", "maml", "fomaml", "reptile"), (1, 1, 5, 5, 5))
}


class Run(NamedTuple):
    """The rates of one training, and the seed of its first weights and of its tasks."""

    alpha: float
    beta: float
    seed: int


def directions(contender: Contender, model: Model, start: Params, tasks: Tasks, alpha: Tensor) -> tuple[Params, Tensor]:
    """What each task contributes to the meta-gradient, from a start and with an inner rate of its own; its query loss.

    Shapes: ``start`` and the result are tuples of (B, \\*shape), ``alpha`` and the losses are (B,).
    """
    exact = contender.row == "maml"
    phi = start = tuple(p.detach().requires_grad_() for p in start)
    for _ in range(contender.steps):
        g = torch.autograd.grad(
            model.losses(model(phi, tasks.support.x), tasks.support.y).sum(), phi, create_graph=exact
        )
        phi = tuple(p - alpha.view(-1, *[1] * (p.ndim - 1)) * dp for p, dp in zip(phi, g, strict=True))
        if not exact:
            phi = tuple(p.detach().requires_grad_() for p in phi)
    losses = model.losses(model(phi, tasks.query.x), tasks.query.y)
    if contender.row == "reptile":
        return tuple((s - p).detach() for s, p in zip(start, phi, strict=True)), losses.detach()
    return torch.autograd.grad(losses.sum(), start if exact else phi), losses.detach()


def train(
    contender: Contender, runs: Sequence[Run], waves: tuple[int, int], device: torch.device
) -> list[dict[str, Any]]:
    """Meta-train all runs side by side, theta <- theta - beta Adam(meta-gradient); measure each after each budget."""
    models = [Model(mlp(1, 40, 40, 1, seed=run.seed), mse_loss).to(device) for run in runs]
    outer = OwnRates(models, [run.beta for run in runs], TASKS)
    generators = {run.seed: torch.Generator().manual_seed(run.seed) for run in runs}
    own = torch.cat([torch.arange(TASKS) + TASKS * list(generators).index(run.seed) for run in runs])
    alpha = torch.tensor([run.alpha for run in runs], device=device).repeat_interleave(TASKS)
    ends, losses, errors = contender.ends(), [], [{} for _ in runs]
    for step in range(1, max(ends.values()) + 1):
        tasks = draw(Sinusoids(), TASKS, list(generators.values())).pick(own).to(device)
        gradient, loss = directions(contender, models[0], outer.start(), tasks, alpha)
        outer.step(gradient)
        losses.append(loss.unflatten(0, (len(runs), TASKS)).mean(1))
        for budget in (budget for budget, end in ends.items() if end == step):
            for of_run, model, run in zip(errors, models, runs, strict=True):
                of_run[budget] = error(model, run.alpha, waves)
    means = running_means(torch.stack(losses, 1).cpu().double())
    return [
        {"arrived": arrived(mean, contender.steps), "errors": of_run, "losses": numbers(mean[::EVERY])}
        for mean, of_run in zip(means, errors, strict=True)
    ]


def running_means(losses: Tensor) -> Tensor:
    """The mean of the last ``WINDOW`` meta-steps, from meta-step ``WINDOW`` on: (runs, n) to (runs, n - WINDOW + 1)."""
    return losses.unfold(1, WINDOW, 1).mean(2)


def arrived(means: Tensor, steps: int) -> int | None:
    """The first meta-step whose running mean is at most the target of that number of inner steps."""
    low = (means <= TARGETS[steps]).nonzero()
    return low[0].item() + WINDOW if len(low) else None


def error(model: Model, alpha: float, waves: tuple[int, int]) -> float | None:
    """The mean squared error after ten inner steps; None if it is no number."""
    seed, tasks = waves
    options = {"tasks": tasks, "chunk": tasks, "steps": TEST_STEPS, "seed": seed, "progress": False}
    curves = evaluate(maml(model, alpha), Sinusoids(queries=TEST_POINTS), **options)
    (mean,) = numbers(curves[:, TEST_STEPS].mean()[None])
    return mean


def choose(search: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The rates that arrived soonest on average, and for each budget those with the least mean error."""
    found = {"soonest": least(search, [tried["arrived"] for tried in search])}
    for budget in search[0]["errors"]:
        found[budget] = least(search, [tried["errors"][budget] for tried in search])
    return found


def least(search: Sequence[dict[str, Any]], values: Sequence[list[float | None]]) -> dict[str, float]:
    """The rates whose values have the least mean; fewer missing ones come before that."""

    def rank(of_seeds: list[float | None]) -> tuple[int, float]:
        known = [value for value in of_seeds if value is not None]
        return len(of_seeds) - len(known), sum(known) / max(len(known), 1)

    best = search[min(range(len(search)), key=lambda place: rank(values[place]))]
    return {"alpha": best["alpha"], "beta": best["beta"]}


def compete(contender: Contender, seeds: int, device: torch.device) -> dict[str, Any]:
    """Search, then run what was chosen from fresh seeds."""
    begun, count = time.perf_counter(), len(SEARCH_SEEDS)
    grid = [(alpha, beta) for alpha in ALPHAS for beta in BETAS]
    tried = train(contender, [Run(*rates, seed) for rates in grid for seed in SEARCH_SEEDS], VALIDATION, device)
    search = [
        {
            "alpha": alpha,
            "beta": beta,
            "arrived": [run["arrived"] for run in of_seeds],
            "errors": {budget: [run["errors"][budget] for run in of_seeds] for budget in contender.ends()},
        }
        for (alpha, beta), of_seeds in zip(grid, _groups(tried, count), strict=True)
    ]
    chosen = {aim: (rates["alpha"], rates["beta"]) for aim, rates in choose(search).items()}
    settings = list(dict.fromkeys(chosen.values()))
    ended = train(contender, [Run(*rates, seed) for rates in settings for seed in range(seeds)], TEST, device)
    return {
        "gradients": contender.gradients,
        "ends": contender.ends(),
        "chosen": {aim: _key(rates) for aim, rates in chosen.items()},
        "runs": {_key(rates): runs for rates, runs in zip(settings, _groups(ended, seeds), strict=True)},
        "search": search,
        "seconds": round(time.perf_counter() - begun),
    }


def _groups(found: list[dict[str, Any]], size: int) -> list[list[dict[str, Any]]]:
    return [found[first : first + size] for first in range(0, len(found), size)]


def _key(rates: tuple[float, float]) -> str:
    return f"alpha {rates[0]:g}, beta {rates[1]:g}"


def main(words: list[str] | None = None) -> None:
    parser = arguments("first_order", __doc__, seeds=SEEDS)
    parser.add_argument("--contenders", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    options = parser.parse_args(words)
    device, path = pick_device(options.device), options.results / "first-order.json"
    stored = recall("first-order", folder=options.results) if path.is_file() else {"contenders": {}}
    for name in tqdm(options.contenders, unit="contender"):
        if name not in stored["contenders"]:
            stored["contenders"][name] = compete(CONTENDERS[name], options.seeds, device)
            record("first-order", stored | {"protocol": PROTOCOL, **environment(device)}, folder=options.results)
    print(path)


if __name__ == "__main__":
    main()
