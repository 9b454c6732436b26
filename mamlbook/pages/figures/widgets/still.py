"""The still picture of an interactive figure: curves and points as an SVG text that is the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape

from mamlbook.pages.figures.styling import COLOURS, GRID, INK, MUTED, look

WIDTH = 680
LEFT, RIGHT, GAP = 40, 16, 7

Curve = tuple[str, Sequence[float], Sequence[float]]
"""A role, xs and ys."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes: domains and ticks, curves as (role, xs, ys), points as (role, x, y), a name for the y axis.

    ``contours`` are thin curves below the others.
    Bands are (role, xs, lows, highs); ``log`` makes the y axis logarithmic.
    """

    x_domain: tuple[float, float]
    y_domain: tuple[float, float]
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]
    label: str
    height: int
    curves: list[Curve] = field(default_factory=list)
    points: list[tuple[str, float, float]] = field(default_factory=list)
    contours: list[Curve] = field(default_factory=list)
    bands: list[tuple[str, Sequence[float], Sequence[float], Sequence[float]]] = field(default_factory=list)
    log: bool = False
    x_names: Sequence[str] = ()
    """The words at the ticks of the x axis, if they are not their numbers."""
    left: float = LEFT
    """The pixel at which the axes begin."""

    def x(self, value: float) -> float:
        """The pixel of a value on the x axis."""
        low, high = self.x_domain
        return self.left + (value - low) / (high - low) * (WIDTH - self.left - RIGHT)

    def y(self, value: float) -> float:
        """The pixel of a value on the y axis, inside the panel; values outside the axis stay near it."""
        low, high = self.y_domain
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(max(value, low))
        share = min(2.0, max(-1.0, (high - value) / (high - low)))
        return 24 + share * (self.height - 24 - 24)


def still_picture(panels: Sequence[Panel], legend: dict[str, str], x_label: str) -> str:
    """Panels one above the other under a legend (role to words), as the text of an SVG 680 pixels wide."""
    lines = {role for panel in panels for role, *_ in panel.curves}
    rows, body = _legend(legend, lines)
    top = 22 * rows + 4
    longest = max((len(_tick(tick)) for panel in panels for tick in panel.y_ticks), default=0)
    left = max(LEFT, GAP + 8 * longest)  # pixels, of a wide digit
    for number, panel in enumerate(replace(panel, left=left) for panel in panels):
        body.append(f'<g transform="translate(0 {top})">{_panel(panel, f"clip{number}")}</g>')
        top += panel.height
    body.append(_text(WIDTH - RIGHT, top + 10, x_label, "end", INK))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + 18}" viewBox="0 0 {WIDTH} {top + 18}"'
    )
    head += ' font-family="sans-serif" font-size="13"><rect width="100%" height="100%" fill="#fff"/>'
    return f"{head}{''.join(body)}</svg>"


def _legend(legend: dict[str, str], lines: set[str]) -> tuple[int, list[str]]:
    """The number of rows and the drawn entries, only a marker where nothing is a line; letters are 7.5 pixels wide."""
    x: float = LEFT
    row, body = 1, []
    for role, words in legend.items():
        width = 40 + 7.5 * len(words) + 16
        if x + width > WIDTH and x > LEFT:
            x, row = LEFT, row + 1
        y = 22 * row - 8
        if role in ("support", "query", "theta") or role not in lines:
            body.append(_marker(role, x + 22, y))
        else:
            body.append(_stroke(role, [(x, y), (x + 32, y)]) + _marker(role, x + 16, y))
        body.append(_text(x + 40, y + 4.5, words, "start", INK))
        x += width
    return row, body


def _panel(panel: Panel, clip: str) -> str:
    """Axes, then curves cut at the axes' frame, then points."""
    bottom, right = panel.height - 24, WIDTH - RIGHT
    parts = [_text(2, 14, panel.label, "start", INK)]
    for tick in panel.y_ticks:
        y = panel.y(tick)
        parts.append(f'<path d="M{panel.left} {y:.1f}H{right}" stroke="{GRID}"/>')
        parts.append(_text(panel.left - GAP, y + 4.5, _tick(tick), "end", MUTED))
    parts.append(f'<path d="M{panel.left} {bottom}H{right}" stroke="{MUTED}"/>')
    names = panel.x_names or map(_tick, panel.x_ticks)
    ticks = zip(panel.x_ticks, names, strict=True)
    parts += [_text(panel.x(tick), bottom + 17, name, "middle", MUTED) for tick, name in ticks]
    box = f'<rect x="{panel.left}" y="24" width="{right - panel.left}" height="{bottom - 24}"/>'
    parts.append(f'<clipPath id="{clip}">{box}</clipPath><g clip-path="url(#{clip})">')
    for role, xs, ys in panel.contours:
        points = " ".join(f"{panel.x(x):.1f},{panel.y(y):.1f}" for x, y in zip(xs, ys, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[role]}" stroke-opacity="0.4"/>')
    for role, xs, lows, highs in panel.bands:
        around = [*zip(xs, lows, strict=True), *reversed([*zip(xs, highs, strict=True)])]
        points = " ".join(f"{panel.x(x):.1f},{panel.y(y):.1f}" for x, y in around)
        parts.append(f'<polygon points="{points}" fill="{look(role)[0]}" fill-opacity="0.16"/>')
    for role, xs, ys in panel.curves:
        parts.append(_stroke(role, [(panel.x(x), panel.y(y)) for x, y in zip(xs, ys, strict=True)]))
    parts.append("</g>")
    parts += [_marker(role, panel.x(x), panel.y(y), 5.5) for role, x, y in panel.points]
    return "".join(parts)


def _stroke(role: str, pixels: list[tuple[float, float]]) -> str:
    colour, dashes, _ = look(role)
    dash = " ".join(map(str, dashes))
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels)
    pattern = f' stroke-dasharray="{dash}"' if dash else ""
    pen = f'fill="none" stroke="{colour}" stroke-width="2.5" stroke-linecap="round"'
    return f'<polyline points="{points}" {pen}{pattern}/>'


def _marker(role: str, x: float, y: float, radius: float = 4.5) -> str:
    r = radius
    shapes = {
        "circle": f"M{-r} 0a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z",
        "square": f"M{-r} {-r}H{r}V{r}H{-r}Z",
        "triangle": f"M0 {-1.25 * r}L{1.25 * r} {r}H{-1.25 * r}Z",
        "diamond": f"M0 {-1.25 * r}L{1.25 * r} 0L0 {1.25 * r}L{-1.25 * r} 0Z",
        "cross": f"M{-r} {-r}L{r} {r}M{-r} {r}L{r} {-r}",
    }
    colour, _, marker = look(role)
    if marker == "none":
        return ""
    stroke = f'stroke="{colour}" stroke-width="3"' if marker == "cross" else 'stroke="#fff"'
    return f'<path transform="translate({x:.1f} {y:.1f})" d="{shapes[marker]}" fill="{colour}" {stroke}/>'


def _text(x: float, y: float, words: str, anchor: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(words)}</text>'


def _tick(value: float) -> str:
    return f"{value:g}".replace("-", "\u2212")
