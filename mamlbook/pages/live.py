"""A picture that is drawn anew in its place while a cell runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from mamlbook.progress import somebody_looks


class Live:
    """Call it with a function that draws and what to draw, as often as that changes: a picture replaces the one before.

    Nothing is drawn where nobody looks, as in a notebook that a program runs, or where there is no notebook.
    """

    def __init__(self) -> None:
        self._place: Any = None

    def __call__(self, draw: Callable[..., Any], *given: Any, **options: Any) -> None:
        if "ipykernel.zmqshell" not in sys.modules or not somebody_looks():
            return
        from IPython.display import display  # only a notebook has it

        picture = draw(*given, **options)
        if self._place is None:
            self._place = display(picture, display_id=True)
        else:
            self._place.update(picture)
