"""The figure of a context: what layers of linear attention answer beside what as many gradient steps predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mamlbook.algorithms import maml
from mamlbook.model import Model
from mamlbook.networks import linear
from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture
from mamlbook.tasks.base import Data
from mamlbook.tasks.quadratic import half_squared_error

LOW, HIGH, TOP, MOST = -2.0, 2.0, 3.0, 12
ROLES = {"attention": "second", "softmax": "third"}  # no methods: layers of a transformer
POINTS = ((-1.7, -0.6), (-1.0, -0.9), (-0.3, 0.6), (0.4, 0.7), (1.0, 2.0), (1.6, 1.7))

CAPTION = (
    "The examples (x, y) are tokens ((1, x), y). A layer of linear attention takes from the last entry of every token "
    "α/K times the sum over the K examples of inner product times last entry. Squares: what the layers answer at 17 "
    "values of x. Thick line: gradient descent from zero on the mean squared error / 2, with as many steps. Softmax in "
    "the place of the inner products makes of the same scores a weighted mean of the y."
)


def attention_context(
    points: Sequence[Sequence[float]] = POINTS,
    alpha: float = 0.3,
    layers: int = 2,
    question: float = -0.5,
    *,
    title: str = "Layers of attention, steps of gradient descent",
    caption: str | None = None,
) -> Widget:
    """The figure in which K examples of a line stand in the context of linear attention.

    Tokens are (f, r) with f = (1, x); r is y for an example and 0 for a question, and each of the ``layers`` takes

        r_j <- r_j - alpha / K sum_i <f_i, f_j> r_i,   i = 1..K over the examples.

    The answer -r at the ``question`` is the prediction of w . f after as many gradient steps of size ``alpha`` from
    w = 0 on the mean squared error / 2. Beside them is one softmax head, sum_i softmax_i(<f_i, f>) y_i.

    ``points`` are 1 to 12 pairs, x in [-2, 2] and y in [-3, 3]; ``alpha`` in [0, 1], ``layers`` of 0 to 20.

    Raises:
        ValueError: an argument outside what the figure shows.

    References: [von Oswald et al., 2023](https://arxiv.org/abs/2212.07677).
    """
    for name, value, low, high in (
        ("alpha", alpha, 0, 1),
        ("layers", layers, 0, 20),
        ("question", question, LOW, HIGH),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name}: expected {low:g} to {high:g}, got {value}")
    pairs = [[float(number) for number in point] for point in points]
    fits = all(len(point) == 2 and abs(point[0]) <= HIGH and abs(point[1]) <= TOP for point in pairs)
    if not (fits and 1 <= len(pairs) <= MOST):
        raise ValueError(f"points: expected 1 to {MOST} pairs with x in [-2, 2] and y in [-3, 3], got {pairs}")
    first = {"points": pairs, "alpha": float(alpha), "layers": int(layers), "question": float(question)}
    alt = (
        f"{len(pairs)} examples (x, y), the straight line that {layers} gradient steps of size {alpha:g} from zero "
        "give, the answers of as many layers of linear attention as squares on that line, and the curve of one softmax "
        "head, which stays between the smallest and the largest y."
    )
    caption = CAPTION if caption is None else caption
    data = {"first": first, "roles": ROLES}
    return widget("context", data, title=title, alt=alt, fallback=_still(first), caption=caption)


def _features(x: Tensor) -> Tensor:
    return torch.stack([torch.ones_like(x), x], -1)


def _still(first: dict[str, Any]) -> str:
    """The first picture, whose line is the package's and whose squares are the layers'."""
    x, y = torch.tensor(first["points"], dtype=torch.float64).T
    grid = torch.linspace(LOW, HIGH, 81, dtype=torch.float64)
    model = Model(linear([0.0, 0.0]), lambda y_hat, y: half_squared_error(y_hat, y) / len(y))
    at = maml(model, first["alpha"], first["layers"]).adapt(Data(_features(x)[None], y[None, :, None]))
    line = at.predict(at.phi, _features(grid)[None]).flatten()
    weights = (_features(grid) @ _features(x).T).softmax(-1)
    asked = LOW + (HIGH - LOW) * (torch.arange(17, dtype=torch.float64) + 0.5) / 17
    answers = attended(x, y, asked, first["alpha"], first["layers"])
    panel = Panel((LOW, HIGH), (-TOP, TOP), (-2, -1, 0, 1, 2), (-3, -2, -1, 0, 1, 2, 3), "y", 330)
    panel.curves.extend(
        [("maml", grid.tolist(), line.tolist()), (ROLES["softmax"], grid.tolist(), (weights @ y).tolist())]
    )
    inside = answers.abs() <= TOP
    attention = ROLES["attention"]
    panel.points.extend(
        (attention, *pair) for pair in zip(asked[inside].tolist(), answers[inside].tolist(), strict=True)
    )
    panel.points.extend(("support", *pair) for pair in first["points"])
    names = {"maml": "gradient steps", ROLES["softmax"]: "one softmax head", attention: "linear attention"}
    return still_picture([panel], {**names, "support": "examples"}, "x")


def attended(x: Tensor, y: Tensor, asked: Tensor, alpha: float, layers: int) -> Tensor:
    """What the layers answer at the points that are asked, (n,); the examples x and y are (K,)."""
    tokens, entries = _features(torch.cat([x, asked])), torch.cat([y, torch.zeros_like(asked)])
    scores = tokens @ tokens[: len(x)].T
    for _ in range(layers):
        entries = entries - alpha * (scores @ entries[: len(x)]) / len(x)
    return -entries[len(x) :]
