"""A run on disk: everything needed to go on bit for bit, and which run it is."""

from __future__ import annotations

import math
import os
import re
import zipfile
from collections.abc import Mapping
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mamlbook.files import replacing, require_writable

_RUN = {"settings", "losses", "seconds", "meta_steps", "rates"}
_PARTS = _RUN | {"learner", "optimizer", "generator", "random", "distribution", "execution"}


def without_addresses(text: str) -> str:
    """A text without the places in memory that Python's own ``repr`` names: the same in every process.

    >>> without_addresses("<Waves object at 0x7f3a9c1f0d90>")
    '<Waves object>'
    """
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)


def described(value: Any) -> str:
    """A setting as text, which is equal where the setting is."""
    if isinstance(value, Tensor):
        return described(value.tolist())
    if isinstance(value, list | tuple):
        return f"({', '.join(map(described, value))})"
    if isinstance(value, Integral) and not isinstance(value, bool):
        return repr(int(value))
    if isinstance(value, Real) and not isinstance(value, bool):
        return repr(int(float(value))) if float(value).is_integer() else repr(float(value))
    return value if isinstance(value, str) else without_addresses(repr(value))


def weights_of(learner: nn.Module) -> str:
    """The name, precision and shape of every stored tensor, and which weights are frozen, a line each."""
    stored = learner.state_dict(keep_vars=True).items()
    tensors = [(name, value) for name, value in stored if isinstance(value, Tensor)]
    frozen = {name for name, value in tensors if isinstance(value, nn.Parameter) and not value.requires_grad}
    return "\n".join(
        f"{name}: {value.dtype} {tuple(value.shape)}{', frozen' * (name in frozen)}" for name, value in tensors
    )


class Checkpoint:
    """One file that always holds a whole and finite moment of a run.

    Raises:
        TypeError: this is no path.
        ValueError: the path is a folder's.
        OSError: nothing can be written there.
    """

    def __init__(self, path: str | Path):
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"checkpoint: expected the path of a file, got {path!r}")
        self.path = Path(path).expanduser()
        if self.path.is_dir():
            raise ValueError(f"checkpoint: expected the path of a file, got the folder {self.path}")
        # Now and not at the first writing, which may come after hours.
        try:
            require_writable(self.path)
        except (OSError, ValueError) as error:  # a name may hold what no file's can
            raise OSError(
                f"checkpoint: expected a file that can be written, got {self.path} ({error}); choose another path"
            ) from error

    def write(self, state: Mapping[str, Any]) -> None:
        """Put a moment in place of the one before.

        Raises:
            OSError: it cannot be written, as on a disk that is full; the one before is still there.
        """
        try:
            with replacing(self.path) as temporary:
                torch.save(dict(state), temporary)
        except (OSError, RuntimeError) as error:  # torch says in its own way that a disk is full
            raise OSError(
                f"checkpoint: {self.path} cannot be written after meta-step {len(state['losses'])} "
                f"({str(error).splitlines()[0]}), perhaps for want of room; it holds what it held before, and the "
                "learner has its weights"
            ) from error

    def read(self) -> dict[str, Any]:
        """The last moment.

        Raises:
            ValueError: there is none, or it cannot be read.
        """
        if not self.path.is_file():
            raise ValueError(f"resume: there is no checkpoint at {self.path}; start without resume=True")
        try:
            require_sums(self.path)
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # what is damaged fails anywhere
            text = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(f"resume: the checkpoint {self.path} cannot be read ({text}); start anew") from None
        if not isinstance(state, dict) or not state.keys() >= _PARTS:
            raise ValueError(
                f"resume: expected {self.path} to be written by fit(checkpoint=...) of this version, got another kind "
                "of file; load weights with load_state_dict, and start without resume=True"
            )
        return state


def require_sums(path: Path) -> None:
    """Refuse an archive whose contents are not those that were written, which torch does not look at.

    Raises:
        zipfile.BadZipFile: it is none, or is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} in it is damaged")


def require_same_run(path: Path, stored: Mapping[str, str], own: Mapping[str, str]) -> None:
    """Refuse to go on with other settings than those of the run.

    Raises:
        ValueError: says which setting differs, what it was and what it is now.
    """
    differing = [_difference(name, stored[name], own[name]) for name in own if stored.get(name, own[name]) != own[name]]
    if differing:
        raise ValueError(
            f"resume: the checkpoint {path} belongs to another run: {'; '.join(differing[:3])}; "
            "go on with the settings it has, or start anew without resume=True"
        )


def require_same_rates(path: Path, stored: list[float], own: list[float]) -> None:
    """Refuse a beta that contradicts the rates of the meta-steps already done; later ones are free.

    Raises:
        ValueError: names the first meta-step at which they differ.
    """
    for step, (before, now) in enumerate(zip(stored, own, strict=False), 1):
        if not math.isclose(before, now, rel_tol=1e-9):
            raise ValueError(
                f"resume: the checkpoint {path} belongs to another run: beta: the checkpoint has {before} at meta-step "
                f"{step}, this run {now}; for a rate that changes from now on, pass a function of the step's number "
                "that gives the old one before"
            )


def _difference(name: str, stored: str, own: str) -> str:
    gone, come = first_difference(stored, own)
    return f"{name}: the checkpoint has {gone}, this run {come}"


def first_difference(stored: str, own: str) -> tuple[str, str]:
    """The first line of each text that the other has not."""
    before, now = stored.splitlines(), own.splitlines()
    gone = next((line.strip() for line in before if line not in now), "nothing more")
    come = next((line.strip() for line in now if line not in before), "nothing more")
    return gone, come
