"""The figure of a tuned rate: a loss after S steps as a function of the inner rate, and how far its slope spans."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from mamlbook.pages.figures.widgets.base import Widget, widget
from mamlbook.pages.figures.widgets.still import Panel, still_picture

COUNT = 20  # directions
LOW, HIGH = 0.0, 3.0  # of the inner rate
ENDS = [0.1, 2.5]  # starts of the rate, one too small and one too large
STEPS = [1, 2, 3, 5, 10, 20, 40, 80]
FLATTEST = 0.05, 0.3
ROLES = {"loss": "first", "logarithm": "second", "part": "third"}  # no methods: curves of one loss

CAPTION = (
    "A quadratic loss with 20 curvatures h, evenly spaced up to 1, and equal coordinates of the start. Left: the loss "
    "after S steps over the loss before, of F and of each direction, which keeps (1 − αh)²ˢ. Right: the sizes of the "
    "slopes of F and of log F / S in α; both change their sign at the best rate. Both axes count powers of ten: 0 is 1."
)


def rate_slopes(
    alpha: float = 0.5,
    steps: int = 80,
    low: float = 0.1,
    *,
    title: str = "The slope of F spans powers of ten, that of its logarithm does not",
    caption: str = CAPTION,
) -> Widget:
    """The figure in which the inner rate is tuned through the loss F after S steps, or through log F / S.

    F(alpha) = 1/2 sum_i theta_i^2 h_i (1 - alpha h_i)^(2S) has 20 curvatures h_i from ``low`` to 1, S = ``steps`` and
    theta_i^2 = 1/20. The figure shows F at every rate, what each direction keeps, the size of both slopes, and the
    outer rate (alpha - best) / slope with which one step of descent would arrive at the best inner rate.

    Raises:
        ValueError: ``alpha`` outside [0, 3], ``steps`` not among those of the slider, or ``low`` outside [0.05, 0.3].

    References:
        [Wang et al., 2021](https://arxiv.org/abs/2006.16495).
    """
    for name, value, least, most in [("alpha", alpha, LOW, HIGH), ("low", low, *FLATTEST)]:
        if not least <= value <= most:
            raise ValueError(f"{name}: expected {least:g} to {most:g}, got {value}")
    if steps not in STEPS:
        raise ValueError(f"steps: expected one of {', '.join(map(str, STEPS))}, got {steps}")
    first = {"alpha": float(alpha), "steps": int(steps), "low": float(low)}
    data = {"first": first, "count": COUNT, "range": [LOW, HIGH], "ends": ENDS, "steps": STEPS, "roles": ROLES}
    return widget("rates", data, title=title, alt=_alt(first), fallback=_still(first), caption=caption)


def _losses(first: dict[str, Any], alpha: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """At every rate: what each direction keeps of its loss, F over F(0), and the slopes of F and of log F / S."""
    h, S = torch.linspace(first["low"], 1, COUNT, dtype=torch.float64), first["steps"]
    kept = (1 - alpha[:, None] * h) ** (2 * S)
    slope = -S * (h**2 * (1 - alpha[:, None] * h) ** (2 * S - 1)).mean(1)
    loss = (h * kept).mean(1) / 2
    return kept, loss / (h.mean() / 2), slope, slope / loss / S


def _powers(values: Tensor) -> list[float]:
    """Powers of ten of the sizes, with a floor far below every axis."""
    return values.abs().clamp_min(1e-300).log10().tolist()


def _alt(first: dict[str, Any]) -> str:
    _, loss, slope, log_slope = (one[0] for one in _losses(first, torch.tensor([first["alpha"]], dtype=torch.float64)))
    ends = _losses(first, torch.tensor(ENDS, dtype=torch.float64))
    sizes = [f"{one[0].abs():.2g} and {one[1].abs():.2g}" for one in ends[2:]]
    return (
        f"Over the inner rate α, the loss after {first['steps']} steps over the loss before, and below it the sizes of "
        f"two slopes. At α = {first['alpha']:g} the ratio is {loss:.2g}, the slope of F is {slope:.2g} and that of "
        f"log F / S is {log_slope:.2g}. At the rates {ENDS[0]:g} and {ENDS[1]:g} the slope of F has the sizes "
        f"{sizes[0]}, that of log F / S {sizes[1]}."
    )


def _still(first: dict[str, Any]) -> str:
    """The first picture."""
    alpha = torch.linspace(LOW, HIGH, 301, dtype=torch.float64)
    kept, loss, slope, log_slope = _losses(first, alpha)
    xs, ticks = alpha.tolist(), (0, 0.5, 1, 1.5, 2, 2.5, 3)
    most, flattest, least = (math.log10(one) for one in (kept[-1, -1], kept[-1, 0], loss.min()))
    least = min(least, max(flattest, 1.6 * least))
    step = next(one for one in (0.2, 0.5, 1, 2, 5, 10, 20) if (most - least) / one <= 8)
    low, high = math.floor(least / step), math.ceil(most / step)
    y_ticks = [round(step * number, 1) for number in range(low, high + 1)]
    above = Panel((LOW, HIGH), (y_ticks[0], y_ticks[-1]), ticks, y_ticks, "loss after / before, as a power of ten", 270)
    above.curves.extend((ROLES["part"], xs, _powers(part)) for part in (kept[:, 0], kept[:, -1]))
    above.curves.append((ROLES["loss"], xs, _powers(loss)))
    label = "size of the slope, as a power of ten"
    below = Panel((LOW, HIGH), (-50, 50), ticks, (-40, -20, 0, 20, 40), label, 250)
    below.curves.append((ROLES["loss"], xs, _powers(slope)))
    below.curves.append((ROLES["logarithm"], xs, _powers(log_slope)))
    for panel in (above, below):
        panel.curves.append(("theta", [first["alpha"]] * 2, list(panel.y_domain)))
    names = {
        ROLES["loss"]: "F, and its slope",
        ROLES["logarithm"]: "slope of log F / S",
        ROLES["part"]: "flattest, steepest",
    }
    return still_picture([above, below], names, "inner rate α")
