"""The pages of the built book as paper has them: what the PDF and the EPUB are made of."""

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tools import chromium
from tools.book import ROOT, pages

BUILD = ROOT / "_build"
HTML = BUILD / "html"
DRAWN = "() => !window.MathJax?.startup?.promise || MathJax.startup.promise.then(() => true)"
UNLINK_PICTURES = "() => document.querySelectorAll('a.image-reference').forEach(a => a.replaceWith(...a.childNodes))"

# Each answer leaves its number behind, and is handed over in the order of the page.
TAKE_ANSWERS = """number => {
    const taken = [];
    const take = (box, question) => {
        const copy = box.cloneNode(true);
        copy.querySelectorAll('summary, script, .headerlink, .copybtn').forEach(part => part.remove());
        copy.querySelectorAll('[id]').forEach(part => part.removeAttribute('id'));
        // A folded cell is not printed where it stands.
        copy.querySelectorAll('details').forEach(inner => inner.replaceWith(...inner.childNodes));
        // What is read elsewhere still leads to the same place.
        copy.querySelectorAll('a[href]').forEach(link => link.setAttribute('href', link.href));
        copy.querySelectorAll('img').forEach(picture => picture.setAttribute('src', picture.src));
        taken.push([question, copy.innerHTML]);
        const mark = document.createElement('p');
        mark.className = 'answer-mark';
        mark.textContent = `${question ? question + '  ' : ''}(Answer ${number}.${taken.length} at the end)`;
        box.replaceWith(mark);
    };
    document.querySelectorAll('details.answer').forEach(box => take(box, box.querySelector('summary').textContent));
    document.querySelectorAll('.tag_hide-cell').forEach(box => take(box, ''));
    return taken;
}"""


class PrintForm:
    """A browser that shows pages of the book as they are printed."""

    def __init__(self, browser, html: Path = HTML):
        self.html = html
        self.page = browser.new_page(viewport={"width": 900, "height": 1200})
        self.page.emulate_media(media="print", color_scheme="light")

    def open(self, name: str) -> None:
        """Show a page once its formulas are drawn; on paper a picture leads nowhere."""
        self.page.goto((self.html / f"{name}.html").as_uri(), wait_until="load")
        self.page.evaluate(UNLINK_PICTURES)
        self.page.wait_for_function(DRAWN, timeout=120_000)

    def title(self) -> str:
        """Give the title of the page."""
        return self.page.evaluate("() => document.querySelector('h1').childNodes[0].textContent").strip()

    def take_answers(self, number: int) -> list[tuple[str, str]]:
        """Take the answers out of the page: each with its question."""
        return [(question, text) for question, text in self.page.evaluate(TAKE_ANSWERS, number)]


def asked(module: str, description: str, target: Path, words: list[str] | None) -> tuple[list[str], Path]:
    """Read the options of ``python -m module``: the pages to take, by default all, and the file to write."""
    parser = argparse.ArgumentParser(prog=module, description=description)
    parser.add_argument("--pages", nargs="+", help="pages without suffix, from the folder of the pages; by default all")
    parser.add_argument("--out", type=Path, default=target)
    options = parser.parse_args(words)
    known = pages()
    wanted = known if options.pages is None else [f"book/{re.sub('^book/', '', name)}" for name in options.pages]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        sys.exit(f"--pages: expected some of {', '.join(known)}, got {', '.join(unknown)}")
    if chromium.find() is None or not all((HTML / f"{name}.html").is_file() for name in wanted):
        sys.exit("A built book and Chromium are needed: make book chromium")
    return wanted, options.out


def command(
    module: str, description: str, target: Path, write: Callable[[Any, list[str], Path], Path], words: list[str] | None
) -> None:
    """Run ``python -m module``: have ``write(browser, pages, target)`` make a file of the pages asked for."""
    wanted, target = asked(module, description, target, words)
    with sync_playwright() as play:
        browser = chromium.launch(play)
        path = write(browser, wanted, target)
        browser.close()
    print(f"wrote {path}: {path.stat().st_size / 1e6:.1f} MB")
