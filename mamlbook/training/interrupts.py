"""An interrupt by hand, which must not cut a meta-step in two."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Interrupts:
    """While it is entered, an interrupt (Ctrl-C, a notebook's stop button) waits for the end of what is ``whole``.

    Python delivers interrupts to its main thread only; in another one there is nothing to do.
    """

    def __init__(self):
        self.waiting: list[tuple] = []
        self.holding = False
        self.handler: Any = None

    def __enter__(self) -> Interrupts:
        handler = signal.getsignal(signal.SIGINT)
        if threading.current_thread() is threading.main_thread() and callable(handler):
            self.handler = handler
            # Once, and not around every step: setting a handler takes longer than many a step's share of Python.
            signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_) -> None:
        if self.handler is not None:
            signal.signal(signal.SIGINT, self.handler)

    def _interrupt(self, *arguments) -> None:
        if self.holding:
            self.waiting.append(arguments)
        else:
            self.handler(*arguments)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What happens altogether or not at all."""
        self.holding = True
        try:
            yield
        finally:
            self.holding = False
            if self.waiting:
                arguments, *_ = self.waiting
                self.waiting = []
                self.handler(*arguments)


def announce(why: str, done: int, total: int, checkpoint: Path | None) -> None:
    """Tell the user that the run ended early, why, and how it goes on."""
    way = f"; resume=True goes on from {checkpoint}" if checkpoint is not None and done else ""
    print(
        f"fit: {why} after {done} of {total} meta-steps; the learner is as the last whole one left it, "
        f"and fit(..., after=history) goes on{way}",
        file=sys.stderr,
    )
