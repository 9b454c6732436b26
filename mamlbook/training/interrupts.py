"""An interrupt by hand, which must not cut a meta-step in two."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let an interrupt (Ctrl-C, a notebook's stop button) wait for the end of the block: all of it happens or nothing.

    Python delivers interrupts to its main thread only; in another one there is nothing to do.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    came: list[tuple] = []
    signal.signal(signal.SIGINT, lambda *arguments: came.append(arguments))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if came:
            handler(*came[0])


def announce(done: int, total: int, checkpoint: Path | None) -> None:
    """Tell the user that the run ended early, and how it goes on."""
    way = f"; resume=True goes on from {checkpoint}" if checkpoint is not None and done else ""
    print(
        f"fit: interrupted after {done} of {total} meta-steps; the learner is as the last whole one left it, "
        f"and fit(..., after=history) goes on{way}",
        file=sys.stderr,
    )
