"""Take the picture of the book that README.md shows."""

import sys

from playwright.sync_api import sync_playwright

from tools import chromium
from tools.book import ROOT, pages

TARGET = ROOT / "book/static/screenshot.png"


def take(name: str, theme: str = "light") -> None:
    """Photograph the top of a page, as a reader at a desk sees it."""
    with sync_playwright() as play:
        browser = chromium.launch(play)
        page = browser.new_page(viewport={"width": 1280, "height": 860}, color_scheme=theme)
        page.goto((ROOT / f"_build/html/{name}.html").as_uri())
        page.wait_for_function("() => !window.MathJax?.startup?.promise || MathJax.startup.promise.then(() => true)")
        page.wait_for_timeout(1000)  # fonts, and figures that draw themselves
        page.screenshot(path=TARGET)
        browser.close()


def main() -> None:
    """Photograph the page named, or the first one."""
    name = sys.argv[1] if len(sys.argv) > 1 else pages()[0]
    if chromium.find() is None or not (ROOT / f"_build/html/{name}.html").is_file():
        sys.exit("The picture needs a built book and Chromium: make screenshot")
    take(name)
    print(f"wrote {TARGET.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
