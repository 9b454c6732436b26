"""One interactive figure: data from Python, a script of its own, the common toolkit and a still picture, as one HTML.

A figure of kind ``k`` is the file ``k.js`` beside this one, and ``k.css`` if it needs rules of its own. Its output
carries everything it needs, so it works in a page of the book, in a notebook and in an output frame alike. The same
arguments always give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any
from urllib.parse import quote

from mamlbook.pages.figures.styling import COLOURS, DARK_COLOURS, DARK_NEUTRAL, NEUTRAL, look

# The dark theme beyond the colours of the roles; kit.css has the light one.
DARK_SURFACES = {
    "surface": "var(--pst-color-background, #121212)",
    "text": "var(--pst-color-text-base, #e6e9ed)",
    "muted": "var(--pst-color-text-muted, #a9b1bb)",
    "line": "#434a53",
    "grid": "#2b3138",
    "control": "#262c33",
    "hover": "#343b44",
    "accent": DARK_COLOURS["maml"],
}

# Where a page says that it is dark: the book's theme, Colab, Jupyter, VS Code.
DARK_PAGES = [
    'html[data-theme="dark"]',
    'html[theme="dark"]',
    'body[data-jp-theme-light="false"]',
    "body.vscode-dark",
]
# A page that says nothing follows the reader's system.
SILENT_PAGE = "html:not([data-theme]):not([theme]) body:not([data-jp-theme-light]):not([class*=vscode])"

SHARED = ("beside.js", "kit.js", "network.js", "examples.js")  # scripts that are no figure
INCLUDE = "// include "

NOTE = "This figure is interactive where scripts run: in a notebook, once its cell has been run."


@dataclass(frozen=True)
class Widget:
    """An interactive figure as a notebook shows it: ``html`` is all of it, ``title`` its name in plain text."""

    title: str
    html: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"Interactive figure: {self.title}"


def widget(kind: str, data: dict[str, Any], *, title: str, alt: str | None, fallback: str, caption: str = "") -> Widget:
    """An interactive figure of a kind, from JSON data, with a still form for readers without scripts and for print.

    ``data`` is handed over with as many digits as a float64 needs. The neutral curves that its ``roles`` name look as
    they do in still figures. ``fallback`` is an SVG that ``alt`` describes in
    words; without ``alt`` it is HTML, for a figure that is made of words.

    Raises:
        ValueError: there is no figure of this kind, or ``data`` holds a number that JSON has no word for.
    """
    if kind not in kinds():
        raise ValueError(f"kind: expected one of {', '.join(kinds())}, got {kind}")
    neutral = tuple(sorted(NEUTRAL.keys() & set(data.get("roles", {}).values())))
    looks = {role: dict(zip(("dash", "marker"), look(role)[1:], strict=True)) for role in (*COLOURS, *neutral)}
    try:
        payload = json.dumps({**data, "looks": looks}, separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise ValueError(f"data: expected finite numbers, got nan or infinity in a figure of kind {kind}") from error
    name = hashlib.sha256("\0".join([kind, payload, title, alt or fallback, caption]).encode()).hexdigest()[:10]
    picture = f"data:image/svg+xml,{quote(fallback, safe=_PLAIN)}"
    drawn = f'<img class="mb-fallback" alt="{escape(alt or "")}" src="{picture}">'
    parts = [
        f'<figure class="mamlbook-figure" id="mamlbook-{kind}-{name}" data-kind="{kind}">',
        f"<style>{css(kind, neutral)}</style>",
        f'<p class="mb-title">{escape(title)}</p>',
        '<div class="mb-live"></div>',
        f'<div class="mb-fallback mb-words">{fallback}</div>' if alt is None else drawn,
        f'<figcaption><p>{escape(caption)}</p><p class="mb-note">{NOTE}</p></figcaption>'
        if caption
        else f'<figcaption class="mb-only-note"><p class="mb-note">{NOTE}</p></figcaption>',
        # A tag inside the data would end the script.
        f'<script type="application/json">{payload.replace("<", chr(92) + "u003c")}</script>',
        f"<script>{script('kit')}</script>",
        f"<script>{script(kind)}\nwindow.mamlbook.kit.mountAll();</script>",
        "</figure>",
    ]
    return Widget(title, "\n".join(parts))


# Characters that a data address inside double quotes may hold as they are.
_PLAIN = " !$&'()*+,-./:;=?@_~<>"


@cache
def kinds() -> tuple[str, ...]:
    """The kinds of figures: the scripts in this folder, those that figures share apart."""
    names = (file.name for file in files(__package__).iterdir())
    return tuple(sorted(name[:-3] for name in names if name.endswith(".js") and name not in SHARED))


@cache
def script(name: str) -> str:
    """A script of this folder without the comments and indents that only its readers need.

    A line ``// include NAME`` becomes the script of that name, which shares the scope around it.
    """
    lines = (line.strip() for line in (files(__package__) / f"{name}.js").read_text("utf-8").splitlines())
    taken = (script(line.removeprefix(INCLUDE)) if line.startswith(INCLUDE) else line for line in lines)
    return "\n".join(line for line in taken if line and not line.startswith("//"))


@cache
def css(kind: str, neutral: tuple[str, ...] = ()) -> str:
    """The style sheet, with the colours of roles and neutral curves for both themes, and what a kind adds."""
    sheets = (files(__package__) / name for name in ("kit.css", f"{kind}.css"))
    lines = (line.strip() for sheet in sheets if sheet.is_file() for line in sheet.read_text("utf-8").splitlines())
    common = "\n".join(line for line in lines if line and not line.startswith("/*"))
    light = "".join(f"--mb-{role}:{look(role)[0]};" for role in (*COLOURS, *neutral))
    dark_colours = {**DARK_COLOURS, **{name: DARK_NEUTRAL[name] for name in neutral}, **DARK_SURFACES}
    dark = "".join(f"--mb-{name}:{value};" for name, value in dark_colours.items())
    dark += "color-scheme:dark;"
    told = ",".join(f"{page} .mamlbook-figure" for page in DARK_PAGES)
    silent = f"@media (prefers-color-scheme:dark){{{SILENT_PAGE} .mamlbook-figure{{{dark}}}}}"
    return f".mamlbook-figure{{{light}}}\n{common}\n{told}{{{dark}}}\n{silent}"
