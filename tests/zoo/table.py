"""The table of networks and rows, as Markdown."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import torch

from zoo.cells import Cell, cell, tolerance
from zoo.networks import ZOO
from zoo.oracle import SETTINGS


def table(names: Iterable[str] = tuple(ZOO), rows: Iterable[str] = tuple(SETTINGS)) -> str:
    """Networks by rows, each cell tried: ``=`` exact, ``–`` refused, ``!`` neither; then what was said, and how often.

    A network under which every row fares alike has one cell.
    """
    rows, names = list(rows), list(names)
    found = {name: {row: cell(name, row) for row in rows} for name in names}
    lines = ["| network | exact | refused | neither | worst error |", "|---|---|---|---|---|"]
    for name, cells in found.items():
        kinds = {sign: [row for row in rows if _sign(row, cells[row]) == sign] for sign in "=–!"}
        errors = [cells[row].error for row in kinds["="]]
        lines.append(
            f"| {name} | {len(kinds['='])} | {_listed(kinds['–'], rows)} | {_listed(kinds['!'], rows)} | "
            f"{f'{max(errors):.0e}' if errors else ''} |"
        )
    said: dict[str, list[str]] = {}
    for name, cells in found.items():
        for row, one in cells.items():
            if _sign(row, one) != "=":
                words = f"error {one.error:.0e}" if one.said is None else f"{type(one.said).__name__}: {one.said}"
                said.setdefault(" ".join(words.split())[:200], []).append(f"{name} × {row}")
    lines += ["", "| said | cells | for example |", "|---|---|---|"]
    lines += [f"| {words} | {len(cells)} | {cells[0]} |" for words, cells in said.items()]
    return "\n".join(lines)


def worst(names: Iterable[str] = tuple(ZOO), rows: Iterable[str] = tuple(SETTINGS)) -> str:
    """The largest error of each row over all networks on which it is exact."""
    lines = ["| row | networks | largest error | on |", "|---|---|---|---|"]
    for row in rows:
        exact = {name: one.error for name in names if _sign(row, one := cell(name, row)) == "="}
        name = max(exact, key=exact.__getitem__, default="")
        lines.append(f"| {row} | {len(exact)} | {f'{exact[name]:.0e}' if exact else ''} | {name} |")
    return "\n".join(lines)


def _sign(row: str, one: Cell) -> str:
    if one.error is not None:
        return "=" if one.error < tolerance(row) else "!"
    return "–" if one.refused else "!"


def _listed(some: list[str], rows: list[str]) -> str:
    if len(some) == len(rows):
        return "every row"
    return ", ".join(some) if len(some) <= 12 else f"{len(some)} rows"


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(table(sys.argv[1:] or tuple(ZOO)))
    print()
    print(worst(sys.argv[1:] or tuple(ZOO)))
