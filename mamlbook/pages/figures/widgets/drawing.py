"""The figure for drawing: three starts and a prototypical network learn, in the page, what the reader draws."""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mamlbook.devices import drawn_on_cpu
from mamlbook.inner import GradientDescent, PrototypeHead
from mamlbook.model import Model
from mamlbook.numerics import Params
from mamlbook.pages.figures.styling import INK, MUTED
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import WIDTH, Curve, Panel, still_picture
from mamlbook.stored import load_theta
from mamlbook.tasks.base import Data

ROLES = {"maml": "maml", "fomaml": "fomaml", "prototypes": "second", "random": "random"}
NAMES = {"maml": "MAML", "fomaml": "FOMAML", "prototypes": "prototypes", "random": "random start"}
WAYS, SIDE, STEPS = 3, 28, 10
BLOCKS = 3  # convolutions, each with a norm, before the head
TENSORS = 4 * BLOCKS + 2  # weight and bias of each
SHADES = 15  # between paper and ink in a stored drawing
FIRST_QUERY = 2  # which drawing of the first character is the first query: the two before it can be support


def network(filters: int = 16, seed: int = 0) -> nn.Sequential:
    """Three convolutions of stride 2 and a linear head: (K, 1, 28, 28) to (K, 3).

    Each convolution's output is normalised over the channels and pixels of its own picture, so that no picture changes
    what another one comes to.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    with drawn_on_cpu(seed):
        for number in range(1, BLOCKS + 1):
            layers[f"conv{number}"] = nn.Conv2d(1 if number == 1 else filters, filters, 3, stride=2, padding=1)
            layers[f"norm{number}"] = nn.GroupNorm(1, filters)
            layers[f"relu{number}"] = nn.ReLU()
        layers["flatten"] = nn.Flatten()
        layers["head"] = nn.Linear(filters * 4 * 4, WAYS)
    return nn.Sequential(layers)


def draw_characters(
    result: Mapping[str, Any],
    weights: Params,
    *,
    step: int = 3,
    title: str = "Draw three characters, then one of them again: which start learns them?",
    caption: str | None = None,
) -> Widget:
    """The figure in which the reader draws three characters and a query, and four starts learn them in the page.

    phi^{s+1} = phi^s - alpha grad L(phi^s) from each start, L the mean cross-entropy of the support drawings; the
    prototypical network takes no step, its head compares with the mean features of each character.

    ``result`` is what ``experiments.drawing`` stores: under ``methods`` the inner rate ``alpha`` of maml, fomaml,
    prototypes and random, and under ``episode`` the ``drawings`` that the figure begins with, 3 characters with at
    least 3 drawings each, as 784 hexadecimal digits. ``weights`` holds the starts of ``result["methods"]``, one after
    the other, 14 tensors each, in the order of ``network().parameters()``; the figure carries them in half precision
    and computes in float64. ``step``, of 0 to 10, is the first picture's number of inner steps.

    Raises:
        ValueError: an unknown method, weights of the wrong number or shape, drawings of another form, or a step out
            of range.
    """
    starts = _starts(list(result["methods"]), weights)
    drawings = _drawings(result["episode"]["drawings"])
    if step not in range(STEPS + 1):
        raise ValueError(f"step: expected a whole number from 0 to {STEPS}, got {step}")
    rates = {name: float(result["methods"][name]["alpha"]) for name in starts}
    data = _data(starts, rates) | {"drawings": drawings, "first": {"step": step, "query": FIRST_QUERY}}
    found = {name: probabilities(name, theta, rates[name], drawings) for name, theta in starts.items()}
    return widget(
        "drawing",
        data,
        title=title,
        alt=_alt(found, step),
        fallback=_still(found, drawings, step),
        caption=_about(rates) if caption is None else caption,
    )


def _data(starts: Mapping[str, Params], rates: Mapping[str, float]) -> dict[str, Any]:
    return {
        "roles": {name: ROLES[name] for name in starts},
        "names": {name: NAMES[name] for name in starts},
        "starts": {name: _encoded(theta) for name, theta in starts.items()},
        "rates": rates,
        "filters": len(next(iter(starts.values()))[1]),
        "steps": STEPS,
    }


def _about(rates: Mapping[str, float]) -> str:
    taken = ", ".join(f"{rate:g} ({NAMES[name]})" for name, rate in rates.items() if name != "prototypes")
    return (
        f"Every method has the same network and takes inner steps of its own searched rate: {taken}. Prototypes "
        "compare features and take none. A drawing is centred, brought to the size of Omniglot’s drawings, and "
        "made 28 by 28 pixels: the small picture is what the networks see. The drawings at the start are one "
        "episode of Omniglot (Lake, Salakhutdinov and Tenenbaum, MIT licence), of an alphabet that no method was "
        "trained on. Nothing leaves your device."
    )


def probabilities(method: str, theta: Params, alpha: float, drawings: Sequence[Sequence[str]]) -> list[list[float]]:
    """Of the first picture's query, after 0, 1, ..., S steps, the three characters' probabilities: (S + 1, 3)."""
    x = torch.stack([picture(one[0]) for one in drawings])[None]
    query = picture(drawings[0][FIRST_QUERY])[None, None]
    model = Model(load_theta(network(len(theta[1])), theta).double(), cross_entropy)
    solver = GradientDescent(alpha, STEPS)
    if method == "prototypes":
        solver = GradientDescent(0.0, STEPS, start=PrototypeHead())
    path = solver.path(model, Data(x, torch.arange(WAYS)[None]), unroll=0)
    return [model(at.phi, query).detach().softmax(-1)[0, 0].tolist() for at in path]


def picture(digits: str) -> Tensor:
    """A stored drawing as a picture with ink = 1: (1, 28, 28), float64."""
    return torch.tensor([int(digit, 16) / SHADES for digit in digits], dtype=torch.float64).view(1, SIDE, SIDE)


def _starts(methods: list[str], weights: Params) -> dict[str, Params]:
    """The weights of every method."""
    unknown = [name for name in methods if name not in ROLES]
    if unknown or not methods:
        raise ValueError(f"result: expected methods of {', '.join(ROLES)}, got {', '.join(unknown) or 'none'}")
    if len(weights) != TENSORS * len(methods):
        raise ValueError(
            f"weights: expected {TENSORS} tensors for each of {len(methods)} methods, got {len(weights)}; pass "
            "recall_weights('drawing')"
        )
    expected = [tuple(p.shape) for p in network(len(weights[1])).parameters()]
    starts = {name: tuple(weights[TENSORS * n : TENSORS * (n + 1)]) for n, name in enumerate(methods)}
    for name, theta in starts.items():
        if (shapes := [tuple(p.shape) for p in theta]) != expected:
            raise ValueError(f"weights: expected the shapes {expected} for {name}, got {shapes}")
        if not all(p.half().isfinite().all() for p in theta):
            raise ValueError(f"weights: expected numbers that half precision has, got nan or infinity for {name}")
    return {name: tuple(p.half().float() for p in theta) for name, theta in starts.items()}


def _drawings(given: Sequence[Sequence[str]]) -> list[list[str]]:
    """The stored drawings, after a look at their form."""
    if len(given) != WAYS or min(map(len, given)) <= FIRST_QUERY:
        counts = ", ".join(str(len(one)) for one in given)
        raise ValueError(f"episode: expected {WAYS} characters of at least {FIRST_QUERY + 1} drawings, got {counts}")
    for one in (digits for character in given for digits in character):
        if len(one) != SIDE**2 or not set(one) <= set("0123456789abcdef"):
            raise ValueError(f"episode: expected drawings of {SIDE**2} hexadecimal digits, got {one[:20]!r}...")
    return [list(character) for character in given]


def _encoded(theta: Params) -> str:
    """All weights of a start one after the other, little-endian float16, in base 64."""
    flat = np.concatenate([p.detach().cpu().numpy().ravel() for p in theta]).astype("<f2")
    return base64.b64encode(flat.tobytes()).decode()


def _alt(found: dict[str, list[list[float]]], step: int) -> str:
    """The first picture in words."""
    said = [f"{NAMES[name]} {100 * rows[step][0]:.0f}%" for name, rows in found.items()]
    return (
        "Three characters of Omniglot, one drawing of each, and a query, which is the first character drawn by "
        f"somebody else. Below, the probability that each method gives the first character after 0 to {STEPS} inner "
        f"steps on the three drawings. After {step}: {', '.join(said)}."
    )


def _still(found: dict[str, list[list[float]]], drawings: Sequence[Sequence[str]], step: int) -> str:
    """The first picture: the four drawings above the curves of the first character's probability."""
    steps = range(STEPS + 1)
    curves: list[Curve] = [(ROLES[name], steps, [row[0] for row in rows]) for name, rows in found.items()]
    label = "probability of the first character"
    panel = Panel((-0.2, STEPS + 0.2), (0, 1), steps, (0, 0.25, 0.5, 0.75, 1), label, 260, curves[::-1])
    panel.points.extend((ROLES[name], step, rows[step][0]) for name, rows in found.items())
    below = still_picture([panel], {ROLES[name]: NAMES[name] for name in found}, "inner steps")
    words = ["character 1", "character 2", "character 3", "query"]
    shown = [*(one[0] for one in drawings), drawings[0][FIRST_QUERY]]
    parts = []
    for number, (digits, name) in enumerate(zip(shown, words, strict=True)):
        left = 40 + 160 * number
        parts.append(f'<text x="{left}" y="16" fill="{INK}">{name}</text>')
        parts.append(f'<rect x="{left}" y="24" width="112" height="112" fill="none" stroke="{MUTED}"/>')
        parts.append(f'<path transform="translate({left} 24) scale(4)" d="{_dark(digits)}" fill="{INK}"/>')
    height = int(below.split('height="')[1].split('"')[0])
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height + 144}"'
    head += f' viewBox="0 0 {WIDTH} {height + 144}" font-family="sans-serif" font-size="13">'
    nested = below.replace("<svg ", '<svg y="144" ', 1)
    return f'{head}<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}{nested}</svg>'


def _dark(digits: str) -> str:
    """The pixels that are more than half ink, as the outline of their runs along each row."""
    runs = []
    for number, digit in enumerate(digits):
        row, column = divmod(number, SIDE)
        if int(digit, 16) > SHADES / 2:
            runs.append(f"M{column} {row}h1v1h-1z")
    return "".join(runs)
