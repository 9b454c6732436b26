"""Inner loops that are solved, or take steps of a computed length: what each one learns with settings of its own.

    python -m experiments.closed_form
    python -m experiments.closed_form --methods "kernel ridge" "MAML, 1 step"

writes runs/closed-form.json, one method at a time, and goes on where it stopped. Every method has settings of its own,
by the search of ``experiments.field_search`` from one seed over outer rates and the damping, with a shorter training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from experiments import arguments
from experiments.field_search import Search
from experiments.worlds import STEPS_JUDGED, WORLDS
from mamlbook.pages import environment, recall, record
from mamlbook.training import pick_device

SEEDS, META_STEPS, TASKS_JUDGED = 5, 300, 300


class Method(NamedTuple):
    """A row of the table, what it is told, and what is searched besides the outer rate."""

    row: str
    told: Mapping[str, float] = MappingProxyType({})
    knobs: Mapping[str, Sequence[float]] = MappingProxyType({})


METHODS = {
    "kernel ridge": Method("kernel-ridge"),
    "MAML, 1 step": Method("maml", {"steps": 1}),
    "line search, undamped": Method("line-search", {"steps": 1}),
    "line search, damped": Method("line-search", {"steps": 1}, {"damping": (0.5, 5.0, 50.0)}),
}


def measure(method: Method, meta_steps: int, seeds: int, device: torch.device) -> dict[str, Any]:
    """What the field measures of a row, here with one budget."""
    search = Search(WORLDS["waves"](), method.row, None, device, meta_steps)
    search.fixed, search.knobs, search.judged = dict(method.told), dict(method.knobs), TASKS_JUDGED
    return search.run_alone(seeds)


def main(words: list[str] | None = None) -> None:
    parser = arguments("closed_form", __doc__, seeds=SEEDS, steps=META_STEPS)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    options = parser.parse_args(words)
    device, name = pick_device(options.device), "closed-form"
    path = options.results / f"{name}.json"
    stored = recall(name, folder=options.results) if path.is_file() else {"waves": {}}
    for method in tqdm(options.methods, unit="method"):
        if method in stored["waves"]:
            continue
        stored["waves"][method] = measure(METHODS[method], options.steps, options.seeds, device)
        protocol = (
            "The first round of the search of experiments.field, over outer rates, and over the damping where there "
            f"is a choice, with {options.steps} meta-steps and {TASKS_JUDGED} tasks to judge on. Per seed the mean "
            f"squared error on new points of new waves: new, after 0..{STEPS_JUDGED} inner steps; chosen, after "
            "inner_steps, the best number on validation tasks"
        )
        record(name, stored | {"protocol": protocol, **environment(device)}, folder=options.results)
    print(path)


if __name__ == "__main__":
    main()
