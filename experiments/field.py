"""Measure the whole field by one protocol: every row with settings of its own, found by the same search.

    python -m experiments.field --world waves
    python -m experiments.field --world glyphs --rows maml fomaml reptile

writes runs/field-<world>.json, one entry at a time, and goes on where it stopped. An entry is a row of the comparison
table with a number of inner steps. ``PROTOCOL`` says what is done for it.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from experiments import arguments
from experiments.field_search import FINAL_SEEDS, FINALISTS, FURTHER, STEPS, Final, Search
from experiments.worlds import ROWS, STEPS_JUDGED, WORLDS
from mamlbook.pages import environment, recall, record
from mamlbook.training import pick_device

SEEDS = 5

# Entries that need no run of their own, since the meta-gradient is MAML's to the last digit.
AS_MAML = {("truncated", 1), ("multi-step-loss", 1), ("forward-mode", 1), ("forward-mode", 5)}

PROTOCOL = (
    "One search for every row and number of inner steps, in two rounds. The first is from one seed: every outer rate "
    "beta at the row's own defaults; then, one setting of the row after the other, the inner rate alpha first, every "
    "value that is tried, each with the best beta so far and its two neighbours. A rate that is best at the end of its "
    f"range is followed beyond it, at most {FURTHER} times. In the second round the best {FINALISTS} settings are "
    f"trained from {len(FINAL_SEEDS)} other seeds, and while a rate next to the best of them in the mean was not "
    f"tried, it is trained from these seeds too, at most {FURTHER} times. Settings are judged on validation tasks, by "
    f"the mean after as many inner steps as are best for them there, at most {STEPS_JUDGED} in the first round and, on "
    f"waves, {WORLDS['waves']().steps_judged} in the second. There are two budgets, as many meta-steps ({STEPS}) and "
    "as many multiplications as MAML with one inner step takes for these, and each has its own best setting. That is "
    "then meta-trained from fresh seeds and measured on fresh tasks: per seed, the mean over tasks after the number of "
    "inner steps that was chosen, None for a run that came to no end."
)


def entries(rows: Sequence[str]) -> list[tuple[str, int | None]]:
    """Each row with each number of inner steps that it is measured with: one, five, and its own default; few first."""
    found: list[tuple[str, int | None]] = []
    for row in rows:
        default = inspect.signature(ROWS[row].build).parameters.get("steps")
        found += [(row, None)] if default is None else [(row, steps) for steps in sorted({1, 5, default.default})]
    return sorted((entry for entry in found if entry not in AS_MAML), key=lambda entry: entry[1] or 0)


def named(row: str, steps: int | None) -> str:
    return row if steps is None else f"{row}, S = {steps}"


def measure(search: Search, seeds: int, before: dict[str, Any]) -> dict[str, Any]:
    """One entry: the search, unless it is stored, its second round, and what was chosen from fresh seeds."""
    begun = time.perf_counter()
    if "search" in before:
        search.take_over(before["search"])
    tried, final = before.get("search") or search.run(), Final(search)
    found = {"search": tried, "final": final.run(), "budgets": final.report(seeds)}
    return {**found, "seconds": round(before.get("seconds", 0) + time.perf_counter() - begun)}


def main(words: list[str] | None = None) -> None:
    parser = arguments("field", __doc__, seeds=SEEDS, steps=STEPS)
    parser.add_argument("--world", choices=list(WORLDS), default="waves")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS))
    options = parser.parse_args(words)
    world, device, name = WORLDS[options.world](), pick_device(options.device), f"field-{options.world}"
    path = options.results / f"{name}.json"
    stored = recall(name, folder=options.results) if path.is_file() else {"entries": {}, "refused": world.refused}
    maml = Search(world, "maml", 1, device)
    operations = options.steps * next(maml.prices(maml.first()))
    wanted = [(row, steps) for row, steps in entries(options.rows) if row not in world.refused]
    for row, steps in tqdm(wanted, name, unit="entry"):
        before = stored["entries"].get(named(row, steps), {})
        if "final" in before:
            continue
        search = Search(world, row, steps, device, options.steps, operations)
        stored["entries"][named(row, steps)] = measure(search, options.seeds, before)
        record(name, stored | {"protocol": PROTOCOL, **environment(device)}, folder=options.results)
    print(path)


if __name__ == "__main__":
    main()
