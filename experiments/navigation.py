"""Navigation in the plane: meta-trained starts against joint training, a random start, and who knows the goal.

    python -m experiments.navigation

writes runs/navigation.json, one method at a time, and goes on where it stopped, in the search as well; two kinds of
starts are in runs/navigation.npz.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from experiments import arguments, one_by_one
from mamlbook import Exact, FirstOrder, GradientDescent, MetaBatch, MetaGradient, Model, Params, mlp
from mamlbook.pages import environment, recall, recall_weights, record
from mamlbook.reinforcement import (
    GaussianPolicy,
    Navigation,
    Surrogate,
    TrajectoryLoss,
    dice,
    fresh_steps,
    lvc,
    naive,
    on_policy,
    rollout,
)
from mamlbook.training import pick_device

WORLD, STD, HIDDEN = Navigation(horizon=10), 0.1, 16
TASKS, SHOTS, MOST_STEPS = 20, 20, 3
JUDGED = (1, 3)  # inner steps after which methods are compared, each with rates chosen for that number
ITERATIONS, SEEDS = 300, 10
SEARCH_SEEDS = (100, 101, 102)
ALPHAS, BETAS = (0.003, 0.01, 0.03), (0.003, 0.01, 0.03)
TEST_GOALS, VALIDATION, TEST = 200, 11, 12  # and the seeds of the goals that rates are chosen on, or reported on


FURTHER = 4  # how often a search goes beyond an end of what was tried


class Method(NamedTuple):
    """A surrogate with a way to differentiate it; joint training adapts in testing only, a random start is as drawn.

    A meta-step with an adaptation draws trajectories twice, one without draws them once: joint training with ``longer``
    meta-training, as many times as ITERATIONS, sees as many trajectories as the others.
    """

    surrogate: Surrogate = lvc
    metagradient: MetaGradient = Exact()
    trained: bool = True
    adapted: bool = True
    longer: int = 1

    @property
    def trajectories(self) -> int:
        """How many are drawn in one meta-training."""
        return self.trained * self.longer * ITERATIONS * TASKS * SHOTS * (2 if self.adapted else 1)


METHODS = {
    "MAML, LVC": Method(),
    "MAML, DiCE": Method(dice),
    "MAML, naive": Method(naive),
    "first order": Method(metagradient=FirstOrder()),
    "joint training": Method(adapted=False),
    "joint training, twice as long": Method(adapted=False, longer=2),
    "random start": Method(trained=False, adapted=False),
}


def network(seed: int = 0) -> nn.Sequential:
    return mlp(2, HIDDEN, HIDDEN, 2, activation=nn.Tanh, seed=seed)


def model_of(surrogate: Surrogate = lvc) -> Model:
    """A Gaussian policy whose mean a small network gives, with a baseline of the other trajectories."""
    return Model(network(), TrajectoryLoss(GaussianPolicy(STD), surrogate, baseline=True))


def drawn(seeds: Sequence[int]) -> Params:
    """The weights of a fresh network for each seed, (R, \\*shape)."""
    nets = [[weight.detach() for weight in network(seed).parameters()] for seed in seeds]
    return tuple(torch.stack(weights) for weights in zip(*nets, strict=True))


def each_for(theta: Params, tasks: int) -> Params:
    """Each of R starts for so many tasks, (R tasks, \\*shape)."""
    return tuple(t.repeat_interleave(tasks, 0) for t in theta)


def train(method: Method, alpha: float, betas: Sequence[float], seeds: Sequence[int]) -> Params:
    """R starts at once, each with its outer rate and the network of its seed: their weights, (R, \\*shape).

    Replica r is a block of tasks. Adam works entry by entry, so that one optimiser with the rate 1 serves all, and
    what it has summed up is multiplied by each replica's rate.
    """
    start, model, solver = drawn(seeds), model_of(method.surrogate), GradientDescent(alpha, 1)
    if not method.trained:
        return start
    away = [torch.zeros_like(weights) for weights in start]
    adam, generator = torch.optim.Adam(away, lr=1.0), torch.Generator().manual_seed(len(seeds))
    rates = [torch.tensor(betas).view(-1, *[1] * (weights.ndim - 1)) for weights in start]

    def moved() -> Params:
        return tuple(t + rate * by for t, rate, by in zip(start, rates, away, strict=True))

    for _ in range(ITERATIONS * method.longer):
        theta = tuple(t.requires_grad_() for t in moved())
        problems, wide = WORLD.draw(len(seeds) * TASKS, generator), each_for(theta, TASKS)
        there = tuple(t.detach() for t in wide)
        if method.adapted:
            tasks = on_policy(model, solver, problems, SHOTS, SHOTS, generator, there)
            losses = method.metagradient(MetaBatch(model, solver, tasks, wide))
        else:
            drawn_there = rollout(model, there, problems, SHOTS, generator)
            losses = model.losses(model(wide, drawn_there.x), drawn_there.y)
        gradients = torch.autograd.grad(losses.sum() / TASKS, theta)
        for weights, gradient in zip(away, gradients, strict=True):
            weights.grad = gradient
        adam.step()
    return moved()


def returns(theta: Params, alpha: float, seed: int, goals: int = TEST_GOALS) -> Tensor:
    """The mean return of each start on the same fresh goals after 0, 1, ... steps: (R, MOST_STEPS + 1)."""
    count = len(theta[0])
    generator = torch.Generator().manual_seed(seed)
    drawn_goals = WORLD.draw(goals, generator).goals
    problems = WORLD.at(drawn_goals.repeat(count, 1))
    found = fresh_steps(
        model_of(), GradientDescent(alpha, 1), problems, MOST_STEPS, SHOTS, generator, each_for(theta, goals)
    )
    return found.view(count, goals, -1).mean(1)


def searched(name: str, alphas: Sequence[float], betas: Sequence[float]) -> list[dict[str, Any]]:
    """Every pair of rates, with the mean validation returns of its seeds after each number of steps."""
    method, found = METHODS[name], []
    pairs = [(beta, seed) for beta in betas for seed in SEARCH_SEEDS]
    own_betas, seeds = [beta for beta, _ in pairs], [seed for _, seed in pairs]
    for place, alpha in enumerate(alphas):
        # What does not adapt in training is trained once for all inner rates.
        if method.adapted or place == 0:
            theta = train(method, alpha, own_betas, seeds)
        means = returns(theta, alpha, VALIDATION).view(len(betas), len(SEARCH_SEEDS), -1).mean(1)
        found += [
            {"alpha": alpha, "beta": beta, "returns": numbers(row)} for beta, row in zip(betas, means, strict=True)
        ]
    return found


def numbers(values: Tensor) -> list[float | None]:
    return [round(value, 4) if value == value else None for value in values.tolist()]


def best(search: Sequence[dict[str, Any]], steps: int) -> dict[str, float]:
    """The rates with the highest return after so many inner steps."""

    def reached(one: dict[str, Any]) -> float:
        value = one["returns"][steps]
        return float("-inf") if value is None else value

    chosen = max(search, key=reached)
    return {"alpha": chosen["alpha"], "beta": chosen["beta"]}


def beyond(tried: set[float], at: float) -> list[float]:
    """The next rate after the end of what was tried, if the best is there."""
    if at == max(tried):
        return [float(f"{3 * at:.1g}")]
    return [float(f"{at / 3:.1g}")] if at == min(tried) else []


def search(name: str, found: list[dict[str, Any]]) -> None:
    """A grid of rates; as long as a best one is at the end of what was tried with its partner, the next one beyond."""
    trained = METHODS[name].trained
    found += [] if found else searched(name, ALPHAS, BETAS if trained else [0.0])
    for steps in JUDGED * FURTHER:
        at = best(found, steps)
        alphas = {one["alpha"] for one in found if one["beta"] == at["beta"]}
        betas = {one["beta"] for one in found if one["alpha"] == at["alpha"]}
        for alpha in beyond(alphas, at["alpha"]):
            found += searched(name, [alpha], [at["beta"]])
        for beta in beyond(betas, at["beta"]) if trained else []:
            found += searched(name, [at["alpha"]], [beta])


def final(name: str, chosen: dict[str, float]) -> Params:
    """The starts of fresh seeds with the chosen rates."""
    return train(METHODS[name], chosen["alpha"], [chosen["beta"]] * SEEDS, range(SEEDS))


def measure(name: str, folder: Path) -> dict[str, Any]:
    """The search, and what its winners earn from fresh seeds on fresh goals, one winner for each number of steps."""
    begun, kept = time.perf_counter(), folder / "navigation.partial.json"
    known = json.loads(kept.read_text()) if kept.is_file() else {}
    own = known.setdefault(name, {"search": [], "seconds": 0.0})
    search(name, own["search"])
    own["seconds"] += time.perf_counter() - begun
    record(kept.stem, known, folder=folder)
    begun, chosen, ends = time.perf_counter(), {}, {}
    for steps in JUDGED:
        chosen[steps] = best(own["search"], steps)
        starts = final(name, chosen[steps])
        ends[steps] = returns(starts, chosen[steps]["alpha"], TEST)
        if (name, steps) in STORED:
            record(_weights(name), {}, starts, folder=folder)
    error = {str(n): {str(steps): numbers(ends[steps][n]) for steps in JUDGED} for n in range(SEEDS)}
    seconds = round(own["seconds"] + time.perf_counter() - begun)
    trajectories = METHODS[name].trajectories
    return {
        "search": own["search"],
        "chosen": chosen,
        "trajectories": trajectories,
        "error": error,
        "seconds": seconds,
    }


def _weights(name: str) -> str:
    return f"navigation.{name.split(',')[0].split()[0].lower()}.partial"


class Told(Navigation):
    """The same plane, seen from the goal."""

    def observe(self, state: Tensor) -> Tensor:
        return state - self.goals[:, None]


def told() -> dict[str, float]:
    """What is earned by one who knows the goal, with the noise of every policy here, and without."""
    generator = torch.Generator().manual_seed(TEST)
    goals = WORLD.draw(TEST_GOALS, generator)
    net = nn.Linear(2, 2, bias=False)
    nn.init.eye_(net.weight).data.neg_()  # a mean action of minus the way from the goal
    model = Model(net, TrajectoryLoss(GaussianPolicy(STD), lvc))
    problems = Told(goals.goals, horizon=WORLD.horizon)
    phi = tuple(t.expand(TEST_GOALS, *t.shape) for t in model.theta)
    noisy = rollout(model, phi, problems, SHOTS, generator).y["reward"].sum(-1).mean().item()
    return {"with the same noise": round(noisy, 4), "without noise": round(goals.best_return().mean().item(), 4)}


PROTOCOL = (
    "Goals uniform in a square of side 1, horizon {horizon}, Gaussian policy of width {std} around a network "
    "2-{hidden}-{hidden}-2 with tanh. Meta-steps of {tasks} goals, {shots} trajectories before and after one inner "
    "step, Adam. Every method searches its inner and its outer rate by itself, over {searched} seeds of trainings as "
    "long as the final ones, on {goals} validation goals, once by the return after one inner step and once by that "
    "after three; a rate at the end of what was tried is followed beyond it. Joint training has no inner step in "
    "training: with as many meta-steps it draws half as many trajectories, and twice as long it draws as many. "
    "trajectories: of one meta-training. error: mean returns over {goals} fresh goals after 0 to "
    "{most} steps, each on {shots} fresh trajectories, after {iterations} meta-steps from fresh seeds, with the rates "
    "chosen for one step (1) and for three (3). The weights: the starts of MAML with LVC, then those of joint "
    "training, both with the rates chosen for one step."
)
STORED = (("MAML, LVC", 1), ("joint training", 1))


def main(words: list[str] | None = None) -> None:
    options = arguments("navigation", __doc__).parse_args(words)
    device, folder = pick_device(options.device), options.results
    torch.set_num_threads(1)
    sizes = {"horizon": WORLD.horizon, "std": STD, "hidden": HIDDEN, "tasks": TASKS, "shots": SHOTS}
    sizes |= {"searched": len(SEARCH_SEEDS), "goals": TEST_GOALS, "most": MOST_STEPS, "iterations": ITERATIONS}
    about = {
        "command": "python -m experiments.navigation",
        "told": told(),
        "protocol": PROTOCOL.format(**sizes),
        "seed": {"networks": list(range(SEEDS)), "validation goals": VALIDATION, "test goals": TEST},
        **environment(device),
    }
    path = one_by_one("navigation", folder, METHODS, METHODS, lambda name: measure(name, folder), **about)
    result = recall("navigation", folder=folder)
    result["seconds"] = sum(run["seconds"] for run in result["runs"].values())
    weights = tuple(t for name, _ in STORED for t in recall_weights(_weights(name), folder=folder))
    record("navigation", result, weights, folder=folder)
    for partial in folder.glob("navigation.*partial.*"):
        partial.unlink()
    print(path)


if __name__ == "__main__":
    main()
