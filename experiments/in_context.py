"""Adapt all weights, adapt a few, solve for the head, or read the examples in context: waves learned in six ways.

    python -m experiments.in_context

writes runs/in-context.json, one training after the other, and goes on where it stopped. ``PROTOCOL`` says what is done.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.functional import mse_loss
from tqdm import tqdm

from experiments import arguments, fit_replicas
from mamlbook import (
    Adapted,
    GradientDescent,
    MetaLearner,
    Model,
    Sinusoids,
    Solver,
    joint,
    keep,
    kernel_ridge,
    maml,
    mlp,
)
from mamlbook.analysis.costs import OperationCounter, cost
from mamlbook.devices import drawn_on_cpu
from mamlbook.numerics import Params, expand_over_tasks
from mamlbook.pages import environment, load_theta, recall, recall_weights, record
from mamlbook.tasks import DriftingTasks
from mamlbook.tasks.base import Data, Tasks
from mamlbook.torch_internals import tree_map

NAME = "in-context"
META_STEPS, SEARCH_STEPS = 2000, 400
SEEDS, SEARCH_SEED, TASKS = 5, 100, 25
LENGTHS, TESTED = (5, 20), (2, 5, 10, 20, 40)
VALIDATION, TEST, JUDGED, POINTS = 11, 12, 200, 50
STEPS, LONG = 2, 50  # inner steps: in meta-training, in the test at most
WIDTH, HEADS, HIDDEN, RANK = 32, 4, 64, 2
WAVES = Sinusoids(shots=10, queries=10)
SHIFTS = {
    "the family": WAVES,
    "amplitudes times two": replace(WAVES, amplitude=(0.2, 10.0)),
    "inputs times two": replace(WAVES, domain=(-10.0, 10.0)),
}

PROTOCOL = (
    f"sine waves; {META_STEPS} meta-steps of {TASKS} tasks, with {' and '.join(map(str, LENGTHS))} examples in turn "
    "and 10 query points; Adam, whose rate rises for the first twentieth of a training and falls to zero along a "
    f"cosine. The settings are searched with {SEARCH_STEPS} meta-steps from another seed, by the error on {JUDGED} "
    "validation waves of each of these numbers of examples, and further ones as long as the best rate, or the best "
    f"ridge, is at the end of those that were tried with its partner; the chosen ones are trained from {SEEDS} seeds. "
    f"MAML and the adapter under MAML take {STEPS} steps in training, and in the test the number of 0..{LONG} that "
    "is best in validation. Fine-tuning, of all weights or of the adapter, starts at networks trained jointly, and "
    "takes the rule, the rate and the number of "
    f"0..{LONG} steps that are best in validation. Mean squared errors on {POINTS} new points of {JUDGED} test waves, "
    f"the same for all, a row for each seed, None for what is not finite: lengths, with {', '.join(map(str, TESTED))} "
    f"examples; shifts, with 10 examples, of {', '.join(SHIFTS)}. Operations are those of matrix products: training, "
    "of all meta-steps of one seed; learn, what one wave with 10 examples takes before a prediction; predict, one "
    "point more"
)


class Attention(nn.Module):
    """Softmax attention of tokens to those of the support set, in several heads, and a small network for each token.

    Shapes: ``tokens`` (..., n, width) and ``support`` (..., K, width) to (..., n, width).
    """

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.ask, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(4))
        self.wide, self.narrow = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)

    def forward(self, tokens: Tensor, support: Tensor) -> Tensor:
        seen, asked = self.before(support), self.before(tokens)
        q, k, v = (
            layer(given).unflatten(-1, (HEADS, -1)).transpose(-3, -2)
            for layer, given in ((self.ask, asked), (self.key, seen), (self.value, seen))
        )
        weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1)
        tokens = tokens + self.out((weights @ v).transpose(-3, -2).flatten(-2))
        return tokens + self.narrow(torch.relu(self.wide(self.after(tokens))))


class Transformer(nn.Module):
    """Two layers that read the examples of a task and answer each query point; no order, no weights of the task.

    Shapes: support x and y (..., K, 1), x (..., n, 1) to (..., n, 1).
    """

    def __init__(self, seed: int = 0):
        super().__init__()
        with drawn_on_cpu(seed):
            self.example, self.question = nn.Linear(2, WIDTH), nn.Linear(1, WIDTH)
            self.layers = nn.ModuleList(Attention() for _ in range(2))
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 1)

    def forward(self, xs: Tensor, ys: Tensor, x: Tensor) -> Tensor:
        support, tokens = self.example(torch.cat([xs, ys], -1)), self.question(x)
        for layer in self.layers:
            support, tokens = layer(support, support), layer(tokens, support)
        return self.head(self.norm(tokens))


class InContext(Solver):
    """No weight moves: phi = theta, and the network reads the support set beside the points that it is asked about."""

    def path(
        self, model: Model, support: Data, *, unroll: float, steps: int | None = None, theta: Params | None = None
    ) -> Iterator[Adapted]:
        start = expand_over_tasks(model.theta, support.tasks) if theta is None else theta

        def predict(phi: Params, x: Tensor) -> Tensor:
            return model(phi, (*support, x))

        def inner(_: Params, phi: Params) -> Tensor:
            return model.losses(predict(phi, support.x), support.y)

        yield Adapted(start, start, predict, inner)


class LowRank(nn.Module):
    """A linear layer W x + b with an adapter, (W + U D) x + b, whose U is zero at first (LoRA)."""

    def __init__(self, layer: nn.Linear, rank: int):
        super().__init__()
        self.layer = layer
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.up(self.down(x))


def with_adapter(net: nn.Sequential, seed: int) -> nn.Sequential:
    """The network with an adapter at its hidden matrix."""
    with drawn_on_cpu(seed):
        net.linear2 = LowRank(net.linear2, RANK)
    return net


def adapter(name: str) -> bool:
    """Whether a weight of that name belongs to an adapter."""
    return name.startswith(("linear2.up", "linear2.down"))


def small(seed: int) -> nn.Sequential:
    return mlp(1, 40, 40, 1, seed=seed)


def replicas(method: Method, settings: Sequence[Setting], seeds: Sequence[int], steps: int) -> list[MetaLearner]:
    """Trained by the package, the settings of one knob at once: for each setting a learner of each seed, in order."""
    trained: dict[Setting, list[MetaLearner]] = {}
    for knob in dict.fromkeys(setting.knob for setting in settings):
        of_knob = [setting for setting in settings if setting.knob == knob]
        learners = [method.learner(knob, seed) for _ in of_knob for seed in seeds]
        fit_replicas(
            learners,
            DriftingTasks(in_turn),
            steps=steps,
            tasks=TASKS,
            beta=[partial(schedule, setting.beta, steps) for setting in of_knob for _ in seeds],
            seeds=[seed for _ in of_knob for seed in seeds],
            progress=False,
        )
        for number, setting in enumerate(of_knob):
            trained[setting] = learners[number * len(seeds) : (number + 1) * len(seeds)]
    return [learner for setting in settings for learner in trained[setting]]


def readers(method: Method, settings: Sequence[Setting], seeds: Sequence[int], steps: int) -> list[MetaLearner]:
    """The same for a learner whose weights do not move: the tasks of a batch share them, which saves time."""
    learners = [method.learner(setting.knob, seed) for setting in settings for seed in seeds]
    nets = [learner.model.net for learner in learners]
    weights, _ = stack_module_state(nets)
    betas = torch.tensor([setting.beta for setting in settings for _ in seeds])
    # One optimiser for each learner, over its slice of what is stacked, so that each has a rate of its own.
    slices = [[weight.data[number].requires_grad_() for weight in weights.values()] for number in range(len(nets))]
    optimisers = [torch.optim.Adam(own, lr=1.0, foreach=True) for own in slices]
    generators = [torch.Generator().manual_seed(seed) for _ in settings for seed in seeds]

    def losses(weights: dict[str, Tensor], tasks: Tasks) -> Tensor:
        (xs, ys), (x, y), _ = tasks
        return mse_loss(functional_call(nets[0], weights, (xs, ys, x)), y)

    for number in range(steps):
        drawn = [in_turn(number + 1).draw(TASKS, generator) for generator in generators]
        batch = tree_map(lambda *leaves: torch.stack(leaves), *drawn)
        gradients = torch.func.grad(lambda w, batch=batch: vmap(losses)(w, batch).sum())(
            {name: weight.data for name, weight in weights.items()}
        )
        for i, (own, optimiser) in enumerate(zip(slices, optimisers, strict=True)):
            for weight, gradient in zip(own, gradients.values(), strict=True):
                weight.grad = gradient[i]
            optimiser.param_groups[0]["lr"] = schedule(betas[i].item(), steps, number)
            optimiser.step()
    for net, own in zip(nets, slices, strict=True):
        load_theta(net, tuple(own))
    return learners


class Setting(NamedTuple):
    """What is searched: the outer rate, and the inner rate or the ridge where there is one."""

    beta: float
    knob: float = 0.0


@dataclass(frozen=True)
class Method:
    """A way to learn: the learner of a knob and a seed, what is tried, how it is trained, how many steps are tested."""

    learner: Callable[[float, int], MetaLearner]
    knobs: Sequence[float] = (0.0,)
    betas: Sequence[float] = (1e-3, 3e-3, 1e-2)
    beyond: int | None = None
    train: Callable[[Method, Sequence[Setting], Sequence[int], int], list[MetaLearner]] = replicas


METHODS = {
    "maml": Method(
        lambda alpha, seed: maml(Model(small(seed), mse_loss), alpha, STEPS), (0.003, 0.01, 0.03), beyond=LONG
    ),
    "transformer": Method(lambda _, seed: MetaLearner(Model(Transformer(seed), mse_loss), InContext()), train=readers),
    "ridge": Method(lambda lam, seed: kernel_ridge(Model(small(seed), mse_loss), lam), (0.001, 0.01, 0.1)),
    "joint": Method(lambda _, seed: joint(Model(small(seed), mse_loss))),
    "adapter under maml": Method(
        lambda alpha, seed: maml(Model(with_adapter(small(seed), seed), mse_loss), alpha, STEPS, keep(adapter)),
        (0.01, 0.03, 0.1),
        beyond=LONG,
    ),
}
TUNED = {"fine-tuning": False, "adapter": True}
"""What starts at joint training, and whether it moves the adapter alone."""
RULES = {"SGD": (torch.optim.SGD, (0.003, 0.01, 0.03, 0.1)), "Adam": (torch.optim.Adam, (0.003, 0.01, 0.03, 0.1))}


def in_turn(number: int) -> Sinusoids:
    """The waves of the meta-batch of that number."""
    return replace(WAVES, shots=LENGTHS[number % len(LENGTHS)])


def schedule(beta: float, steps: int, number: int) -> float:
    """The outer rate of a meta-step: up in the first twentieth, then down along a cosine."""
    return beta * min(1.0, (number + 1) / max(1, steps // 20)) * (1 + math.cos(math.pi * number / steps)) / 2


def errors(learner: MetaLearner, waves: Sinusoids, seed: int, steps: int | None) -> Tensor:
    """The mean error on new points of such waves after 0, 1, ... steps."""
    drawn = replace(waves, queries=POINTS).draw(JUDGED, torch.Generator().manual_seed(seed))
    with learner.testing():
        path = learner.solver.path(learner.model, drawn.support, unroll=0, steps=steps)
        with torch.no_grad():
            found = [learner.model.losses(at.predict(at.phi, drawn.query.x), drawn.query.y).mean() for at in path]
    return torch.stack(found)


def validated(learner: MetaLearner, steps: int | None) -> tuple[float, int]:
    """The least mean error on validation waves, and the number of steps at which it is reached."""
    found = sum(errors(learner, in_turn(number), VALIDATION, steps) for number in range(len(LENGTHS)))
    mean = (found / len(LENGTHS)).nan_to_num(math.inf, math.inf)
    return mean.min().item(), int(mean.argmin())


def last(learner: MetaLearner, waves: Sinusoids, steps: int | None) -> float | None:
    """The mean error on test waves after so many steps, None if it is not finite."""
    drawn = replace(waves, queries=POINTS).draw(JUDGED, torch.Generator().manual_seed(TEST))
    at = learner.adapt(drawn.support, steps)
    with learner.testing(), torch.no_grad():
        value = learner.model.losses(at.predict(at.phi, drawn.query.x), drawn.query.y).mean().item()
    return float(f"{value:.5g}") if math.isfinite(value) else None


def at_use(learner: MetaLearner, steps: int | None) -> dict[str, int]:
    """The operations of learning one wave with 10 examples, and of one prediction more; the numbers that move."""
    drawn = replace(WAVES, queries=2).draw(1, torch.Generator().manual_seed(0))
    counts = []
    for points in (1, 2):
        with OperationCounter() as counted:
            at = learner.adapt(drawn.support, steps)
            with torch.no_grad():
                at.predict(at.phi, drawn.query.x[:, :points])
        counts.append(counted.total)
    weights = sum(weight.numel() for weight in learner.model.theta)
    return {"learn": 2 * counts[0] - counts[1], "predict": counts[1] - counts[0], "weights": weights}


def measured(learners: Sequence[MetaLearner], steps: int | None) -> dict[str, Any]:
    """Everything that is stored of a method's trained learners."""
    return {
        "lengths": [[last(one, replace(WAVES, shots=K), steps) for K in TESTED] for one in learners],
        "shifts": [[last(one, waves, steps) for waves in SHIFTS.values()] for one in learners],
        "inner_steps": steps,
        "operations": at_use(learners[0], steps),
    }


def training_operations(method: Method, steps: int) -> float:
    """The operations of so many meta-steps."""
    learner, generator = method.learner(method.knobs[-1], 0), torch.Generator().manual_seed(0)
    batches = [in_turn(number).draw(TASKS, generator) for number in range(len(LENGTHS))]
    return steps * sum(cost(learner, batch).operations for batch in batches) / len(LENGTHS)


def searched(method: Method, steps: int, known: dict[Setting, float]) -> dict[Setting, float]:
    """The validation error of every setting, and of further ones as long as a best value is at the end of its kind."""
    wanted = [Setting(beta, knob) for knob in method.knobs for beta in method.betas]
    while missing := [setting for setting in wanted if setting not in known]:
        tried = method.train(method, missing, [SEARCH_SEED], steps)
        known |= {one: validated(learner, method.beyond)[0] for one, learner in zip(missing, tried, strict=True)}
        wanted = beyond(known)
    return known


def beyond(known: dict[Setting, float]) -> list[Setting]:
    """The next settings, if a value of the best one is at the end of those that were tried with its partner."""
    best, found = min(known, key=known.__getitem__), []
    for own, other in (("beta", "knob"), ("knob", "beta")):
        value = getattr(best, own)
        tried = [getattr(one, own) for one in known if getattr(one, other) == getattr(best, other)]
        if value and value in (min(tried), max(tried)):
            further = 3 * value if value == max(tried) else value / 3
            found.append(best._replace(**{own: float(f"{further:.1g}")}))
    return found


def run(method: Method, seeds: int, meta_steps: int, search_steps: int) -> tuple[dict[str, Any], list[MetaLearner]]:
    """The search, and the trainings of what it chose."""
    started = time.perf_counter()
    tried = searched(method, search_steps, {})
    best = min(tried, key=tried.__getitem__)
    learners = method.train(method, [best], range(seeds), meta_steps)
    found = {
        "setting": best._asdict(),
        "search": [{**setting._asdict(), "error": finite(value)} for setting, value in tried.items()],
        "training": training_operations(method, meta_steps),
        **measured(learners, method.beyond and _best_steps(learners, method.beyond)),
        "seconds": round(time.perf_counter() - started),
    }
    return found, learners


def finite(value: float) -> float | None:
    """As JSON has it."""
    return value if math.isfinite(value) else None


def _best_steps(learners: Sequence[MetaLearner], beyond: int) -> int:
    """The number of steps that is best in validation, over all seeds."""
    found = [errors(one, in_turn(number), VALIDATION, beyond) for one in learners for number in range(len(LENGTHS))]
    return int(torch.stack(found).mean(0).nan_to_num(math.inf, math.inf).argmin())


def tuned(learner: MetaLearner, rule: str, rate: float, low_rank: bool, seed: int) -> MetaLearner:
    """A learner that goes on from joint training by other steps."""
    net = copy.deepcopy(learner.model.net)
    kept = [keep(adapter)] if low_rank else []
    model = Model(with_adapter(net, seed) if low_rank else net, mse_loss)
    return MetaLearner(model, GradientDescent(rate, LONG, *kept, rule=RULES[rule][0]))


def fine_tune(learners: Sequence[MetaLearner], low_rank: bool) -> dict[str, Any]:
    """The rule, rate and number of steps that are best for the first seed in validation, and what they give for all."""
    started = time.perf_counter()
    tried = [
        {"rule": rule, "knob": rate, **dict(zip(("error", "inner_steps"), found, strict=True))}
        for rule, (_, rates) in RULES.items()
        for rate in rates
        for found in [validated(tuned(learners[0], rule, rate, low_rank, 0), LONG)]
    ]
    best = min(tried, key=lambda setting: setting["error"])
    chosen = [tuned(one, best["rule"], best["knob"], low_rank, seed) for seed, one in enumerate(learners)]
    found = measured(chosen, best["inner_steps"])
    return {"setting": best, "search": tried, **found, "seconds": round(time.perf_counter() - started)}


def zero() -> dict[str, list[float]]:
    """The errors of predicting zero on the test waves."""

    def squares(waves: Sinusoids) -> float:
        drawn = replace(waves, queries=POINTS).draw(JUDGED, torch.Generator().manual_seed(TEST))
        return float(f"{drawn.query.y.square().mean().item():.5g}")

    lengths = [squares(replace(WAVES, shots=K)) for K in TESTED]
    return {"lengths": lengths, "shifts": [squares(waves) for waves in SHIFTS.values()]}


def main(words: list[str] | None = None) -> None:
    parser = arguments("in_context", __doc__, seeds=SEEDS, steps=META_STEPS, search=SEARCH_STEPS)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    options = parser.parse_args(words)
    path = options.results / f"{NAME}.json"
    stored = recall(NAME, folder=options.results) if path.is_file() else {"methods": {}}
    theta = recall_weights(NAME, folder=options.results) if (options.results / f"{NAME}.npz").is_file() else None
    for name in tqdm(options.methods, unit="method"):
        if name in stored["methods"]:
            continue
        found, learners = run(METHODS[name], options.seeds, options.steps, options.search)
        stored["methods"][name] = found
        if name == "joint":
            for other, low_rank in TUNED.items():
                stored["methods"][other] = {"training": found["training"], **fine_tune(learners, low_rank)}
        theta = learners[0].model.theta if name == "transformer" else theta
        about = {
            "tested": list(TESTED),
            "shifts": list(SHIFTS),
            "zero": zero(),
            "protocol": PROTOCOL,
            "meta_steps": options.steps,
            **environment(torch.device("cpu")),
        }
        record(NAME, stored | about, theta, folder=options.results)
    print(path)


if __name__ == "__main__":
    main()
