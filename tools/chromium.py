"""Find a Chromium for the browser tests, or install one."""

import os
import shutil
import subprocess
import sys

NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
# No sandbox: containers run as root; the rest keeps the browser itself off the network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def find() -> str | None:
    """Give the path of a browser: $CHROMIUM, one on the PATH, or the one that playwright installed."""
    named = os.environ.get("CHROMIUM")
    if named:
        return shutil.which(named)
    for name in NAMES:
        if path := shutil.which(name):
            return path
    return _from_playwright()


def _from_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        return shutil.which(play.chromium.executable_path)


def launch(play):
    """Start the browser that was found, under the given playwright."""
    return play.chromium.launch(executable_path=find(), args=FLAGS)


def install() -> None:
    """Try Debian's package when that is allowed, then playwright's own download."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], check=False, **quiet)
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=False, **quiet)
    if find() is None:
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


def main() -> None:
    """Print where the browser is; with --install, get one first if there is none."""
    if find() is None and "--install" in sys.argv:
        install()
    print(f"Chromium: {find() or 'none found, so the browser tests are skipped; install it or set CHROMIUM'}")


if __name__ == "__main__":
    main()
