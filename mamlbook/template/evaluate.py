"""Measure the learned start on test tasks, and write the network that has learned one of them.

python evaluate.py
"""

import argparse
import json
from pathlib import Path

import torch
from learner import INNER_STEPS, learner

from mamlbook import confidence, evaluate
from tasks import TEST

START, ADAPTED = Path("start.pt"), Path("adapted.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the start on test tasks.")
    parser.add_argument("--tasks", type=int, default=600)
    given = parser.parse_args()
    if not START.is_file():
        parser.error(f"expected {START} here, which python train.py writes at its end")
    trained = learner(json.loads(Path("rates.json").read_text())["alpha"])
    trained.load_state_dict(torch.load(START, map_location="cpu"))
    # A start is worth something if the error falls with the steps, and goes on falling beyond those of the training.
    mean, half = confidence(evaluate(trained, TEST, tasks=given.tasks, steps=2 * INNER_STEPS))
    for step, (middle, width) in enumerate(zip(mean, half, strict=True)):
        print(f"after {step:2} inner steps: error {middle:.4f} ± {width:.4f}")
    support = TEST.draw(1, torch.Generator().manual_seed(0)).support
    torch.save(trained.network(support).state_dict(), ADAPTED)
    print(f"{ADAPTED} has the weights of a network that has learned the first test task, to be used like any other")


if __name__ == "__main__":
    main()
