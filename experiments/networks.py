"""Networks as people bring them, under every row: the meta-gradient is exact, or the package says why there is none.

    python -m experiments.networks

writes runs/networks.json, one network at a time, and goes on where it stopped. The networks and the oracle, plain loops
that share nothing with the package, are those of the tests.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from experiments import arguments, one_by_one
from mamlbook import ALGORITHMS, Model
from mamlbook.pages import environment
from zoo.cells import build, cell, draw, tolerance
from zoo.networks import ZOO
from zoo.oracle import SETTINGS, settings

SHOWN: dict[str, tuple[str, str]] = {
    "mlp": ("dense", ""),
    "relu": ("dense", ""),
    "single layer": ("dense", ""),
    "conv2d": ("convolution", ""),
    "transposed convolution": ("convolution", ""),
    "layer norm": ("norm", ""),
    "group norm": ("norm", ""),
    "instance norm": ("norm", ""),
    "batch norm 1d": ("norm", "BatchNorm1d(..., track_running_stats=False)"),
    "batch norm that tracks": ("norm", ""),
    "batch norm, fixed": ("norm", "net.eval()"),
    "transformer": ("attention", ""),
    "encoder with padding": ("attention", ""),
    "decoder": ("attention", ""),
    "attention as a function": ("attention", ""),
    "LSTM": ("recurrent", ""),
    "GRU": ("recurrent", ""),
    "LSTM, projected": ("recurrent", ""),
    "packed sequences": ("recurrent", ""),
    "embedding": ("embedding", ""),
    "tied layers": ("weights shared", ""),
    "shared layer": ("weights shared", ""),
    "weights borrowed": ("weights shared", ""),
    "output in the middle": ("named parts", "Model(net, loss, head='score.final')"),
    "frozen body": ("frozen", ""),
    "frozen head": ("frozen", ""),
    "LoRA": ("frozen", ""),
    "dropout, off": ("random", "net.eval()"),
    "random slopes": ("random", ""),
    "spectral norm": ("computed weights", ""),
    "spectral norm, fixed": ("computed weights", "net.eval()"),
    "boolean mask": ("control flow", ""),
    "reads a value": ("control flow", ""),
    "contextual": ("named parts", ""),
    "classifier": ("dense", ""),
}
"""The networks that the page shows: their kind, and the option that they were given, if they need one."""


def measure(name: str) -> dict[str, Any]:
    """Every row on a network: the error relative to the oracle's gradient, or what the package says."""
    kind, option = SHOWN[name]
    cells: dict[str, float | str] = {}
    for row in SETTINGS:
        found = cell(name, row)
        if found.error is not None and not found.error < tolerance(row):
            raise AssertionError(f"{name}, {row}: off by {found.error}")
        if found.error is None and not found.refused:
            raise AssertionError(f"{name}, {row}: expected a refusal, got {found.said!r}") from found.said
        cells[row] = float(f"{found.error:.1e}") if found.error is not None else f"{found.said}"
    needing = [row for row in SETTINGS if option and not isinstance(cells[row], str) and needs_option(name, row)]
    return {"about": ZOO[name].about, "kind": kind, "option": option, "needing": needing, "cells": cells}


def needs_option(name: str, row: str) -> bool:
    """Whether a row that is exact with the network's option would not be without: a head is needed by some rows."""
    if "head=" not in SHOWN[name][1]:
        return True
    try:
        net = build(name)
        learner = ALGORITHMS[row].build(Model(net, ZOO[name].loss), **settings(row, net)).double()
        learner.meta_gradient(draw(name))
    except ValueError:
        return True
    return False


def main(words: list[str] | None = None) -> None:
    parser = arguments("networks", __doc__)
    parser.add_argument("--networks", nargs="+", choices=list(SHOWN), default=list(SHOWN))
    options = parser.parse_args(words)
    protocol = (
        "For every row of ALGORITHMS: |g - g'| / |g'| in double precision, with g' from plain loops with "
        "torch.autograd.grad, or the error's sentence. Every error is below 1e-9, and below 1e-3 for conflict-averse, "
        "whose weights the package finds by a hundred steps"
    )
    about = {"protocol": protocol, **environment(torch.device("cpu"))}
    print(one_by_one("networks", options.results, SHOWN, options.networks, measure, **about))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
