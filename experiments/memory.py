"""What a memory is worth when a task shows one point at a time: MAML and MOML on 25 waves, three in a meta-step.

    python -m experiments.memory

writes runs/memory.json, one method at a time, and goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from experiments import arguments
from experiments.own_settings import Comparison, Options, Plan
from mamlbook import MetaLearner, Model, evaluate, mlp
from mamlbook.algorithms import ALGORITHMS
from mamlbook.pages import environment, recall, record
from mamlbook.tasks import Sinusoids, WaveCollection
from mamlbook.training import pick_device

ITERATIONS, SEEDS, TASKS, SHOTS = 2_000, 5, 3, 1
TEST_STEPS, TEST_TASKS, TEST_SHOTS, TEST_POINTS = 10, 200, 10, 100
ALPHA, BETAS = 0.01, (3e-4, 1e-3, 3e-3)
LOCAL_STEPS = 5
RATES = (0.1, 0.3, 0.7)
SETTINGS: dict[str, Sequence[Options]] = {
    "maml": ({},),
    "moml": [{"rate": rate} for rate in RATES],
    "moml-v2": [{"rate": rate} for rate in RATES],
    "local-moml": [{"rate": rate, "beta": beta} for rate in (0.3, 0.7) for beta in (3e-3, 1e-2)],
}
CRITERIA: dict[str, Callable[[Tensor], Tensor]] = {"ten steps": lambda curve: curve[TEST_STEPS]}


def build(name: str, seed: int, **options: float) -> MetaLearner:
    """A learner of one method, from one seed; ``beta`` is the local rate of LocalMOML."""
    own = {"local_steps": LOCAL_STEPS} if name == "local-moml" else {}
    return ALGORITHMS[name](Model(mlp(1, 40, 40, 1, seed=seed), mse_loss), alpha=ALPHA, **own, **options)


def errors(learner: MetaLearner, seed: int) -> Tensor:
    """The error on new waves after each test step, (S + 1,)."""
    new = Sinusoids(amplitude=(1.0, 5.0), shots=TEST_SHOTS, queries=TEST_POINTS)
    return evaluate(learner, new, tasks=TEST_TASKS, steps=TEST_STEPS, seed=seed, progress=False).mean(0)


def main(words: list[str] | None = None) -> None:
    parser = arguments("memory", __doc__, seeds=SEEDS, iterations=ITERATIONS)
    parser.add_argument("--rows", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    options = parser.parse_args(words)
    device, path = pick_device(options.device), options.results / "memory.json"
    plan = Plan(BETAS, errors, CRITERIA, options.seeds, {"tasks": TASKS, "device": device})
    stored = recall("memory", folder=options.results) if path.is_file() else {"runs": {}, "seconds": 0}
    for name in options.rows:
        if name in stored["runs"]:
            continue
        begun = time.perf_counter()
        # A local round of H steps uses H points of each set, so LocalMOML has as many fewer rounds.
        local = LOCAL_STEPS if name == "local-moml" else 1
        points, rounds = SHOTS * local, max(1, options.iterations // local)
        known = WaveCollection(shots=points, queries=points)
        search = Comparison(lambda seed, name=name, **own: build(name, seed, **own), known, rounds, plan)
        stored["runs"][name] = search.run(SETTINGS[name])
        stored["seconds"] += round(time.perf_counter() - begun)
        record("memory", stored | about(options, device), folder=options.results)
    print(path)


def about(options, device: torch.device) -> dict:
    return {
        "protocol": f"trained on 25 waves, amplitudes 1 to 5 and phases of multiples of pi / 5; {TASKS} of them in a "
        f"meta-step, {SHOTS} support and {SHOTS} query point each, and for LocalMOML {LOCAL_STEPS} times as many in a "
        f"round and as many fewer rounds; mean squared error on {TEST_POINTS} new points of {TEST_TASKS} new waves "
        f"after 0 to {TEST_STEPS} steps on {TEST_SHOTS} points; every setting of a method with every outer rate of "
        f"{BETAS}, further rates while the best is at an end, chosen by the error after {TEST_STEPS} steps; then a row "
        "for each fresh seed",
        "training": {"iterations": options.iterations, "alpha": ALPHA, "rule": "Adam", "local_steps": LOCAL_STEPS},
        "seeds": list(range(options.seeds)),
        **environment(device),
    }


if __name__ == "__main__":
    main()
