"""Which tasks count: five weightings on twenty easy waves and five that are upside down and larger.

    python -m experiments.weights

writes runs/weights.json, one weighting at a time, and goes on where it stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from experiments import arguments
from experiments.field_search import FURTHER
from experiments.own_settings import Comparison, Options, Plan
from mamlbook import GradientDescent, MetaLearner, Model, UniformWeights, mlp
from mamlbook.analysis.costs import cost
from mamlbook.pages import environment, recall, record
from mamlbook.tasks import WaveCollection
from mamlbook.training import pick_device
from mamlbook.weighting import (
    ConflictAverseWeights,
    LearnedWeights,
    RobustWeights,
    SoftmaxWeights,
    Weighting,
)

ITERATIONS, SEEDS, SEARCH_SEEDS = 500, 5, (100, 101, 102)
ALPHA, STEPS, SHOTS = 0.01, 1, 10
BETAS = (1e-3, 3e-3, 1e-2)
TEST_DRAWS, TEST_POINTS = 10, 100
AMPLITUDES = (1.0, 1.5, 2.0, 2.5, -4.0)
PHASES = tuple(j * math.pi / 10 for j in range(5))
WEIGHTINGS: dict[str, tuple[Callable[..., Weighting], Sequence[Options]]] = {
    "equal": (lambda tasks: UniformWeights(), ({},)),
    "softmax": (lambda tasks, temperature: SoftmaxWeights(temperature), [{"temperature": t} for t in (1.0, 3.0, 9.0)]),
    "conflict-averse": (lambda tasks, c: ConflictAverseWeights(c), [{"c": c} for c in (0.2, 0.5, 0.8)]),
    # As many meta-steps more as conflict-averse weights cost.
    "equal, longer": (lambda tasks: UniformWeights(), ({},)),
    "min-max": (lambda tasks, rate: RobustWeights(tasks, rate), [{"rate": r} for r in (3e-4, 3e-3, 3e-2)]),
    "learned": (lambda tasks: LearnedWeights(tasks), ({},)),
}
CRITERIA: dict[str, Callable[[Tensor], Tensor]] = {"mean": Tensor.mean, "worst": Tensor.amax}


def waves(points: int) -> WaveCollection:
    """Four amplitudes, and a fifth group of tasks that points the other way; 25 in all."""
    return WaveCollection(AMPLITUDES, PHASES, shots=SHOTS, queries=points)


def learner(name: str, seed: int, **options: float) -> MetaLearner:
    """A learner of one weighting, from one seed."""
    model = Model(mlp(1, 40, 40, 1, seed=seed), mse_loss)
    weighting = WEIGHTINGS[name][0](len(waves(SHOTS)), **options)
    return MetaLearner(model, GradientDescent(ALPHA, STEPS), weighting=weighting)


def meta_steps(name: str, iterations: int) -> int:
    """How many meta-steps a weighting takes: those of ``iterations``, or of conflict-averse weights at equal work."""
    if name != "equal, longer":
        return iterations
    tasks = waves(SHOTS).draw(len(waves(SHOTS)), torch.Generator().manual_seed(0))
    dear, cheap = (cost(one, tasks).operations for one in (learner("conflict-averse", 0, c=0.5), learner("equal", 0)))
    return round(iterations * dear / cheap)


def errors(learner: MetaLearner, seed: int, draws: int = TEST_DRAWS) -> Tensor:
    """The mean over draws of the error of each wave on new points, after the step, (25,)."""
    generator, new = torch.Generator().manual_seed(seed), waves(TEST_POINTS)
    total = torch.zeros(len(new))
    for _ in range(draws):
        drawn = new.draw(len(new), generator).like(learner.model.theta[0])
        adapted = learner.adapt(drawn.support)
        losses = learner.model.losses(adapted.predict(adapted.phi, drawn.query.x), drawn.query.y)
        total[drawn.index.cpu()] += losses.detach().cpu() / draws
    return total


def main(words: list[str] | None = None) -> None:
    parser = arguments("weights", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    parser.add_argument("--rows", nargs="+", choices=list(WEIGHTINGS), default=list(WEIGHTINGS))
    options = parser.parse_args(words)
    device, path, known = pick_device(options.device), options.results / "weights.json", waves(SHOTS)
    training = {"tasks": len(known), "device": device}
    plan = Plan(BETAS, errors, CRITERIA, options.seeds, training, SEARCH_SEEDS, ("temperature", "c", "rate"))
    stored = recall("weights", folder=options.results) if path.is_file() else {"runs": {}, "seconds": 0}
    for name in options.rows:
        if name in stored["runs"]:
            continue
        begun = time.perf_counter()
        steps = meta_steps(name, options.iterations)
        search = Comparison(lambda seed, name=name, **own: learner(name, seed, **own), known, steps, plan)
        runs = stored["runs"] | {name: search.run(WEIGHTINGS[name][1])}
        stored["runs"] = {known: runs[known] for known in WEIGHTINGS if known in runs}
        stored["seconds"] += round(time.perf_counter() - begun)
        record("weights", stored | about(options, device), folder=options.results)
    print(path)


def about(options, device: torch.device) -> dict:
    return {
        "amplitudes": AMPLITUDES,
        "protocol": f"25 waves, five phases for each of the amplitudes {AMPLITUDES}; mean squared error of each wave "
        f"on {TEST_POINTS} new points after {STEPS} step on {SHOTS}, over {TEST_DRAWS} draws, a column for each wave; "
        f"every weighting with every outer rate of {BETAS} and every value of its own, further ones while the best is "
        f"at an end, at most {FURTHER} times; chosen by the mean over waves, and by the worst wave, each as its mean "
        f"over the trainings from the seeds {SEARCH_SEEDS} (judged: a row for each); then a row for each fresh seed",
        "training": {
            "iterations": options.iterations,
            "longer": meta_steps("equal, longer", options.iterations),
            "alpha": ALPHA,
            "rule": "Adam",
            "tasks": 25,
        },
        "seeds": list(range(options.seeds)),
        **environment(device),
    }


if __name__ == "__main__":
    main()
