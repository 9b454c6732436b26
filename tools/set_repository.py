"""Change the repository's address everywhere it is written.

python -m tools.set_repository https://github.com/OWNER/NAME
"""

import sys
from pathlib import Path

from tools.book import ADDRESS, ROOT, page_files, repository
from tools.notebooks import write

TEXTS = ["_config.yml", "pyproject.toml", "README.md", "CITATION.cff", "CONTRIBUTING.md", "CHANGELOG.md"]


def valid(url: str) -> str:
    """Give the address in the form that is stored, or raise."""
    url = url.strip().removesuffix("/").removesuffix(".git")
    if not ADDRESS.fullmatch(url):
        raise ValueError(f"A repository's address looks like https://github.com/OWNER/NAME, not {url!r}.")
    return url


def short(url: str) -> str:
    """Give OWNER/NAME."""
    return url.split("/", 3)[3]


def carriers(root: Path = ROOT) -> list[Path]:
    """List the files that may carry the address."""
    return [root / name for name in TEXTS if (root / name).is_file()] + page_files(root)


def set_repository(url: str, root: Path = ROOT) -> list[Path]:
    """Rewrite the address in the texts and the notebooks; give the files that changed."""
    new, old = valid(url), repository(root)
    changed = []
    for path in carriers(root):
        text = path.read_text().replace(old, new)
        # Launch links name OWNER/NAME alone, after another host.
        text = text.replace(f"github/{short(old)}/", f"github/{short(new)}/")
        if write(path, text):
            changed.append(path)
    return changed


def main() -> None:
    """Set the address given on the command line."""
    try:
        changed = set_repository(sys.argv[1] if len(sys.argv) > 1 else "")
    except ValueError as error:
        sys.exit(f"{error} Use: make set-repository URL=https://github.com/OWNER/NAME")
    print("\n".join(f"changed {path.relative_to(ROOT)}" for path in changed) or "nothing to change")


if __name__ == "__main__":
    main()
