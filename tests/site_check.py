"""Open one page of a built book in a browser and say what is wrong with it."""

import functools
import importlib.util
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from shown import AT_REST

# What scrolls can be reached by the keyboard: what the theme sees to, some time after the window has changed.
REACHABLE = """() => [...document.querySelectorAll('.bd-content :is(pre, mjx-container)')].every(
    (block) => block.scrollWidth <= block.clientWidth || block.tabIndex >= 0)"""
# Formulas that the Tab key stops at without a use: they cannot be scrolled.
IDLE_STOP = """() => [...document.querySelectorAll('mjx-container')].filter(
    (formula) => formula.tabIndex >= 0 && formula.scrollWidth <= formula.clientWidth).map((node) => node.textContent)"""

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

# What the theme itself does and no page can mend: an axe rule, and the element it names.
THEME = [("label-content-name-mismatch", ".search-button")]

NO_ALT = """images => images.filter(image => !image.alt.trim() || /[.](png|svg|jpe?g)$/.test(image.alt))
    .map(image => image.getAttribute('src').slice(0, 80))"""
NOT_DRAWN = """spans => spans.filter(span => !span.querySelector('mjx-container') || span.querySelector('mjx-merror'))
    .map(span => span.textContent.slice(0, 80))"""
OTHER_NAME = """() => [...document.querySelectorAll('summary[aria-label]')]
    .filter(node => !node.textContent.includes(node.getAttribute('aria-label'))).map(node => node.textContent.trim())"""
# Marks of Markdown or of reStructuredText that a reader sees as they were typed.
RAW = r"""() => {
    const told = [], words = document.createTreeWalker(document.querySelector('.bd-article'), NodeFilter.SHOW_TEXT);
    for (let node; (node = words.nextNode());) {
        if (node.parentElement.closest('pre, code, script, style, dt, .math, mjx-container')) continue;
        if (/``|\*\*\w|\]\(|:::|\{(doc|cite)/.test(node.data)) told.push(`raw markup: ${node.data.slice(0, 80)}`);
    }
    return told;
}"""
# What a narrow screen does to the words of a page: lines of columns and numbers that are broken, columns too narrow to
# read, pictures whose letters are too small.
TORN = r"""() => {
    const told = [], article = document.querySelector('.bd-article');
    const boxes = (range) => [...range.getClientRects()].filter(box => box.width);
    const lines = (range) => new Set(boxes(range).map(box => Math.round(box.top / 4))).size;
    const FORMED = 'pre, code, script, style, svg, mjx-container, h1, h2, h3, .mamlbook-figure';
    for (const block of article.querySelectorAll('.cell_output pre')) {
        const letters = document.createTreeWalker(block, NodeFilter.SHOW_TEXT), spots = [];
        for (let node; (node = letters.nextNode());) for (let i = 0; i < node.length; i++) spots.push([node, i]);
        let start = 0;
        for (const line of block.textContent.split('\n')) {
            if (/^[^✓✗…].*\S {2,}\S/.test(line)) {
                const range = document.createRange();
                range.setStart(...spots[start]);
                range.setEnd(spots[start + line.length - 1][0], spots[start + line.length - 1][1] + 1);
                if (lines(range) > 1) told.push(`torn columns: ${line.slice(0, 60)}`);
            }
            start += line.length + 1;
        }
    }
    const words = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    for (let node; (node = words.nextNode());) {
        if (node.parentElement.closest(FORMED)) continue;
        for (const found of node.data.matchAll(/\d\s(?=%)|\d\s(?=±)|±\s(?=[\d.−-])/g)) {
            const range = document.createRange();
            range.setStart(node, found.index);
            range.setEnd(node, found.index + found[0].length + 1);
            const near = node.data.slice(Math.max(0, found.index - 20), found.index + 20);
            if (lines(range) > 1) told.push(`torn number: ${near}`);
        }
    }
    for (const formula of article.querySelectorAll('mjx-container:not([display])')) {
        let after = formula.parentElement.nextSibling;
        if (!after || after.nodeType !== Node.TEXT_NODE || !/^[.,;:!?)]/.test(after.data)) continue;
        const range = document.createRange();
        range.setStart(after, 0);
        range.setEnd(after, 1);
        const [own, sign] = [formula.getBoundingClientRect(), range.getBoundingClientRect()];
        const torn = own.width && sign.top > own.bottom - 6;
        if (torn) told.push(`torn formula: ${formula.textContent} ${after.data.slice(0, 20)}`);
    }
    for (const cell of article.querySelectorAll('td')) {
        const box = cell.getBoundingClientRect();
        const crushed = box.width && box.width < 110 && box.height > 260;
        if (crushed) told.push(`crushed column: ${cell.textContent.slice(0, 60)}`);
    }
    for (const image of article.querySelectorAll('.cell_output img:not(.mb-fallback)')) {
        const pixels = image.closest('a.image-reference') ? 2 : 1; // for each of the page
        if (pixels < 2) told.push(`blurred picture: ${image.alt.slice(0, 60)}`);
        const share = image.getBoundingClientRect().width * pixels / image.naturalWidth;
        if (share < 0.74) told.push(`small picture: at ${share.toFixed(2)} of its size, ${image.alt.slice(0, 60)}`);
    }
    return told;
}"""
CODE = r'<span class="([a-z][a-z0-9]?)">'
MATHS = ".bd-article .math"
OPEN_ALL = """() => {
    document.querySelectorAll('details').forEach(details => { details.open = true })
    document.querySelectorAll('.toggle-hidden').forEach(box => box.classList.remove('toggle-hidden'))
}"""


def open_page(browser, base: str, name: str):
    """Open a page, and give it with a list that fills with what it asks for or reports wrongly."""
    problems = []
    context = browser.new_context(viewport=DESKTOP)
    ours = (base, "data:", "blob:")

    def route(route):
        if route.request.url.startswith(ours):
            route.continue_()
        else:
            problems.append(f"external request: {route.request.url}")
            route.abort()

    context.route("**/*", route)
    page = context.new_page()
    page.on("requestfailed", lambda request: problems.append(f"failed request: {request.url}") if lost(request) else 0)
    page.on("response", lambda answer: problems.append(f"{answer.status}: {answer.url}") if answer.status >= 400 else 0)
    page.on("console", lambda line: problems.append(f"console: {line.text}") if line.type == "error" else 0)
    page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
    page.goto(f"{base}{name}.html", wait_until="load")
    page.wait_for_function("() => !window.MathJax?.startup?.promise || MathJax.startup.promise.then(() => true)")
    page.wait_for_load_state("networkidle")
    return page, problems


def lost(request) -> bool:
    """Whether a request failed, rather than was given up because the page itself moved on."""
    return request.failure != "net::ERR_ABORTED"


@functools.cache
def anchors(file: Path) -> frozenset[str]:
    """List the targets inside a page."""
    return frozenset(re.findall(r'\b(?:id|name)="([^"]+)"', file.read_text()))


def link_problems(page, base: str, root: Path) -> list[str]:
    """Say which links lead nowhere in the book; links out of the book are not followed."""
    problems = []
    for address in sorted(set(page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)"))):
        inside = address.startswith(base)
        if not inside and not address.startswith("file:"):
            continue
        parts = urlsplit(address)
        file = root / unquote(address[len(base) :].partition("#")[0].partition("?")[0])
        if not inside or not file.is_file():
            problems.append(f"broken link: {address}")
        elif parts.fragment and unquote(parts.fragment) not in anchors(file):
            problems.append(f"broken anchor: {address}")
    return problems


def content_problems(page) -> list[str]:
    """Say which images cannot be heard and which formulas were not drawn."""
    problems = [f"no alt text: {source}" for source in page.eval_on_selector_all("img", NO_ALT)]
    problems += [f"called otherwise than it reads: {words}" for words in page.evaluate(OTHER_NAME)]
    problems += page.evaluate(RAW)
    problems += [f"a stop of the Tab key that does nothing: {text}" for text in page.evaluate(IDLE_STOP)]
    return problems + [f"formula not drawn: {text}" for text in page.eval_on_selector_all(MATHS, NOT_DRAWN)]


def axe_source() -> str:
    """Give the accessibility checker that comes with axe-playwright-python."""
    folder = Path(importlib.util.find_spec("axe_playwright_python").origin).parent
    return (folder / "axe.min.js").read_text()


def axe_problems(page, *, code: bool = False) -> list[str]:
    """Say what is seriously hard to read or to reach, in both themes and on a phone.

    Contrast does not change with the size of a window, nor that of code with the page. Both take most of the time, so
    the one is looked at on a desktop only, and the other only if asked for.
    """
    problems = []
    page.evaluate(axe_source())
    options = {"preload": False, "resultTypes": ["violations"]}
    rest = options | {"rules": {"color-contrast": {"enabled": False}}}
    contrast = options | {"runOnly": ["color-contrast"]}
    where = {"exclude": [] if code else [[".highlight span"], ["mjx-container"]]}
    for theme, size in (("light", DESKTOP), ("dark", DESKTOP), ("dark", PHONE)):
        page.set_viewport_size(size)
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        page.evaluate(AT_REST)  # colours move over a quarter of a second
        page.wait_for_function(REACHABLE, timeout=60_000)  # the theme waits until a window has its size
        found = page.evaluate("rest => axe.run(document, rest)", rest)["violations"]
        if size == DESKTOP:
            run = "([where, contrast]) => axe.run({include: [document], ...where}, contrast)"
            found += page.evaluate(run, [where, contrast])["violations"]
        for rule in found:
            if rule["impact"] not in ("serious", "critical"):
                continue
            targets = [str(node["target"][0]) for node in rule["nodes"]]
            bad = [t for t in targets if not any(rule["id"] == known and part in t for known, part in THEME)]
            problems += [f"axe {theme} {size['width']} px, {rule['id']}: {target}" for target in bad]
    return problems


def phone_problems(page) -> list[str]:
    """Say whether the page can be pushed sideways on a phone, and what its narrow screen breaks."""
    page.set_viewport_size(PHONE)
    page.evaluate(AT_REST)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return [f"scrolls sideways on a phone, by {wide} px"] * (wide > 0) + page.evaluate(TORN)


def code_problems(browser, base: str, root: Path, name: str, names: list[str]) -> list[str]:
    """Say which kinds of code are hard to read, on a page whose article is one word of each that the pages have."""
    kinds = sorted({kind for page in names for kind in re.findall(CODE, (root / f"{page}.html").read_text())})
    page, problems = open_page(browser, base, name)
    words = "".join(f'<span class="{kind}">word</span> ' for kind in kinds)  # axe leaves single letters alone
    page.evaluate(
        "html => { document.querySelector('.bd-article').innerHTML = html }",
        f'<section><h1>Code</h1><div class="highlight"><pre>{words}</pre></div></section>',
    )
    problems += axe_problems(page, code=True)
    page.context.close()
    return problems if kinds else ["no code in the book"]


def page_problems(browser, base: str, root: Path, name: str) -> list[str]:
    """Say all that is wrong with one page."""
    page, problems = open_page(browser, base, name)
    page.evaluate(OPEN_ALL)
    problems += content_problems(page) + link_problems(page, base, root) + axe_problems(page) + phone_problems(page)
    page.context.close()
    return problems


def disk_problems(browser, root: Path, name: str) -> list[str]:
    """Say what is wrong with a page that is opened as a file."""
    page, problems = open_page(browser, f"{root.as_uri()}/", name)
    problems += content_problems(page) + link_problems(page, f"{root.as_uri()}/", root)
    page.context.close()
    return problems
