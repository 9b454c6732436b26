"""Choose the rates on validation tasks, meta-train with the best, and keep the learned start.

python train.py                 # or with --steps 20000
python train.py --resume        # goes on where an interrupted training stopped
"""

import argparse
import json
from itertools import product
from pathlib import Path

import torch
from learner import learner

from mamlbook import confidence, evaluate, fit
from mamlbook.files import replacing
from mamlbook.training import NonFinite, pick_device
from tasks import TRAINING, VALIDATION

ALPHAS, BETAS = (0.01, 0.03, 0.1), (1e-3, 3e-3)
RATES, CHECKPOINT, START = Path("rates.json"), Path("checkpoint.pt"), Path("start.pt")


def error(alpha: float, beta: float, steps: int, device: str) -> float:
    """What is left on validation tasks after a short training with these rates."""
    tried = learner(alpha).to(device)
    try:
        if fit(tried, TRAINING, steps=steps, beta=beta).interrupted:
            raise SystemExit("interrupted while rates were tried, and none are chosen; begin anew")
    except NonFinite:
        return float("inf")  # too fast: it counts as the worst
    return confidence(evaluate(tried, VALIDATION, tasks=200)).mean[-1].item()


def choose(steps: int, device: str) -> tuple[float, float]:
    """The inner and outer rate with the least error; rates at the end of a range ask for a wider one."""
    errors = {(alpha, beta): error(alpha, beta, steps, device) for alpha, beta in product(ALPHAS, BETAS)}
    for (alpha, beta), value in errors.items():
        print(f"alpha {alpha:<5g} beta {beta:<6g} error {value:.4f}")
    return min(errors, key=errors.get)


def main() -> None:
    parser = argparse.ArgumentParser(description="Choose the rates, meta-train, keep the start.")
    parser.add_argument("--steps", type=int, default=5000, help="meta-steps; a tenth of them for each pair of rates")
    parser.add_argument("--device", default="auto", help="cpu, cuda, ...; without it the GPU where there is one")
    parser.add_argument("--resume", action="store_true", help="go on from checkpoint.pt")
    given = parser.parse_args()
    if given.resume and not (RATES.is_file() and CHECKPOINT.is_file()):
        parser.error(f"--resume: expected {RATES} and {CHECKPOINT} of an earlier training here; leave it out")
    device = str(pick_device(given.device))
    if not given.resume:
        rates = choose(max(1, given.steps // 10), device)
        RATES.write_text(json.dumps(dict(zip(("alpha", "beta"), rates, strict=True))))
    rates = json.loads(RATES.read_text())
    trained = learner(rates["alpha"]).to(device)
    goes_on = {"checkpoint": CHECKPOINT, "resume": given.resume}
    history = fit(trained, TRAINING, steps=given.steps, beta=rates["beta"], **goes_on)
    if history.interrupted:
        raise SystemExit(f"{len(history.losses)} meta-steps are done, and {START} is not written; --resume goes on")
    with replacing(START) as file:  # a whole file or none
        torch.save(trained.state_dict(), file)
    print(f"the start is in {START}; python evaluate.py measures it")


if __name__ == "__main__":
    main()
