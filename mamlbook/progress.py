"""A progress bar where somebody is looking: in a terminal or a notebook."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from tqdm import TqdmWarning

with warnings.catch_warnings():
    # Without ipywidgets the bar of a notebook is one of text, and that is all the warning would say.
    warnings.simplefilter("ignore", TqdmWarning)
    from tqdm.auto import tqdm


def progress_bar(total: int, shown: bool | None = None, **options: Any) -> tqdm:
    """A bar of ``total`` steps: shown, hidden, or with None shown where somebody is looking.

    That is a terminal, or a notebook that a person runs; not a notebook that a program runs, whose stored outputs a
    bar would spoil. Where it would be shown by itself, tqdm's own variable TQDM_DISABLE=1 hides it. ``options`` are
    tqdm's, such as ``desc``.
    """
    if shown is None and somebody_looks():
        return tqdm(total=total, **options)
    return tqdm(total=total, disable=not shown, **options)


def somebody_looks() -> bool:
    """Whether stderr is a terminal, or the cell that runs was sent by a person, who could be asked something.

    Every message that runs a cell says whether its sender answers questions (``allow_stdin``): Jupyter, VS Code and
    Colab do, and nbclient, nbconvert and nbval do not.
    """
    if sys.stderr.isatty():
        return True
    if "ipykernel.zmqshell" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and bool(shell.get_parent().get("content", {}).get("allow_stdin"))
