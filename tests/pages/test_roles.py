"""A role looks alike everywhere, and nothing else looks like it: what figures say of a look belongs to its role."""

import importlib
import pkgutil
import re

import pytest
import torch
from matplotlib.colors import to_hex
from torch.nn.functional import mse_loss

from figure_data import MAKERS, figure
from mamlbook import Model, Sinusoids, mlp
from mamlbook.algorithms.closed_form import kernel_ridge
from mamlbook.pages import figures, recall
from mamlbook.pages.figures import styling, widgets
from mamlbook.pages.figures.widgets.still import still_picture
from shown import payload

WORDLESS = {"comparison", "guide", "quiz", "verdicts"}  # no curves, and so no legend
every_figure = pytest.mark.parametrize("kind", MAKERS)
every_drawing = pytest.mark.parametrize("kind", [kind for kind in MAKERS if kind not in WORDLESS])

# What words of a legend speak of a role.
OF_ROLES = {
    "maml": r"\bMAML|meta-learned",
    "joint": r"\bjoint",
    "random": r"\brandom",
    "fomaml": r"\bFOMAML|first-order",
    "reptile": r"\bReptile",
    "imaml": r"\biMAML",
    "truth": r"\btrue|\bwave\b|\btarget",
    "support": r"\bsupport|\bpoints|\bexamples",
    "query": r"\bquery|\bqueries",
    "theta": r"\bstart|θ",
    "task1": r"\btask 1",
    "task2": r"\btask 2",
}

# What may be said of a role in one figure alone, and why it is the role that is meant.
EXCEPTIONS = {
    ("context", "maml"): (r"gradient steps", "MAML's inner loop, from the start zero"),
    ("diagnosis", "maml"): (r"this training", "MAML's, like every training of the figure"),
    ("drift", "maml"): (r"start θ", "the start that MAML follows the target with"),
    ("kink", "theta"): (r"weight", "theta is the one weight of the model"),
    ("memory", "truth"): (r"MAML, unlimited points", "where the curves beside it would end without chance"),
    ("navigation", "support"): (r"goal", "the point that makes a task, and which the reader moves"),
    ("pattern", "maml"): (r"this pattern", "MAML's start adapts"),
    ("pattern", "query"): (r"error on the (whole )?wave", "the queries are the whole wave"),
    ("prior", "maml"): (r"gradient steps", "MAML's inner loop, from the start theta"),
    ("prior", "truth"): (r"posterior of the tasks", "what is true of a task, by the prior that tasks are drawn from"),
    ("weights", "theta"): (r"optima of the tasks, and steps S", "what the reader moves"),
}

# Handles, starts and points say themselves what they are, where the reader holds them.
HELD = {"theta", "support", "query"}

# The roles of the legend's signs with their words, and of all that is drawn beside it.
SIGNS = """figure => {
    const roles = (node) => [node, ...node.querySelectorAll("*")].flatMap((one) => ["fill", "stroke"].flatMap(
        (name) => [...(one.getAttribute(name) || "").matchAll(/var\\(--mb-(\\w+)\\)/g)].map((found) => found[1])));
    const entries = [...figure.querySelectorAll(".mb-legend .mb-entry")];
    const plots = [...figure.querySelectorAll(".mb-plot")];
    return {
        said: entries.flatMap((entry) => roles(entry).map((role) => [role, entry.textContent])),
        drawn: plots.flatMap(roles),
    };
}"""


def wrong(kind: str, said: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The roles with words that speak of something else."""
    found = []
    for role, words in said:
        if role in styling.COLOURS:
            allowed = "|".join([OF_ROLES[role], *EXCEPTIONS.get((kind, role), ())[:1]])
            found += [] if re.search(allowed, words, re.IGNORECASE) else [(role, words)]
    return found


def roles_alone(drawn: set[str], said: list[tuple[str, str]]) -> set[str]:
    """The roles that are drawn and that no legend names."""
    return (drawn & styling.COLOURS.keys()) - HELD - {role for role, _ in said}


def still_of(kind: str, monkeypatch) -> tuple[list, list[tuple[str, str]]]:
    """The panels of a figure's still picture, and its legend."""
    pictures = []

    def keep(panels, legend, x_label):
        pictures.append((list(panels), list(legend.items())))
        return still_picture(panels, legend, x_label)

    for module in pkgutil.iter_modules(widgets.__path__):
        found = importlib.import_module(f"{widgets.__name__}.{module.name}")
        if module.name != "still" and hasattr(found, "still_picture"):
            monkeypatch.setattr(found, "still_picture", keep)
    MAKERS[kind]()
    panels = [panel for panels, _ in pictures for panel in panels]
    return panels, [entry for _, legend in pictures for entry in legend]


@every_figure
def test_a_method_alone_has_the_look_of_its_role(kind):
    names = {"scratch": "random", "exact": "truth"}  # what the figure's data call the role
    for name, role in payload(figure(kind).html).get("roles", {}).items():
        assert role in (names.get(name, name), *styling.NEUTRAL), name


@every_drawing
def test_the_legend_says_of_a_look_what_belongs_to_its_role(show, kind):
    with show(figure(kind)) as shown:
        signs = shown.figure.evaluate(SIGNS)
    assert signs["said"]
    assert wrong(kind, signs["said"]) == []
    assert roles_alone(set(signs["drawn"]), signs["said"]) == set()


@every_drawing
def test_the_still_legend_says_of_a_look_what_belongs_to_its_role(monkeypatch, kind):
    panels, said = still_of(kind, monkeypatch)
    drawn = {role for panel in panels for part in ("curves", "points", "bands") for role, *_ in getattr(panel, part)}
    assert wrong(kind, said) == []
    assert roles_alone(drawn, said) == set()


@pytest.mark.parametrize("exception", EXCEPTIONS, ids="-".join)
def test_every_exception_is_needed(show, monkeypatch, exception):
    kind, role = exception
    with show(figure(kind)) as shown:
        said = shown.figure.evaluate(SIGNS)["said"] + still_of(kind, monkeypatch)[1]
    pattern = EXCEPTIONS[exception][0]
    own = [words for other, words in said if other == role and re.search(pattern, words, re.IGNORECASE)]
    assert any(not re.search(OF_ROLES[role], words, re.IGNORECASE) for words in own)


def bright_colours(fig) -> set[str]:
    """Every colour that is drawn and that only roles have: not the ink and greys that neutral looks share with some."""
    artists = fig.findobj()
    artists += [part for part in (getattr(artist, "arrow_patch", None) for artist in artists) if part is not None]
    found = set()
    for artist in artists:
        for name in ("get_color", "get_edgecolor", "get_facecolor", "get_markerfacecolor"):
            colours = getattr(artist, name, list)()
            rows = [colours] if isinstance(colours, str | tuple) else colours
            found |= {to_hex(row).upper() for row in rows if not isinstance(row, str) or row != "none"}
    neutral = {colour for colour, _, _ in styling.NEUTRAL.values()}
    return found & set(styling.COLOURS.values()) - neutral


def ridge_fits():
    return figures.fits(kernel_ridge(Model(mlp(1, 4, 1, seed=0), mse_loss)), Sinusoids(), (2,))


STILLS = {
    "dots": (lambda: figures.dots({"1": torch.tensor([1.0, 2.0])}, "x", "y", {1.5: "limit"}), {"maml"}),
    "heat": (lambda: figures.heat(torch.tensor([[1.0, 2.0]]), ["a"], ["a", "b"], "y", "x", "t"), set()),
    "fits": (ridge_fits, {"truth"}),
    "unrolled": (figures.unrolled, {"maml", "query"}),
    "two loops": (figures.two_loops, {"maml", "query"}),
    "conflict": (lambda: figures.conflict(torch.tensor([[-4.0, 0.5], [1.5, 1.5]]), c=0.6), {"task1", "task2", "maml"}),
    "race": (lambda: figures.race(recall("meta-step"), ["sine-5"]), set()),
    "scaling": (lambda: figures.scaling(recall("meta-step"), ["sine-1", "sine-5"], "steps"), set()),
    "widths": (lambda: figures.widths(recall("cost")), set()),
    "lines": (lambda: figures.panels([1.0, 2.0], {"": {n: torch.ones(2) for n in "abcd"}}, "x"), set()),
}


@pytest.mark.parametrize("name", STILLS)
def test_a_picture_has_the_colours_of_its_roles_alone(name):
    make, roles = STILLS[name]
    assert bright_colours(make()) == {styling.COLOURS[role] for role in roles}


def contrast(one: str, other: str) -> float:
    """The ratio of two colours' luminances, as WCAG 2 defines it."""
    bright = []
    for colour in (one, other):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        bright.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
    return max(bright) / min(bright)


def test_every_look_is_seen_on_both_backgrounds():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    light = styling.COLOURS | {name: colour for name, (colour, _, _) in styling.NEUTRAL.items()}
    for colours, background in [(light, "#ffffff"), (styling.DARK_COLOURS | styling.DARK_NEUTRAL, "#121212")]:
        assert {name: colour for name, colour in colours.items() if contrast(colour, background) < 3} == {}


def test_neutral_looks_are_told_apart_without_colour():
    for part in (1, 2):
        assert len({look[part] for look in styling.NEUTRAL.values()}) == len(styling.NEUTRAL)
