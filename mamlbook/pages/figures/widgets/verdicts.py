"""The figure of networks and algorithms: pick one of each, and see whether their meta-gradient is exact."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from mamlbook.pages.figures.widgets.base import Widget, widget


def network_verdicts(
    measured: Mapping[str, Any],
    network: str = "transformer",
    row: str = "maml",
    *,
    title: str = "Is my network right under this algorithm?",
    caption: str | None = None,
) -> Widget:
    """The figure of ``experiments.networks``: of each network and row the error, or the sentence and its cure.

    ``network`` and ``row`` are what it shows first.

    Raises:
        ValueError: the result has no such network or row.
    """
    runs = measured["runs"]
    rows = list(next(iter(runs.values()))["cells"])
    for argument, given, known in (("network", network, list(runs)), ("row", row, rows)):
        if given not in known:
            raise ValueError(f"{argument}: expected one of {', '.join(known)}, got {given!r}")
    sentences: dict[str, int] = {}
    networks = [_network(name, run, sentences) for name, run in runs.items()]
    data = {
        "networks": networks,
        "rows": rows,
        "sentences": [split(sentence) for sentence in sentences],
        "first": {"network": list(runs).index(network), "row": rows.index(row)},
    }
    if caption is None:
        caption = (
            f"{len(runs)} small networks under {len(rows)} algorithms. Each gradient was compared in double precision "
            "with that of plain loops, one task after another. An algorithm that needs a head, classes or a context "
            "refuses a network without."
        )
    return widget("verdicts", data, title=title, alt=None, fallback=_list(runs), caption=caption)


def split(sentence: str) -> tuple[str, str]:
    """What a refusal says, and what it says to do: all after its last semicolon, or after its last colon."""
    said, found, cure = sentence.rpartition("; ")
    if not found:
        said, found, cure = sentence.rpartition(": ")
    return said, cure


def _network(name: str, run: Mapping[str, Any], sentences: dict[str, int]) -> dict[str, Any]:
    cells = run["cells"].values()
    of_cells = [[sentences.setdefault(one, len(sentences))] if isinstance(one, str) else one for one in cells]
    needing = [place for place, row in enumerate(run["cells"]) if row in run["needing"]]
    return {key: run[key] for key in ("about", "kind", "option")} | {
        "name": name,
        "cells": of_cells,
        "needing": needing,
    }


def _list(runs: Mapping[str, Any]) -> str:
    """Every network with its option, or with what most of its refusals say, kind by kind.

    A list and no table: it needs no style sheet, which a notebook that is not trusted takes away, and no width.
    """
    kinds = dict.fromkeys(run["kind"] for run in runs.values())
    lines = {kind: [_line(name, run) for name, run in runs.items() if run["kind"] == kind] for kind in kinds}
    return "".join(
        f'<p><strong>{escape(kind)}</strong></p><ul class="mb-list">{"".join(of_kind)}</ul>'
        for kind, of_kind in lines.items()
    )


def _line(name: str, run: Mapping[str, Any]) -> str:
    said = [cell for cell in run["cells"].values() if isinstance(cell, str)]
    exact = len(run["cells"]) - len(said)
    counts = f"<strong>{escape(name)}</strong>: {exact} exact, {len(said)} refused."
    if run["option"]:
        return f"<li>{counts} Option: <code>{_breakable(run['option'])}</code></li>"
    sentence = "" if exact else f" “{_breakable(max(said, key=said.count))}.”"
    return f"<li>{counts}{sentence}</li>"


def _breakable(words: str) -> str:
    """A long name may go on in the next line after a dot or an underscore."""
    return re.sub(r"(?<=\w)([._])(?=\w)", r"\1<wbr>", escape(words))
