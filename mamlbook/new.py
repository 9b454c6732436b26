"""Begin a project of one's own: ``python -m mamlbook.new my_project``.

It writes a folder that runs as it stands: tasks of a made-up kind, a network, a training with its rates chosen on
validation tasks, an evaluation, and tests. One's own data and network are then put in the place of these.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
from pathlib import Path

TEMPLATE = Path(__file__).parent / "template"


def write(folder: str | Path) -> list[Path]:
    """Write the files of a new project, and give their places.

    Raises:
        FileExistsError: the folder holds something already; nothing is written then.
        NotADirectoryError: it is a file.
    """
    target = Path(folder)
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(
            f"folder: expected a new folder or an empty one, {target} is a file; choose another name"
        )
    if target.is_dir() and any(target.iterdir()):
        raise FileExistsError(
            f"folder: expected a new folder or an empty one, {target} holds files; choose another name"
        )
    target.mkdir(parents=True, exist_ok=True)
    files = sorted(file for file in TEMPLATE.iterdir() if file.suffix in (".py", ".md"))
    return [Path(shutil.copyfile(file, target / file.name)) for file in files]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m mamlbook.new", description="Begin a project of one's own.")
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet, or is empty")
    folder = parser.parse_args(words).folder
    try:
        written = write(folder)
    except OSError as error:
        parser.error(str(error))
    print("\n".join(map(str, written)))
    print(f"\nnext: cd {shlex.quote(str(folder))}, then pytest, then python train.py --steps 500; begin with tasks.py")


if __name__ == "__main__":
    main()
