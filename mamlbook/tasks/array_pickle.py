"""Pickles that hold arrays and containers and nothing else: to load any other could run a program."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

KINDS = "biufSU"  # truth values, numbers and texts


def load_arrays(path: Path) -> Any:
    """What the pickle of that path holds: numbers, texts, containers and NumPy arrays.

    Raises:
        ValueError: it is damaged, no pickle, or asks for anything else, which is then not run.
    """
    with path.open("rb") as file:
        return read_arrays(file, str(path))


def read_arrays(file: IO[bytes], name: str) -> Any:
    """The same of an open file, which messages call by that name.

    Raises:
        ValueError: as above.
    """
    try:
        return _Arrays(file, encoding="latin1").load()  # as arrays and texts of Python 2 have to be read
    except _Refused as error:
        raise ValueError(
            f"{name} was not loaded: it asks for {error}, and pictures and labels need no more than arrays of numbers "
            "or texts in containers, while anything else could run a program; fetch that file from its authors"
        ) from None
    except Exception as error:  # a damaged pickle raises whatever its bytes happen to mean
        raise ValueError(
            f"{name} is damaged or no pickle: {error or type(error).__name__}; fetch that file again"
        ) from None


class _Refused(Exception):
    """What a pickle of arrays has no need of."""


class _Arrays(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PERMITTED:
            raise _Refused(f"{module}.{name}")
        return _PERMITTED[module, name]


class _Kind:
    """The type of an array's numbers. A file may name it and its byte order, and not what else NumPy would believe."""

    def __init__(self, code: str, *_: object):
        self.dtype = np.dtype(code)
        if self.dtype.kind not in KINDS:
            raise _Refused(f"an array of {self.dtype}")

    def __setstate__(self, state: tuple) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array(np.ndarray):
    def __setstate__(self, state: tuple) -> None:
        *shape, kind, fortran, content = state
        super().__setstate__((*shape, kind.dtype, fortran, content))


def _empty(*_: object) -> np.ndarray:
    return np.empty(0, np.uint8).view(_Array)


def _scalar(kind: _Kind, content: bytes) -> np.generic:
    return np.frombuffer(content, kind.dtype)[0]


def _of_buffer(buffer: bytes, kind: _Kind, *layout: Any) -> np.ndarray:
    return _OF_BUFFER(buffer, kind.dtype, *layout)


def _latin1(text: str, encoding: str) -> bytes:
    """How bytes are written in pickles that Python 2 can read; any other encoding would be a module to import."""
    if encoding not in ("latin1", "latin-1"):
        raise _Refused(f"the encoding {encoding}")
    return text.encode("latin1")


# A private function, which moves from version to version of NumPy.
_OF_BUFFER: Callable[..., np.ndarray] = np.zeros(1).__reduce_ex__(5)[0]  # type: ignore[assignment]
_PERMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _latin1,
}
for _core in ("numpy.core", "numpy._core"):
    _PERMITTED[f"{_core}.multiarray", "_reconstruct"] = _empty
    _PERMITTED[f"{_core}.multiarray", "scalar"] = _scalar
    _PERMITTED[f"{_core}.numeric", "_frombuffer"] = _of_buffer
for _module in ("builtins", "__builtin__"):
    for _kind in (bytes, bytearray, list, dict, tuple, set, frozenset):
        _PERMITTED[_module, _kind.__name__] = _kind
