"""Navigation in the plane: meta-trained starts against joint training, a random start, and who knows the goal.

    python -m experiments.navigation

writes runs/navigation.json, one method at a time, and goes on where it stopped; the starts are in runs/navigation.npz.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from experiments import arguments, one_by_one
from mamlbook import Exact, FirstOrder, GradientDescent, MetaBatch, MetaGradient, Model, Params, mlp
from mamlbook.pages import environment, recall, record
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
SEARCHED, ITERATIONS, SEEDS = 150, 300, 5
SEARCH_SEEDS = (100, 101)
ALPHAS, BETAS = (0.003, 0.01, 0.03), (0.003, 0.01, 0.03)
TEST_GOALS, VALIDATION, TEST = 200, 11, 12  # and the seeds of the goals that rates are chosen on, or reported on


class Method(NamedTuple):
    """A surrogate with a way to differentiate it; joint training adapts in testing only, a random start is as drawn."""

    surrogate: Surrogate = lvc
    metagradient: MetaGradient = Exact()
    trained: bool = True
    adapted: bool = True


METHODS = {
    "MAML, LVC": Method(),
    "MAML, DiCE": Method(dice),
    "MAML, naive": Method(naive),
    "first order": Method(metagradient=FirstOrder()),
    "joint training": Method(adapted=False),
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


def train(method: Method, alpha: float, betas: Sequence[float], seeds: Sequence[int], steps: int) -> Params:
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

    for _ in range(steps):
        theta = tuple(t.requires_grad_() for t in moved())
        problems, wide = WORLD.draw(len(seeds) * TASKS, generator), each_for(theta, TASKS)
        tasks = on_policy(model, solver, problems, SHOTS, SHOTS, generator, tuple(t.detach() for t in wide))
        losses = method.metagradient(MetaBatch(model, solver, tasks, wide))
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
            theta = train(method, alpha if method.adapted else 0.0, own_betas, seeds, SEARCHED)
        means = returns(theta, alpha, VALIDATION).view(len(betas), len(SEARCH_SEEDS), -1).mean(1)
        found += [
            {"alpha": alpha, "beta": beta, "returns": numbers(row)} for beta, row in zip(betas, means, strict=True)
        ]
    return found


def numbers(values: Tensor) -> list[float | None]:
    return [round(value, 4) if value == value else None for value in values.tolist()]


def best(search: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The rates with the highest return at their best number of inner steps, at least one."""

    def reached(one: dict[str, Any]) -> float:
        return max((value for value in one["returns"][1:] if value is not None), default=float("-inf"))

    chosen = max(search, key=reached)
    return {"alpha": chosen["alpha"], "beta": chosen["beta"], "steps": chosen["returns"].index(reached(chosen))}


def beyond(tried: Sequence[float], at: float) -> list[float]:
    """The next rate after the end of what was tried, if the best is there."""
    if at == max(tried):
        return [float(f"{3 * at:.1g}")]
    return [float(f"{at / 3:.1g}")] if at == min(tried) else []


def search(name: str) -> list[dict[str, Any]]:
    """A grid of rates; a best one at its edge is followed beyond it, twice at most."""
    alphas, betas = list(ALPHAS), list(BETAS) if METHODS[name].trained else [0.0]
    found = searched(name, alphas, betas)
    for _ in range(2):
        at = best(found)
        more = beyond(alphas, at["alpha"])
        faster = beyond(betas, at["beta"]) if METHODS[name].trained else []
        if more:
            found += searched(name, more, betas)
        if faster:
            found += searched(name, [at["alpha"]], faster)
        alphas, betas = alphas + more, betas + faster
    return found


def measure(name: str, starts: dict[str, Params]) -> dict[str, Any]:
    """The search, and what its winner earns from fresh seeds on fresh goals."""
    started, found = time.perf_counter(), search(name)
    chosen, method = best(found), METHODS[name]
    alpha = chosen["alpha"] if method.adapted else 0.0
    starts[name] = train(method, alpha, [chosen["beta"]] * SEEDS, range(SEEDS), ITERATIONS)
    earned = returns(starts[name], chosen["alpha"], TEST)
    return {
        "search": found,
        "chosen": chosen,
        "error": {str(seed): {"returns": numbers(row)} for seed, row in enumerate(earned)},
        "seconds": round(time.perf_counter() - started),
    }


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
    "step, Adam. Every method searches its inner and its outer rate by itself, over two seeds and {searched} "
    "meta-steps, on {goals} validation goals at the best number of steps from 1 to {most}; a rate at the end of its "
    "range is followed beyond it. returns: means over {goals} fresh goals after 0 to {most} steps, each on {shots} "
    "fresh trajectories, after {iterations} meta-steps from fresh seeds. The weights: the five starts of MAML with "
    "LVC, then those of joint training."
)
STORED = ("MAML, LVC", "joint training")


def main(words: list[str] | None = None) -> None:
    parser = arguments("navigation", __doc__)
    options = parser.parse_args(words)
    device = pick_device(options.device)
    torch.set_num_threads(1)
    starts: dict[str, Params] = {}
    about = {
        "command": "python -m experiments.navigation",
        "told": told(),
        "protocol": PROTOCOL.format(
            horizon=WORLD.horizon,
            std=STD,
            hidden=HIDDEN,
            tasks=TASKS,
            shots=SHOTS,
            searched=SEARCHED,
            goals=TEST_GOALS,
            most=MOST_STEPS,
            iterations=ITERATIONS,
        ),
        "seed": {"networks": list(range(SEEDS)), "validation goals": VALIDATION, "test goals": TEST},
        **environment(device),
    }
    path = one_by_one("navigation", options.results, METHODS, METHODS, lambda name: measure(name, starts), **about)
    result = recall("navigation", folder=options.results)
    for name in STORED:
        if name not in starts:  # measured before an interrupt
            chosen, method = result["runs"][name]["chosen"], METHODS[name]
            alpha = chosen["alpha"] if method.adapted else 0.0
            starts[name] = train(method, alpha, [chosen["beta"]] * SEEDS, range(SEEDS), ITERATIONS)
    result["seconds"] = sum(run["seconds"] for run in result["runs"].values())
    record("navigation", result, tuple(t for name in STORED for t in starts[name]), folder=options.results)
    print(path)


if __name__ == "__main__":
    main()
