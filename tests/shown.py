"""A page with interactive figures in a browser: how to open it, ask it and handle it."""

import json
import re


def payload(html: str) -> dict:
    """The JSON that a figure carries."""
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])


class Shown:
    """A page with figures: what it said on the console, what it asked for, and the figure of a kind."""

    def __init__(self, browser, address: str, kind: str, **context):
        self.context = browser.new_context(**{"viewport": {"width": 900, "height": 1000}, **context})
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(address)
        self.figure = self.page.locator(f'figure[data-kind="{kind}"]').first

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def ask(self, expression: str):
        """A value of the figure, as JSON writes it: `f` is the figure's own object."""
        plain = "(k, v) => ArrayBuffer.isView(v) ? Array.from(v) : v"
        code = f"element => {{ const f = element.mamlbook; return JSON.stringify({expression}, {plain}); }}"
        return json.loads(self.figure.evaluate(code))

    def slide(self, name: str, value: float):
        """Move a range input as a reader does."""
        self.figure.locator(f'input[data-name="{name}"]').fill(str(value))

    def handle(self, number: int = 0):
        return self.figure.locator('[role="slider"].mb-handle').nth(number)

    def drag(self, number: int, dx: float, dy: float):
        """Take a movable point with the mouse and leave it somewhere else."""
        dot = self.handle(number).locator(".mb-dot")
        dot.scroll_into_view_if_needed()
        box = dot.bounding_box()
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + dx / 2, y + dy / 2)
        self.page.mouse.move(x + dx, y + dy)
        self.page.mouse.up()

    def press(self, number: int, *keys: str):
        for key in keys:
            self.handle(number).press(key)


def page_of(*figures) -> str:
    body = "\n".join(figure.html for figure in figures)
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Figures</title>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body><main><h1>Figures</h1>{body}</main></body></html>'


def opened(browser, folder, *figures, **context) -> Shown:
    """Figures in a page of their own, opened from a file; the first decides which kind is asked."""
    path = folder / "page.html"
    path.write_text(page_of(*figures), "utf-8")
    return Shown(browser, path.as_uri(), re.search(r'data-kind="(\w+)"', figures[0].html)[1], **context)


def assert_fits(shown: Shown) -> None:
    """Nothing is wider than the page, and every letter is large enough to read."""
    assert shown.page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
    letters = "[...document.querySelectorAll('figure text, figure .mb-live *')]"
    assert min(shown.page.evaluate(letters + ".map(n => parseFloat(getComputedStyle(n).fontSize))")) >= 11
