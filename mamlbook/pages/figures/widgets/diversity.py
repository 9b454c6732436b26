"""The figure of the diversity dial: what several algorithms reach as the tasks grow from equal to different."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from mamlbook.evaluation import confidence
from mamlbook.pages.figures.styling import NAMES
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture
from mamlbook.pages.results import curves_of
from mamlbook.stored import RESULTS, recall

# The role of each run: what learns from scratch starts at random weights.
ROLES = {"maml": "maml", "fomaml": "fomaml", "reptile": "reptile", "joint": "joint", "scratch": "random"}
SINGLE = "third"  # the best single curve, which is no method


def recall_dial(rates: str = "runs", *, folder: Path = RESULTS) -> dict[str, Tensor]:
    """The errors of the stored task-diversity dial: role to (positions, seeds, S + 1), nan where not finite.

    ``rates`` is ``runs``, adapted at the rate of meta-training, or ``tuned``, at each run's own best rate.

    Raises:
        FileNotFoundError: no dial is stored.
    """
    stored = recall("diversity", folder=folder)[rates]
    return {role: torch.stack([curves_of(place, "new") for place in places]) for role, places in stored.items()}


def diversity_dial(
    result: Mapping[str, Any] | None = None,
    *,
    position: int | None = None,
    steps: int = 1,
    title: str = "A dial from equal to different tasks: which start is best where?",
    caption: str | None = None,
) -> Widget:
    """The figure in which a dial makes the tasks more different, and measured errors say which start serves them best.

    ``result`` is what ``experiments.diversity`` writes, by default the stored one. The figure reads the positions
    ``dial[i]`` (``position``, ``label`` and, if there, ``power``, the mean square of the targets, and ``spread``, the
    error of the best single curve for all tasks) and the errors
    ``runs[name][i]["error"][seed]["new"]`` after 0, 1, ... test steps, and if there the same under ``tuned``, with a
    rate of its own for each run. Means over seeds have the 95 % intervals of ``confidence``; algorithms whose intervals
    overlap tie; where a seed is not finite there is no mean. ``position`` (its number, by default the middle one)
    and ``steps`` are the first picture, which shows ``tuned`` if it is there.

    Raises:
        ValueError: a result that does not fit together, or a first picture that was not measured.
        FileNotFoundError: no result is stored.
    """
    data = _data(recall("diversity") if result is None else result)
    last = len(data["positions"]) - 1
    position = last // 2 if position is None else position
    for name, value, high in [("position", position, last), ("steps", steps, data["steps"])]:
        if value not in range(high + 1):
            raise ValueError(f"{name}: expected a whole number from 0 to {high}, got {value}")
    data["first"] = {"position": position, "steps": steps, "relative": False, "tuned": bool(data["tuned"])}
    labels, words = data["labels"], ", ".join(data["names"].values())
    alt = (
        f"Mean squared error over a dial of {last + 1} positions, from “{labels[0]}” to “{labels[-1]}”, "
        f"{_after(data)}; one curve each for {words}. {_lowest(data)}"
    )
    if caption is None:
        seeds = next(iter(data["errors"].values()))[0]["runs"]
        caption = (
            f"Every point is a mean over {seeds} trainings, the band around it the 95 % interval of that mean. All are "
            "tested on new tasks from the position that they were trained on. Where two intervals "
            "overlap, this figure does not decide."
        )
        if data["spread"]:
            caption += " Dotted: the best single curve for all tasks, which no start can beat before its first step."
    return widget("diversity", data, title=title, alt=alt, fallback=_still(data), caption=caption)


def _data(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the figure needs of a result; errors by role, position, seed and step are None where not finite."""
    if missing := {"dial", "runs"} - set(result):
        raise ValueError(f"result: expected the keys dial and runs, found none named {' or '.join(sorted(missing))}")
    dial = result["dial"]
    positions = [float(place["position"]) for place in dial]
    if len(positions) < 2 or any(one >= two for one, two in pairwise(positions)):
        raise ValueError(f"result['dial']: expected at least two positions in rising order, got {positions}")
    powers = [place["power"] for place in dial] if all("power" in place for place in dial) else None
    if powers and not all(0 < power < math.inf for power in powers):
        raise ValueError(f"result['dial']: expected powers above 0, got {powers}")
    errors = _intervals(result, "runs", len(dial))
    tuned = _intervals(result, "tuned", len(dial)) if "tuned" in result else None
    if tuned and set(tuned) != set(errors):
        raise ValueError(f"result['tuned']: expected the names of result['runs'], got {', '.join(result['tuned'])}")
    tables = [errors, tuned] if tuned else [errors]
    lengths = {len(place["mean"]) for table in tables for places in table.values() for place in places}
    if len(lengths) > 1:
        raise ValueError(f"result: expected as many errors in every curve, got {sorted(lengths)}")
    return {
        "positions": positions,
        "labels": [place["label"].replace(" %", "\N{NO-BREAK SPACE}%") for place in dial],
        "powers": powers,
        # A log axis has no place for 0, the spread of one task.
        "roles": {"single": SINGLE},
        "spread": [place["spread"] or None for place in dial] if all("spread" in place for place in dial) else None,
        "names": {role: NAMES[role] for role in errors},
        "errors": errors,
        "tuned": tuned,
        "steps": lengths.pop() - 1,
        "axes": [_axis(tables, sizes) for sizes in ([1.0] * len(dial), powers) if sizes],
    }


def _intervals(result: Mapping[str, Any], kind: str, number: int) -> dict[str, list[dict[str, Any]]]:
    """The intervals of ``runs`` or ``tuned`` by role and position, in the order of ROLES."""
    runs = result[kind]
    if not runs or set(runs) - set(ROLES):
        raise ValueError(f"result[{kind!r}]: expected names among {', '.join(ROLES)}, got {', '.join(runs) or 'none'}")
    found = {}
    for name, role in ROLES.items():
        if name not in runs:
            continue
        seeds = [[curves["new"] for curves in place["error"].values()] for place in runs[name]]
        if len(seeds) != number or min(map(len, seeds)) < 2:
            got = f"{len(seeds)} positions with {[*map(len, seeds)]} seeds"
            raise ValueError(f"result[{kind!r}][{name!r}]: expected {number} positions with 2 seeds or more, got {got}")
        if len(lengths := {len(curve) for curves in seeds for curve in curves}) > 1:
            raise ValueError(f"result[{kind!r}][{name!r}]: expected equally long curves, got {sorted(lengths)} errors")
        found[role] = [_interval(curves) for curves in seeds]
    return found


def _interval(curves: Sequence[Sequence[float | None]]) -> dict[str, Any]:
    """Mean and half-width over seeds after every step, None where a seed is not finite, and how many are not."""
    rows = [[math.nan if value is None else value for value in curve] for curve in curves]
    values = torch.tensor(rows, dtype=torch.float64)
    lost = (~values.isfinite()).sum(0).tolist()
    named = zip(("mean", "half"), confidence(values), strict=True)
    kept = {name: [None if n else v for v, n in zip(each.tolist(), lost, strict=True)] for name, each in named}
    return {**kept, "lost": lost, "runs": len(rows)}


def _axis(tables: Sequence[dict[str, list]], sizes: Sequence[float]) -> dict[str, list[float]]:
    """Domain and ticks of a log axis on which every interval lies, so that it stays while the reader looks around."""
    found = [
        (mean / size, half / size)
        for table in tables
        for places in table.values()
        for place, size in zip(places, sizes, strict=True)
        for mean, half in zip(place["mean"], place["half"], strict=True)
        if mean  # None where a run diverged; and a log axis has no place for 0
    ]
    if not found:
        return {"domain": [0.1, 10.0], "ticks": [0.1, 1.0, 10.0]}
    # A start that is about to diverge may lie any number of decades above the rest.
    high = min(max(mean + half for mean, half in found), 1e4 * median(mean for mean, _ in found))
    low = min(max(mean - half, mean / 2) for mean, half in found)
    room = 1.05 * (high / low) ** 0.05  # for the marks at the ends
    low, high = low / room, high * room
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1,) if high / low > 300 else (1, 2, 5) if high / low > 10 else (1, 1.5, 2, 3, 5, 7)
    ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
    return {"domain": [low, high], "ticks": [tick for tick in ticks if low <= tick <= high]}


def _after(data: dict[str, Any]) -> str:
    steps = data["first"]["steps"]
    own = ", each at its own best rate" if data["first"]["tuned"] else ""
    return f"after {steps} test step{'' if steps == 1 else 's'}{own}"


def _means(data: dict[str, Any], role: str) -> list[tuple[int, float, float]]:
    """Number of the position, mean and half-width in the first picture, where every seed is finite."""
    step = data["first"]["steps"]
    places = enumerate(data["tuned" if data["first"]["tuned"] else "errors"][role])
    return [(index, place["mean"][step], place["half"][step]) for index, place in places if not place["lost"][step]]


def _lowest(data: dict[str, Any]) -> str:
    """Who has the lowest mean at the two ends, for a reader who cannot see the picture."""
    means = {(index, role): mean for role in data["errors"] for index, mean, _ in _means(data, role)}
    words = []
    for index in (0, len(data["positions"]) - 1):
        here = {role: means[index, role] for role in data["errors"] if (index, role) in means}
        if here:
            best = min(here, key=here.__getitem__)
            words.append(f"At “{data['labels'][index]}” {data['names'][best]} has the lowest mean, {here[best]:.2g}.")
    return " ".join(words)


def _still(data: dict[str, Any]) -> str:
    """The first picture: errors over the dial, with a gap where there is no mean."""
    positions, axis = data["positions"], data["axes"][0]
    room = 0.04 * (positions[-1] - positions[0])
    label = f"mean squared error {_after(data)}"
    ends = (positions[0] - room, positions[-1] + room)
    panel = Panel(ends, tuple(axis["domain"]), positions, axis["ticks"], label, 320, log=True)
    names = dict(data["names"])
    if any(data["spread"] or []):
        known = [(x, value) for x, value in zip(positions, data["spread"], strict=True) if value]
        panel.curves.append((SINGLE, [x for x, _ in known], [value for _, value in known]))
        names[SINGLE] = "best single curve"
    for role in reversed(data["errors"]):
        places = _means(data, role)
        panel.points.extend((role, positions[index], mean) for index, mean, _ in places)
        for (i, one, half_one), (j, two, half_two) in pairwise(places):
            if j == i + 1:
                xs = [positions[i], positions[j]]
                panel.curves.append((role, xs, [one, two]))
                panel.bands.append((role, xs, [one - half_one, two - half_two], [one + half_one, two + half_two]))
    return still_picture([panel], names, "how different the tasks are")
