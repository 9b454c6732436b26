"""The Bayesian questions on waves: how sure is a start, how many tasks does it need, and does it learn them by heart?

    python -m experiments.bayes

writes runs/bayes.json.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.func import functional_call, jacrev, vmap
from torch.nn.functional import mse_loss, one_hot

from experiments import arguments, fit_replicas
from experiments.sweeps import numbers
from mamlbook import Data, MetaLearner, Model, Sinusoids, Tasks, evaluate, maml, mlp
from mamlbook.pages import environment, record
from mamlbook.tasks import TaskDistribution
from mamlbook.training import pick_device

SEEDS = 5
ALPHA, TASKS, RATES, TEST_STEPS = 0.01, 25, (1e-3, 3e-3), 5
NOISE, SHOTS, QUERIES = 0.5, 5, 20
MEMBERS, SURE_STEPS = 5, 1000
CHOICE_TASKS, TEST_TASKS = 200, 400
SIZES, POINTS, SPLIT_STEPS = (5, 20, 80, 320), 20, 400
CODES, CODE_STEPS = 20, 500
KINDS = ("no code", "own code", "shuffled code")
APART = 1000  # between the seeds of the settings that are trained together
WIDTHS = tuple(0.3 * 1.2**i for i in range(14))  # tried standard deviations
SPREADS = (0.0, *(10 ** (i / 3 - 3) for i in range(13)))  # tried prior variances of a weight
SCALES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # tried factors of the variance between members


# ---- tasks -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NoisyWaves:
    """Sine waves whose targets have noise, in the support and in the query set."""

    waves: Sinusoids
    noise: float

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        support, query, index = self.waves.draw(tasks, generator)
        noisy = (Data(x, y + self.noise * torch.randn(y.shape, generator=generator)) for x, y in (support, query))
        return Tasks(*noisy, index)


def pool(seed: int, waves: Sinusoids, tasks: int) -> Tasks:
    """The training waves of a seed; a smaller collection is the beginning of a larger one."""
    return waves.draw(tasks, torch.Generator().manual_seed(10_000 + seed))


class FewWaves:
    """A collection of waves with all their points, one for each seed; ``seed // APART`` says how large it is.

    ``split`` makes half of a wave's points its query set; without it all points are support and query at once.
    """

    def __init__(self, split: bool):
        self.split = split
        self.pools: dict[int, Tasks] = {}

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        setting, seed = divmod(generator.initial_seed(), APART)
        if seed not in self.pools:
            # The same points whether they are split or not.
            support, query, _ = pool(seed, Sinusoids(shots=POINTS // 2, queries=POINTS // 2), max(SIZES))
            both = Data(*(torch.cat(pair, 1) for pair in zip(support, query, strict=True)))
            self.pools[seed] = Tasks(support, query) if self.split else Tasks(both, both)
        return self.pools[seed].pick(torch.randint(SIZES[setting], (tasks,), generator=generator)).numbered()


@dataclass(frozen=True)
class CodedWaves:
    """A collection of ``CODES`` waves whose inputs carry a code: none, the wave's own number, or a random number.

    In training ``seed // APART`` says which of ``KINDS``, the points are fresh in every draw. ``new`` waves are no part
    of any collection, and their code is random.
    """

    new: str | None = None

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        setting, seed = divmod(generator.initial_seed(), APART)
        kind, source = self.new or KINDS[setting], torch.Generator().manual_seed(20_000 + seed)
        number = torch.randint(CODES, (tasks,), generator=generator)
        if self.new:
            amplitude, phase = (torch.rand(tasks, generator=generator) for _ in range(2))
        else:
            amplitude, phase = (torch.rand(CODES, generator=source)[number] for _ in range(2))
        x = 10 * torch.rand(tasks, 2 * POINTS, 1, generator=generator) - 5
        y = (0.1 + 4.9 * amplitude)[:, None, None] * torch.sin(x - math.pi * phase[:, None, None])
        if kind == "shuffled code":
            number = torch.randint(CODES, (tasks,), generator=generator)
        code = one_hot(number, CODES).float() * (kind != "no code")
        x = torch.cat([x, code[:, None].expand(-1, 2 * POINTS, -1)], 2)
        return Tasks(Data(x[:, :POINTS], y[:, :POINTS]), Data(x[:, POINTS:], y[:, POINTS:])).numbered()


@dataclass(frozen=True)
class Seeded:
    """Training tasks of one setting and seed, for a test."""

    distribution: TaskDistribution
    seed: int

    def draw(self, tasks: int, generator: torch.Generator) -> Tasks:
        return self.distribution.draw(tasks, torch.Generator().manual_seed(self.seed))


def trained(
    inputs: int, seeds: Sequence[int], rates: Sequence[float], distribution: TaskDistribution, steps: int, **how: Any
) -> list[MetaLearner]:
    """MAML from every seed, all trained together, in order; the first weights are those of ``seed % APART``."""
    learners = [maml(Model(mlp(inputs, 40, 40, 1, seed=seed % APART), mse_loss), ALPHA, 1) for seed in seeds]
    options = {"steps": steps, "tasks": TASKS, "beta": list(rates), "seeds": list(seeds), "progress": False, **how}
    fit_replicas(learners, distribution, **options)
    return learners


# ---- how sure --------------------------------------------------------------------------------------------------------


def predicted(learner: MetaLearner, tasks: Tasks) -> Tensor:
    """The predictions at the query points after adaptation: (B, K)."""
    adapted = learner.adapt(tasks.support, steps=TEST_STEPS)
    return adapted.predict(adapted.phi, tasks.query.x.to(learner.model.theta[0])).detach().cpu()[..., 0]


def kernels(learner: MetaLearner, tasks: Tasks) -> tuple[Tensor, Tensor, Tensor]:
    """Inner products of the network's gradients at phi: support with itself, query with support, query with itself.

    Shapes: (B, K, K), (B, L, K), (B, L).
    """
    net, names = learner.model.net, learner.model.names
    phi = learner.adapt(tasks.support, steps=TEST_STEPS).phi

    def gradients(phi: Sequence[Tensor], x: Tensor) -> Tensor:
        outputs = jacrev(
            lambda *phi: functional_call(net, dict(zip(names, phi, strict=True)), (x,)), tuple(range(len(phi)))
        )
        return torch.cat([part.flatten(2)[:, 0] for part in outputs(*phi)], 1)

    one, other = (vmap(gradients)(tuple(phi), data.x.to(phi[0])).detach().cpu() for data in tasks[:2])
    return one @ one.mT, other @ one.mT, other.square().sum(2)


def laplace_variance(products: tuple[Tensor, Tensor, Tensor], spread: float, width: float) -> Tensor:
    """The variance of the linearised network under a prior N(theta, spread I) and noise of deviation ``width``."""
    own, cross, there = products
    if not spread:
        return torch.zeros_like(there)
    system = own + width**2 / spread * torch.eye(own.shape[1])
    return spread * (there - (cross * torch.linalg.solve(system, cross.mT).mT).sum(2)).clamp(min=0)


def gaussian_scores(mean: Tensor, variance: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Minus the log density of each target, and where it stands in its distribution, 0 to 1."""
    normal = Normal(mean, variance.sqrt())
    return -normal.log_prob(y), normal.cdf(y)


def exact_scores(tasks: Tasks, grid: int = 60) -> tuple[Tensor, Tensor]:
    """The same under the exact posterior of amplitude and phase, a sum over the middles of ``grid``^2 cells."""
    place = (torch.arange(grid) + 0.5) / grid
    amplitude, phase = torch.cartesian_prod(0.1 + 4.9 * place, math.pi * place).T
    found = []
    for xs, ys, xq, yq in zip(*tasks.support, *tasks.query, strict=True):
        likelihood = Normal(amplitude * torch.sin(xs - phase), NOISE).log_prob(ys).sum(0)
        each = Normal(amplitude * torch.sin(xq - phase), NOISE)
        share = likelihood.log_softmax(0)
        found.append((-(each.log_prob(yq) + share).logsumexp(1), each.cdf(yq) @ share.exp()))
    nll, place = (torch.stack(parts) for parts in zip(*found, strict=True))
    return nll, place


def summary(scores: tuple[Tensor, Tensor], tasks: Tasks) -> dict[str, float]:
    """Mean nll, and the share of targets in their central 95 % interval: of all, near a support point, far from one."""
    nll, place = scores
    inside = ((place - 0.5).abs() < 0.475).double()
    distance = (tasks.query.x - tasks.support.x.mT).abs().amin(2)
    near, far = inside[distance < 0.25], inside[distance > 1.0]
    values = {"nll": nll.mean(), "inside": inside.mean(), "near": near.mean(), "far": far.mean()}
    return {name: float(f"{value.item():.5g}") for name, value in values.items()}


Predictive = Callable[[dict[str, float]], tuple[Tensor, Tensor]]


def settings(method: str) -> list[dict[str, float]]:
    """The numbers of a method that are chosen on validation waves."""
    other = {"point": ("scale", (0.0,)), "laplace": ("spread", SPREADS), "ensemble": ("scale", SCALES)}[method]
    return [{"width": width, other[0]: value} for width in WIDTHS for value in other[1]]


def predictive(method: str, learners: list[MetaLearner], tasks: Tasks) -> Predictive:
    """Mean and variance of every query target as a function of the settings; what they do not change is kept."""
    members = torch.stack([predicted(learner, tasks) for learner in learners])
    mean, between = members.mean(0), members.var(0) if len(learners) > 1 else torch.zeros_like(members[0])
    products = kernels(learners[0], tasks) if method == "laplace" else None

    def at(chosen: dict[str, float]) -> tuple[Tensor, Tensor]:
        extra = laplace_variance(products, **chosen) if products else chosen["scale"] * between
        return mean, extra + chosen["width"] ** 2

    return at


def judged(method: str, candidates: dict[float, list[MetaLearner]], choice: Tasks, test: Tasks) -> dict[str, Any]:
    """A method with the outer rate and the settings of the smallest nll on the validation waves, on the test waves."""
    best: tuple[float, float, dict] | None = None
    for rate, learners in candidates.items():
        made = predictive(method, learners, choice)
        for chosen in settings(method):
            nll = gaussian_scores(*made(chosen), choice.query.y[..., 0])[0].mean().item()
            if best is None or nll < best[0]:
                best = nll, rate, chosen
    assert best is not None
    _, rate, chosen = best
    mean, variance = predictive(method, candidates[rate], test)(chosen)
    y = test.query.y[..., 0]
    error = float(f"{(mean - y).square().mean().item():.5g}")
    return {**summary(gaussian_scores(mean, variance, y), test), "error": error, "rate": rate, **chosen}


def sureness(seeds: int, steps: int, how: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """One start, one start with the Laplace approximation, and an ensemble with the same number of meta-steps."""
    waves = NoisyWaves(Sinusoids(shots=SHOTS, queries=QUERIES), NOISE)
    alone = [(seed, rate) for rate in RATES for seed in range(seeds)]
    many = [(100 + MEMBERS * seed + m, rate) for rate in RATES for seed in range(seeds) for m in range(MEMBERS)]
    one = trained(1, *zip(*alone, strict=True), waves, steps, **how)
    team = trained(1, *zip(*many, strict=True), waves, steps // MEMBERS, **how)
    found: dict[str, list] = {"exact": [], "point": [], "laplace": [], "ensemble": []}
    for seed in range(seeds):
        choice = waves.draw(CHOICE_TASKS, torch.Generator().manual_seed(30_000 + seed))
        test = waves.draw(TEST_TASKS, torch.Generator().manual_seed(40_000 + seed))
        starts = {rate: [one[i * seeds + seed]] for i, rate in enumerate(RATES)}
        first = [(i * seeds + seed) * MEMBERS for i in range(len(RATES))]
        teams = {rate: team[at : at + MEMBERS] for rate, at in zip(RATES, first, strict=True)}
        found["exact"].append(summary(exact_scores(test), test))
        for method, candidates in (("point", starts), ("laplace", starts), ("ensemble", teams)):
            found[method].append(judged(method, candidates, choice, test))
    return found


# ---- how many tasks, and by heart ------------------------------------------------------------------------------------


def split_or_not(seeds: int, steps: int, how: dict[str, Any]) -> dict[str, dict[str, dict[str, list]]]:
    """The error after 0 to 5 steps on new waves, after training on few waves with a query set of their own or none."""
    test = {seed: NoisyWaves(Sinusoids(shots=POINTS, queries=100), 0.0) for seed in range(seeds)}
    wanted = [(APART * size + seed, rate) for size in range(len(SIZES)) for rate in RATES for seed in range(seeds)]
    found: dict[str, dict[str, dict[str, list]]] = {}
    for name, split in (("split", True), ("not split", False)):
        learners = trained(1, *zip(*wanted, strict=True), FewWaves(split), steps, **how)
        runs: dict[tuple[int, int], dict[float, MetaLearner]] = {}
        for (setting, rate), learner in zip(wanted, learners, strict=True):
            runs.setdefault(divmod(setting, APART), {})[rate] = learner
        found[name] = {str(size): {"error": [], "rate": []} for size in SIZES}
        for (size, seed), by_rate in runs.items():
            options = {"tasks": CHOICE_TASKS, "steps": TEST_STEPS}
            ends = {
                rate: evaluate(learner, test[seed], seed=50_000 + seed, **options)[:, -1].mean().item()
                for rate, learner in by_rate.items()
            }
            rate = min(ends, key=lambda rate: ends[rate] if math.isfinite(ends[rate]) else math.inf)
            options["tasks"] = TEST_TASKS
            errors = evaluate(by_rate[rate], test[seed], seed=60_000 + seed, **options).mean(0)
            found[name][str(SIZES[size])]["error"].append(numbers(errors))
            found[name][str(SIZES[size])]["rate"].append(rate)
    return found


def by_heart(seeds: int, steps: int, how: dict[str, Any]) -> dict[str, dict[str, list]]:
    """The error after 0 to 5 steps on the waves of the training and on new ones, with and without a code."""
    wanted = [APART * setting + seed for setting in range(len(KINDS)) for seed in range(seeds)]
    learners = trained(1 + CODES, wanted, [RATES[0]] * len(wanted), CodedWaves(), steps, **how)
    found: dict[str, dict[str, list]] = {kind: {"training": [], "new": []} for kind in KINDS}
    for setting, learner in zip(wanted, learners, strict=True):
        kind = KINDS[setting // APART]
        options = {"tasks": TEST_TASKS, "steps": TEST_STEPS, "chunk": TEST_TASKS}
        old = evaluate(learner, Seeded(CodedWaves(), setting), **options)
        new = evaluate(learner, CodedWaves(new=kind), seed=70_000 + setting, **options)
        found[kind]["training"].append(numbers(old.mean(0)))
        found[kind]["new"].append(numbers(new.mean(0)))
    return found


def main(words: list[str] | None = None) -> None:
    parser = arguments("bayes", __doc__, seeds=SEEDS, sure=SURE_STEPS, split=SPLIT_STEPS, codes=CODE_STEPS)
    parser.add_argument("--execution", default="compiled", choices=("compiled", "eager"))
    options = parser.parse_args(words)
    device, started = pick_device(options.device), time.perf_counter()
    how = {"device": device, "execution": options.execution}
    result = {
        "sure": sureness(options.seeds, options.sure, how),
        "tasks": split_or_not(options.seeds, options.split, how),
        "codes": by_heart(options.seeds, options.codes, how),
        "seeds": list(range(options.seeds)),
        "protocol": f"sure: noise {NOISE}, {SHOTS} support points, {TEST_STEPS} test steps; on {TEST_TASKS} new waves "
        "minus the mean log density of a target (nll), the share of targets in their central 95 % interval (inside; "
        "near: within 0.25 of a support point, far: beyond 1), and the mean squared error; outer rate and settings by "
        f"nll on {CHOICE_TASKS} other waves. tasks: trained on that many waves of {POINTS} fixed points, half of them "
        f"query points (split) or all both (not split), tested from {POINTS} points on new waves; the outer rate by "
        f"the error on other new waves. codes: {CODES} training waves with fresh points, the input with a one-hot code",
        "training": {
            "tasks": TASKS,
            "alpha": ALPHA,
            "rates": list(RATES),
            "meta-steps": {
                "one start": options.sure,
                "member": options.sure // MEMBERS,
                "tasks": options.split,
                "codes": options.codes,
            },
        },
        "seconds": round(time.perf_counter() - started),
        **environment(device),
    }
    print(record("bayes", result, folder=options.results))


if __name__ == "__main__":
    main()
