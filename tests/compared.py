"""Notebooks compared with what they have stored, in a process of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tools.book import ROOT
from tools.notebooks import text, write


def nbval(folder: Path, *paths: Path) -> tuple[int, list[str]]:
    """Compare notebooks with nbval in a process of its own; give its status and the cells that failed."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-rfE"]
    command += ["-p", "mamlbook.pages.nbval_tolerance"]
    command += ["-p", "no:cacheprovider", "-x", "-c", folder / "pytest.ini", "--rootdir", folder, *paths]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    print(run.stdout, run.stderr)
    return run.returncode, re.findall(r"^FAILED (\S+)", run.stdout, re.MULTILINE)


def save(folder: Path, name: str, notebook) -> Path:
    """Write a copy of a notebook."""
    write(folder / name, text(notebook))
    return folder / name
