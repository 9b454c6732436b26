"""The figure in which the reader is the doctor: a training with one mistake, a healthy one, and eight diagnoses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture

HEALTHY = "nothing is wrong"
ROLES = {"healthy": "second"}  # a training like the others, beside which they are seen

# In the order in which the trainings come; each with its symptom, its cause and its cure.
TEXTS: dict[str, tuple[str, str, str]] = {
    "outer rate a hundred times too large": (
        "the training loss falls faster than the healthy one at first; then, all at once, it leaves the picture by "
        "many orders of magnitude.",
        "An outer step throws θ so far that the next inner loop explodes.",
        "divide β by ten until the loss falls smoothly.",
    ),
    "four episodes, again and again": (
        "the training loss falls faster and lower than the healthy one, and new tasks are worse, before the first step "
        "most of all.",
        "θ learns the points of the four episodes.",
        "new points, more tasks; judge on tasks that were never trained on.",
    ),
    "inner rate ten times too large": (
        "the training loss hardly falls, and on new tasks no number of steps helps.",
        "The inner steps overshoot: α is above two over the largest curvature, and the outer loop can only flatten the "
        "network.",
        "a smaller α, or learned rates that begin small.",
    ),
    "create_graph forgotten": (
        "almost nothing: the loss falls, only less, and new tasks are learned, only less well.",
        "The inner gradients have no graph, so that this is FOMAML.",
        "compare a meta-gradient with a finite difference, in a test.",
    ),
    "outer rate a hundred times too small": (
        "the training loss stays where it was, and the error on new tasks is that of a random start.",
        "θ hardly moves.",
        "multiply β by ten until the loss falls, then by ten until it does not.",
    ),
    "loss summed over the examples": (
        "the training loss begins ten times too high, and on new tasks a few steps more than were trained blow up.",
        "A sum over ten examples is ten times the mean, and so is every inner step.",
        "reduction='mean'; then α means the same for any number of shots.",
    ),
    "one task per meta-step": (
        "the training loss wanders up and down by a factor of five and more, and new tasks gain little.",
        "One task is a poor estimate of their mean.",
        "a larger meta-batch, or a smaller β for longer.",
    ),
    "inner rate ten times too small": (
        "the loss falls a little, and on new tasks each further step helps next to nothing.",
        "The steps are too short to adapt, so that this is nearly joint training.",
        "a larger α, or more steps.",
    ),
}


def failure_diagnosis(
    measured: Mapping[str, Any],
    seed: int = 0,
    *,
    title: str = "What is wrong with this training?",
    caption: str | None = None,
) -> Widget:
    """The figure of ``experiments.failures``: for each mistake the training loss and the error on new tasks.

    ``measured`` is the stored result, of which one ``seed`` is shown.

    Raises:
        ValueError: ``measured`` has other cases than the figure has words for, or no such seed.
    """
    cases = measured["cases"]
    if set(cases) != {HEALTHY, *TEXTS}:
        raise ValueError(f"measured: expected the cases {[HEALTHY, *TEXTS]}, got {list(cases)}")
    seeds = len(cases[HEALTHY]["loss"])
    if not 0 <= seed < seeds:
        raise ValueError(f"seed: expected 0 to {seeds - 1}, got {seed}")
    of_seed = {name: {kind: case[kind][seed] for kind in ("loss", "error")} for name, case in cases.items()}
    iterations = measured["training"]["iterations"]
    words = ("symptom", "cause", "cure")
    data = {
        "cases": [{"name": name, **of_seed[name], **dict(zip(words, TEXTS[name], strict=True))} for name in TEXTS],
        "names": sorted(TEXTS),
        "healthy": of_seed[HEALTHY],
        "iterations": iterations,
        "window": measured["training"]["window"],
        "ticks": [iterations * share // 4 for share in range(5)],
        "first": {"patient": 0, "guess": None},
        "roles": ROLES,
    }
    first = next(iter(TEXTS))
    alt = f"Two panels. In the upper one, over the meta-steps: with {first}, {TEXTS[first][0]} The healthy training "
    alt += "falls from about 3 to 1. In the lower one, the error of both on new tasks over the inner steps."
    if caption is None:
        caption = (
            "Eight trainings with one mistake each, and one without: sine waves, three inner steps, the same seed. "
            "Above, the query loss while training; below, the error on new waves after 0 to 12 steps."
        )
    return widget("diagnosis", data, title=title, alt=alt, fallback=_still(data), caption=caption)


def _still(data: dict[str, Any]) -> str:
    """The first picture."""
    end, last = data["iterations"], len(data["healthy"]["error"]) - 1
    heights, steps = (0.3, 1, 3, 10, 30, 100, 300), range(0, last + 1, 3)
    losses = Panel((0, end), (0.3, 300), data["ticks"], heights, "query loss in training", 260, log=True)
    errors = Panel((0, last), (0.3, 100), steps, heights[:-1], "error on new tasks", 240, log=True)
    for panel, kind, places in (
        (losses, "loss", [(i + 0.5) * data["window"] for i in range(len(data["healthy"]["loss"]))]),
        (errors, "error", range(last + 1)),
    ):
        for role, one in ((ROLES["healthy"], data["healthy"]), ("maml", data["cases"][0])):
            pairs = [(x, y) for x, y in zip(places, one[kind], strict=True) if y is not None]
            if pairs:
                panel.curves.append((role, [x for x, _ in pairs], [y for _, y in pairs]))
    return still_picture([losses, errors], {"maml": "this training", ROLES["healthy"]: "a healthy one"}, "inner steps")
