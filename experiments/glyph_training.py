"""Meta-train a small convolutional network on glyphs, and time it: a training that a GPU finishes in a minute or so.

    python -m experiments.glyph_training

writes runs/glyphs-5w1s-maml-cpu.json, and again after every seed; with ``--device cuda`` the name ends in cuda.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from torch.nn.functional import cross_entropy

from experiments import arguments, fit
from mamlbook import MetaLearner, Model, accuracy, confidence, conv4, evaluate, maml, without_norms
from mamlbook.inner import keep
from mamlbook.pages import environment, record
from mamlbook.tasks.glyph_pool import glyph_split, glyphs
from mamlbook.tasks.images import Episodes
from mamlbook.training import pick_device

WAYS, SHOTS, QUERIES = 5, 1, 5
FILTERS, ALPHA, STEPS, TASKS, BETA, ITERATIONS, SEEDS = 32, 0.4, 1, 16, 1e-3, 400, 3
TEST_STEPS, TEST_TASKS = 5, 300
WINDOW = 20  # meta-steps of which the mean loss is kept


def learner(seed: int) -> MetaLearner:
    """MAML with one step on the paper's strided network, half as wide; norms do not adapt."""
    model = Model(conv4(WAYS, filters=FILTERS, seed=seed), cross_entropy)
    return maml(model, ALPHA, STEPS, keep(without_norms))


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    sizes = {"seeds": SEEDS, "iterations": ITERATIONS, "test_tasks": TEST_TASKS}
    parser = arguments("glyph_training", __doc__, **sizes)
    parser.add_argument("--execution", choices=("eager", "compiled"), default="eager")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> None:
    options = parsed(words)
    device = pick_device(options.device)
    train, held_out = (Episodes(pool.to(device), WAYS, SHOTS, QUERIES) for pool in glyph_split(glyphs()))
    runs: dict[str, Any] = {}
    for seed in range(options.seeds):
        started, one = time.perf_counter(), learner(seed).to(device)
        how = {"tasks": TASKS, "beta": BETA, "seed": seed, "execution": options.execution}
        history = fit(one, train, steps=options.iterations, **how)
        trained = time.perf_counter() - started
        scores = evaluate(one, held_out, tasks=options.test_tasks, steps=TEST_STEPS, metric=accuracy, chunk=50)
        mean, half = confidence(100 * scores)
        runs[str(seed)] = {
            "accuracy": [[round(v, 2) for v in pair] for pair in zip(mean.tolist(), half.tolist(), strict=True)],
            "loss": [round(v, 4) for v in history.smoothed(WINDOW)[WINDOW - 1 :: WINDOW].tolist()],
            "seconds": round(trained, 1),
        }
        result = {
            "runs": runs,
            "protocol": f"glyphs, scripts to learn from and others to be judged on; {WAYS} ways, {SHOTS} shot, "
            f"{QUERIES} queries of each class; accuracy in per cent and its 95 % interval over {options.test_tasks} "
            f"tasks after 0 to {TEST_STEPS} steps, batch norm by the batch at hand; loss: means over {WINDOW} "
            "meta-steps",
            "training": {
                "iterations": options.iterations,
                "tasks": TASKS,
                "beta": BETA,
                "execution": options.execution,
                "configuration": str(one),
            },
            **environment(device),
        }
        path = record(f"glyphs-5w1s-maml-{device.type}", result, folder=options.results)
    print(path)


if __name__ == "__main__":
    main()
