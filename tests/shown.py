"""A page with interactive figures in a browser: how to open it, ask it and handle it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Page


def payload(html: str) -> dict:
    """The JSON that a figure carries."""
    return json.loads(re.search(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[1])


PATIENCE = 60_000  # milliseconds that a busy machine may take for what is waited for

# Layout and moving colours have come to rest: two frames, so that observers of sizes had their turn.
AT_REST = """async () => {
    for (let i = 0; i < 2; i += 1) await new Promise(requestAnimationFrame);
    const ending = document.getAnimations().filter((a) => a.effect.getComputedTiming().endTime < Infinity);
    await Promise.allSettled(ending.map((animation) => animation.finished));
}"""


# What does not fit, in the first picture and after every button: a figure wider than the page, letters that are too
# small or cut at the edge of a drawing, a drawing whose units are no pixels, so that its sizes are not what is seen.
MISFITS = """(figure) => {
    const wrong = new Set();
    const look = (after) => {
        const say = (words) => wrong.add(`after ${after}: ${words}`);
        if (document.documentElement.scrollWidth > innerWidth) say("wider than the page");
        for (const node of figure.querySelectorAll("text, .mb-live *")) {
            if (parseFloat(getComputedStyle(node).fontSize) < 11) say(`small letters: ${node.textContent}`);
        }
        for (const svg of figure.querySelectorAll(".mb-plot svg")) {
            const page = svg.getBoundingClientRect();
            if (!page.width) continue;  // hidden
            const scale = page.width / svg.viewBox.baseVal.width;
            if (Math.abs(scale - 1) > 0.01) say(`drawn at a scale of ${scale}`);
            for (const node of svg.querySelectorAll("text")) {
                const box = node.getBoundingClientRect();
                const inside = box.left >= page.left - 1 && box.right <= page.right + 1;
                if (box.width && !inside) say(`cut at an edge: ${node.textContent}`);
            }
        }
    };
    look("opening");
    for (const button of figure.querySelectorAll(".mb-buttons button")) {
        button.click();
        look(button.textContent);
    }
    return [...wrong];
}"""


class Tabs:
    """The pages of a browser that all tests share: another address in a page costs a third of a new page."""

    def __init__(self, browser):
        self.browser = browser
        self.open: dict[bool, Page] = {}

    def page(self, viewport: dict, color_scheme: str, reduced_motion: str, scripts: bool) -> Page:
        """A page as a new one would be, but for its address."""
        if scripts not in self.open:
            context = self.browser.new_context(java_script_enabled=scripts)
            context.set_default_timeout(PATIENCE)
            self.open[scripts] = context.new_page()
        page = self.open[scripts]
        page.set_viewport_size(viewport)
        looks = {"color_scheme": color_scheme, "reduced_motion": reduced_motion, "forced_colors": "none"}
        page.emulate_media(media="screen", **looks)
        page.mouse.move(0, 0)
        return page


class Shown:
    """A page with figures: what it said on the console, what it asked for, and the figure of a kind.

    A page that complains or asks for anything from elsewhere fails the test that looks at it.
    """

    def __init__(
        self,
        tabs: Tabs,
        address: str,
        kind: str,
        *,
        viewport: tuple[int, int] = (900, 1000),
        color_scheme: str = "light",
        reduced_motion: str = "no-preference",
        scripts: bool = True,
    ):
        size = dict(zip(("width", "height"), viewport, strict=True))
        self.page = tabs.page(size, color_scheme, reduced_motion, scripts)
        self.own = ("{0.scheme}://{0.netloc}/".format(urlsplit(address)), "data:")
        self.complaints: list[str] = []
        self.listeners = {
            "console": lambda line: self.complaints.append(line.text) if line.type in ("error", "warning") else None,
            "pageerror": lambda error: self.complaints.append(str(error)),
            "request": lambda request: (
                None if request.url.startswith(self.own) else self.complaints.append(request.url)
            ),
        }
        for event, listener in self.listeners.items():
            self.page.on(event, listener)
        self.page.goto(address)
        self.figure = self.page.locator(f'figure[data-kind="{kind}"]').first

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        for event, listener in self.listeners.items():
            self.page.remove_listener(event, listener)
        assert failure or not self.complaints, "\n".join(self.complaints)

    def _own_only(self, request):
        if not request.url.startswith(self.own):
            self.complaints.append(f"asked for {request.url}")

    def rest(self):
        """Wait until layout and colours have come to rest."""
        self.page.evaluate(AT_REST)

    def said(self) -> str:
        """What the figure says, to those who listen as well."""
        return self.figure.locator('[aria-live="polite"]').inner_text()

    def click(self, name: str):
        """Click the button of that name."""
        self.figure.locator(f'button[data-name="{name}"]').click()

    def ask(self, expression: str):
        """A value of the figure, as JSON writes it: `f` is the figure's own object."""
        plain = "(k, v) => ArrayBuffer.isView(v) ? Array.from(v) : v"
        code = f"element => {{ const f = element.mamlbook; return JSON.stringify({expression}, {plain}); }}"
        return json.loads(self.figure.evaluate(code))

    def compute(self, states: list[dict]) -> list[dict]:
        """What the figure's script computes from its data in each of these states."""
        plain = "(k, v) => ArrayBuffer.isView(v) ? Array.from(v) : v"
        code = f"""(element, states) => {{
            const {{ compute }} = window.mamlbook[element.dataset.kind], {{ data }} = element.mamlbook;
            return JSON.stringify(states.map((state) => compute(data, state)), {plain});
        }}"""
        return json.loads(self.figure.evaluate(code, states))

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


def opened(tabs: Tabs, folder: Path, *figures, **looks) -> Shown:
    """Figures in a page of their own, opened from a file; the first decides which kind is asked."""
    path = folder / "page.html"
    path.write_text(page_of(*figures), "utf-8")
    return Shown(tabs, path.as_uri(), re.search(r'data-kind="(\w+)"', figures[0].html)[1], **looks)
