"""Files that are written wholly or not at all."""

from __future__ import annotations

import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """An empty file beside ``path``, which takes its place when the block ends well and vanishes otherwise.

    Missing folders are made. Whoever reads ``path`` meanwhile sees the old file, whole, and then the new one, which
    keeps the permissions of the old. A link stays one, and what it points to is replaced.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with replacing(folder / "number.txt") as temporary:
    ...     _ = temporary.write_text("1")
    >>> [file.name for file in folder.iterdir()]
    ['number.txt']

    Raises:
        OSError: the folder cannot be written to.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: another process may be writing the same file.
    temporary = path.with_name(f"{path.stem}-{uuid.uuid4().hex}.partial{path.suffix}")
    temporary.touch()
    try:
        yield temporary
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(path: str | Path) -> None:
    """See that ``replacing`` can replace the file, and leave it as it is.

    Raises:
        OSError: it cannot.
        ValueError: the name is none of a file.
    """
    try:
        with replacing(path):
            raise _Seen
    except _Seen:
        pass


class _Seen(Exception):
    """A file could be begun."""


def cache_folder() -> Path:
    """Where what can be made again is kept: MAMLBOOK_CACHE, or this package's place in the user's cache folder."""
    elsewhere = {"darwin": "~/Library/Caches/mamlbook", "win32": "~/AppData/Local/mamlbook/mamlbook/Cache"}
    usual = elsewhere.get(sys.platform) or f"{os.environ.get('XDG_CACHE_HOME') or '~/.cache'}/mamlbook"
    return Path(os.environ.get("MAMLBOOK_CACHE") or usual).expanduser()
