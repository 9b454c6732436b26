"""What is fetched once, or made once, and kept in a cache."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType

from mamlbook.files import replacing


def md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def downloaded(url: str, checksum: str, cache: Path, progress: bool, what: str) -> Path:
    """The file of that address in the cache, fetched if it is missing; ``what`` is what a person would fetch by hand.

    Raises:
        ModuleNotFoundError: there is no pooch to download with.
        OSError: the download failed.
        ValueError: something else arrived.
    """
    pooch, name = _pooch(what), url.rpartition("/")[2]
    try:
        return Path(pooch.retrieve(url, f"md5:{checksum}", name, cache, progressbar=progress))
    except (OSError, ValueError) as error:
        kind = OSError if isinstance(error, OSError) else ValueError
        raise kind(
            f"{url} did not arrive intact: {error}; try again, or fetch {what} by hand and name the folder in folder= "
            "or MAMLBOOK_DATA"
        ) from None  # the chain below it is sixty lines of three libraries


def _pooch(what: str) -> ModuleType:
    try:
        with warnings.catch_warnings():
            # In a notebook without widgets its progress bar warns as soon as it is imported, wanted or not.
            warnings.simplefilter("ignore")
            import pooch
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"folder: expected the folder of {what}, got none, and to download without it {error.name} is missing; "
            "name the folder in folder= or MAMLBOOK_DATA, or install pooch"
        ) from None
    return pooch


@contextmanager
def cached(packed: Path) -> Iterator[Path]:
    """A temporary file that becomes ``packed``, in a cache that can be written to.

    Raises:
        OSError: it cannot.
    """
    with ExitStack() as files:
        try:
            temporary = files.enter_context(replacing(packed))
        except OSError as error:
            raise OSError(
                f"cache: {packed.parent} cannot be written: {error}; name a folder that can in cache= or MAMLBOOK_CACHE"
            ) from None
        yield temporary
