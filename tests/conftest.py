"""What the tests share: one thread, the data, the built book and a browser."""

import functools
import http.server
import importlib.util
import os
import threading
from pathlib import Path

import pytest
import torch

import devices  # noqa: F401 - the rehearsed one has to be known before anything is differentiated
from need import need
from shown import Tabs, opened

ROOT = Path(__file__).resolve().parents[1]
HTML = ROOT / "_build/html"

# A machine that only lends its GPU has torch and pytest, and may lack the tools of the book.
TOOLS = ["nbclient", "nbformat", "packaging", "playwright", "pypdf", "yaml"]
if not os.environ.get("CI") and not all(map(importlib.util.find_spec, TOOLS)):
    book = [
        "pages/test_doctor.py",
        "pages/test_guide.py",
        "test_answering.py",
        "test_appendix.py",
        "test_figure_links.py",
        "test_following.py",
        "test_glossary_links.py",
        "test_judged.py",
        "test_chapters.py",
        "test_letters.py",
        "test_notebooks.py",
        "test_plain_pages.py",
        "test_repository.py",
        "test_site.py",
        "test_small_screens.py",
    ]
    collect_ignore = [
        *book,
        "pages/test_api_page.py",
        "pages/test_few_shot.py",
        "pages/test_first_order.py",
        "pages/test_names.py",
        "tools/test_answers.py",
        "tools/test_ledger.py",
        "tools/test_epub.py",
        "tools/test_pdf.py",
    ]

# What registers a device of Python's can be imported once a process, and has no examples to run.
collect_ignore_glob = ["rehearsal.py"]

torch.set_num_threads(1)  # the same sums in the same order, and several test processes side by side


def pytest_collection_modifyitems(items):
    """Skip the GPU tests where there is no GPU, continuous integration included."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture(scope="session")
def omniglot_folder() -> Path:
    """Give the folder that holds the two Omniglot archives."""
    folder = Path(os.environ.get("MAMLBOOK_DATA", ""))
    archives = ["images_background.zip", "images_evaluation.zip"]
    found = "MAMLBOOK_DATA" in os.environ and all((folder / name).is_file() for name in archives)
    need(found, f"set MAMLBOOK_DATA to a folder with {' and '.join(archives)}")
    return folder


@pytest.fixture(scope="session")
def built() -> Path:
    """Give the folder of the built book."""
    need((HTML / "index.html").is_file(), "build the book first: make book")
    return HTML


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files and logs nothing."""

    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="session")
def serve():
    """Give a function that serves a folder and returns its address."""
    servers = []

    def start(folder: Path) -> str:
        handler = functools.partial(QuietHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="session")
def base(built, serve) -> str:
    """Give the address of the built book on a local server, with a slash at its end."""
    return serve(built)


@pytest.fixture(scope="session")
def browser():
    """Give a headless Chromium."""
    need(importlib.util.find_spec("playwright"), "playwright is not installed")
    from playwright.sync_api import sync_playwright

    from tools import chromium

    need(chromium.find(), "no Chromium: install it or set CHROMIUM")
    with sync_playwright() as play:
        started = chromium.launch(play)
        yield started
        started.close()


@pytest.fixture(scope="session")
def tabs(browser) -> Tabs:
    """Give the pages that all tests of figures share."""
    return Tabs(browser)


@pytest.fixture
def show(tabs, tmp_path):
    """Give a function that opens figures in a page of their own, from a file."""
    return functools.partial(opened, tabs, tmp_path)
