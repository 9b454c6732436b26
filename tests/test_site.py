"""The built book, page by page in a real browser."""

import gzip
import io
import re
import shutil
from urllib.parse import quote_plus
from xml.etree import ElementTree

import pytest
import yaml
from PIL import Image

from shown import AT_REST
from site_check import DESKTOP, PHONE, code_problems, disk_problems, open_page, page_problems
from tools.book import ROOT, pages

PAGES = pages()
LIGHT = 700_000  # bytes of the first page with all that it loads
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())

SABOTAGE = {
    "external request": '<img alt="elsewhere" src="https://example.invalid/elsewhere.png">',
    "no alt text": '<img src="../_static/favicon.svg">',
    "broken link": '<a href="nowhere.html">nowhere</a>',
    "broken anchor": '<a href="#nowhere">nowhere</a>',
    "404": '<img alt="missing" src="missing.png">',
    "console": "<script>console.error('told')</script>",
    "script error": "<script>throw new Error('thrown')</script>",
    "formula not drawn": '<p class="math">\\(\\nosuchmacro\\)</p>',
    "color-contrast": '<p style="color: #999; background: #aaa">grey on grey</p>',
    "scrolls sideways": '<div style="width: 1200px">wide</div>',
    "called otherwise than it reads": '<details><summary aria-label="Toggle">The proof</summary>It is long.</details>',
    "raw markup": "<p>A **bold** word and ``code``.</p>",
    "torn columns": '<div class="cell_output"><pre style="white-space: pre-wrap; width: 1px">ab   c</pre></div>',
    "torn number": '<p style="width: 1px">12 ± 3</p>',
    "torn formula": '<p style="width: 1px"><span class="math">\\(a\\)</span>.</p>',
    "crushed column": f'<table><tr><td style="display: block; width: 90px">{"many words " * 40}</td></tr></table>',
    "blurred picture": '<div class="cell_output"><img alt="blurred" src="../_static/favicon.svg"></div>',
    "small picture": '<div class="cell_output"><img alt="small" src="../_static/favicon.svg" style="width: 9px"></div>',
}


@pytest.mark.parametrize("name", PAGES)
def test_page(name, base, built, browser):
    problems = page_problems(browser, base, built, name)
    assert not problems, "\n".join(problems)


def test_every_kind_of_code_can_be_read(base, built, browser):
    problems = code_problems(browser, base, built, PAGES[0], PAGES)
    assert not problems, "\n".join(problems)


def test_code_that_cannot_be_read_is_found(spoiled, serve, browser):
    style = "<style>.highlight .k { color: #999 !important; background: #aaa }</style>"
    file = spoiled / f"{PAGES[0]}.html"
    file.write_text(file.read_text().replace("</head>", f"{style}</head>"))
    assert any("color-contrast" in batch for batch in code_problems(browser, serve(spoiled), spoiled, PAGES[0], PAGES))


@pytest.mark.parametrize("name", ["index", *PAGES])
def test_page_opened_as_a_file(name, built, browser):
    problems = disk_problems(browser, built, name)
    assert not problems, "\n".join(problems)


def test_the_address_of_the_book_leads_to_its_first_page(base, built, browser):
    page, problems = open_page(browser, base, "index")
    assert page.url == f"{base}{PAGES[0]}.html"
    assert not problems
    page.context.close()
    own = (built / "index.html").read_text()
    assert f"<title>{CONFIG['title']}</title>" in own
    assert 'rel="icon"' in own
    assert f'<a href="{PAGES[0]}.html">' in own


def test_every_page_can_be_opened_on_colab(built):
    address = CONFIG["repository"]["url"].split("/", 3)[3]
    for name in PAGES:
        if (ROOT / f"{name}.ipynb").is_file():
            link = f"https://colab.research.google.com/github/{address}/blob/main/{name}.ipynb"
            assert link in (built / f"{name}.html").read_text()


def test_the_book_carries_only_the_parts_of_mathjax_that_a_page_loads(built):
    size = sum(file.stat().st_size for file in (built / "_static/mathjax").rglob("*") if file.is_file())
    assert size < 2_000_000


OWNER, NAME = CONFIG["repository"]["url"].split("/")[-2:]
BASE = f"https://{OWNER}.github.io/{NAME}/"


def head_of(built, name) -> dict[str, str]:
    """Read what the head of a page says of it: the content of each named or proper tag, and its canonical address."""
    text = (built / f"{name}.html").read_text().partition("</head>")[0]
    found = re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]*)"', text)
    tags = dict(found)
    assert len(tags) == len(found), f"{name} says one thing twice"
    return tags | {"canonical": re.search(r'<link rel="canonical" href="([^"]+)"', text)[1]}


def test_every_page_says_what_it_is_about(built):
    said = {name: head_of(built, name) for name in PAGES}
    for name, head in said.items():
        assert head["canonical"] == head["og:url"] == f"{BASE}{name}.html"
        assert 40 < len(head["description"]) <= 170, name
        assert head["og:title"] in (built / f"{name}.html").read_text(), name
        card = Image.open(built / head["og:image"].removeprefix(BASE))
        assert card.size == (1200, 630)
        assert len(card.convert("L").getcolors()) > 16, "nothing is drawn"
    for kind in ("description", "og:title", "og:image"):
        assert len({head[kind] for head in said.values()}) == len(PAGES), f"two pages with one {kind}"


def test_robots_find_every_page(built):
    assert f"Sitemap: {BASE}sitemap.xml" in (built / "robots.txt").read_text()
    listed = {place.text for place in ElementTree.parse(built / "sitemap.xml").iter() if place.tag.endswith("loc")}
    assert listed == {f"{BASE}{name}.html" for name in PAGES}


def test_an_address_that_is_none_leads_back(built):
    folder = "/" + BASE.split("/", 3)[3]
    links = re.findall(r'href="([^"]+)"', (built / "404.html").read_text())
    assert links, "no way back"
    for link in links:
        assert (built / link.removeprefix(folder)).is_file(), link


def test_the_first_page_is_light_and_its_icons_are_there(base, built, browser):
    """What a browser loads of the first page, as a server compresses it."""
    context = browser.new_context()
    page, loaded = context.new_page(), {}
    page.on("response", lambda answer: loaded.update({answer.url: answer.body()}) if answer.status == 200 else None)
    page.goto(f"{base}{PAGES[0]}.html", wait_until="networkidle")
    packed = {url: min(len(body), len(gzip.compress(body))) for url, body in loaded.items()}
    largest = sorted(((size, url.rsplit("/", 1)[1]) for url, size in packed.items()), reverse=True)
    assert sum(packed.values()) < LIGHT, largest[:8]
    icons = page.eval_on_selector_all("svg.svg-inline--fa", "all => all.map(svg => svg.innerHTML)")
    assert len(icons) > 5
    assert all("path" in icon and "animate" not in icon for icon in icons), "an icon that is missing is drawn moving"
    assert not page.query_selector("i.fa-solid, i.fas, i.fab"), "an icon was not drawn"
    context.close()


# What readers type, and the page that the search is to name first.
QUERIES = {
    "MAML++": "variants/stability",
    "FOMAML": "variants/first-order",
    "first-order MAML": "variants/first-order",
    "Reptile": "variants/reptile",
    "iMAML": "variants/implicit",
    "Neumann series": "variants/implicit",
    "truncated": "variants/unrolling",
    "finite differences": "variants/unrolling",
    "ANIL": "variants/what-adapts",
    "BOIL": "variants/what-adapts",
    "CAVIA": "variants/what-adapts",
    "Meta-SGD": "variants/inner-rates",
    "DropGrad": "variants/inner-rates",
    "ProtoMAML": "variants/closed-form",
    "R2-D2": "variants/closed-form",
    "neural tangent kernel": "variants/tangent-kernel",
    "CAGrad": "variants/task-weights",
    "MOML": "variants/outer-loops",
    "EvoGrad": "variants/outer-loops",
    "batch norm": "variants/batch-norm",
    "Colab": "practice/on-a-gpu",
    "out of memory": "variants/cost",
    "mixed precision": "practice/precision",
    "learning rate": "objective/complete",
}


# The same, as they type it: a letter wrong, a space too few or too many, an ending, words that say nothing.
TYPED = {
    "reptiles": "variants/reptile",
    "reptil": "variants/reptile",
    "implict gradient": "variants/implicit",
    "maml ++": "variants/stability",
    "meta sgd": "variants/inner-rates",
    "metasgd": "variants/inner-rates",
    "R2D2": "variants/closed-form",
    "proto-maml": "variants/closed-form",
    "FO-MAML": "variants/first-order",
    "omniglott": "practice/few-shot-images",
    "miniimagenet": "practice/few-shot-images",
    "few-shot": "practice/few-shot-images",
    "batchnorm": "variants/batch-norm",
    "second order": "objective/gradients-of-gradients",
    "how many inner steps?": "dynamics/steps",
    "out of memmory": "variants/cost",
    "finetuning": "practice/baselines",
    "which algorithm": "practice/map",
    "NTK": "variants/tangent-kernel",
    "LSTM": "practice/any-network",
    "gradient surgery": "variants/task-weights",
    "nan": "variants/stability",
    "lora": "practice/any-network",
    "hessian": "objective/gradients-of-gradients",
    "faq": "appendix/questions",
    "higher": "appendix/higher",
    "relu": "objective/gradients-of-gradients",
    "memorization": "beyond/bayes",
    "speed": "variants/speed",
    "step size and number of steps": "dynamics/steps",
    "task weighting": "variants/task-weights",
    "why is my meta-gradient wrong with reinforcement learning": "beyond/reinforcement",
    "attention without softmax": "beyond/in-context",
}


def searched(page, base, words) -> list[str]:
    """Give the addresses that a search lists, the first one first."""
    page.goto(f"{base}search.html?q={quote_plus(words)}")
    page.wait_for_function(
        "() => /found (one|\\d)|did not match/.test(document.querySelector('.search-summary')?.textContent)"
    )
    return page.eval_on_selector_all("#search-results li a", "all => all.map(link => link.getAttribute('href'))")


def test_the_search_names_the_right_page_first(base, built, browser):
    page, wrong = browser.new_context().new_page(), {}
    for words, wanted in {**QUERIES, **TYPED}.items():
        first = searched(page, base, words)[0]
        if first.partition(".html")[0] != f"book/{wanted}":
            wrong[words] = first
    page.context.close()
    assert not wrong


def test_the_search_says_what_it_has_mended_and_leads_to_sections(base, built, browser):
    page = browser.new_context().new_page()
    searched(page, base, "implict functoin theorem")
    assert "\u201cimplicit function theorem\u201d" in page.locator("p.search-mended").inner_text()
    first = searched(page, base, "maml ++")[0]
    assert page.locator("p.search-mended").count() == 0
    assert first.endswith("#three-of-the-parts-in-one-formula")
    with_it, without = (searched(page, base, words) for words in ("reptile", "reptile -fomaml"))
    assert len(without) < len(with_it)
    page.goto(f"{base}search.html?q=zzzzqqqq")
    page.wait_for_selector("#search-results p.search-summary")
    assert page.locator("#search-results li").count() == 0
    page.context.close()


FURNITURE = re.compile(r"On this page|\\[(\[a-z]|check\(|\bimport \w|Toggle|Show code|\.pdf")


def test_what_the_search_shows_of_a_page_is_prose(base, built, browser):
    page, wrong = browser.new_context().new_page(), []
    for words in ("Reptile", "implicit gradient", "Hessian", "reptil", "BatchNorm"):
        searched(page, base, words)
        page.wait_for_selector("#search-results p.context")
        page.wait_for_load_state("networkidle")
        shown = page.locator("#search-results p.context").all_inner_texts()
        assert len(shown) > 1
        wrong += [f"{words}: {text}" for text in shown if FURNITURE.search(text)]
        first = page.locator("#search-results li").first.inner_text().lower()  # the title stands above the prose
        assert all(word[:6].lower() in first for word in words.split()) or words == "BatchNorm"
    page.context.close()
    assert not wrong, "\n".join(wrong)


def test_the_search_reads_no_code(built):
    index = (built / "searchindex.js").read_text()
    assert '"fomaml"' in index
    assert "invalidate_caches" not in index  # of the cell that sets each page up


FOCUS = """() => {
    const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
    const outline = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    const drawn = at.querySelector('.mb-ring'); // a point of a figure has one in the picture
    const ring = outline || (drawn !== null && getComputedStyle(drawn).opacity === '1');
    const seen = box.width > 0 && box.bottom > 0 && box.top < innerHeight;
    return at === document.body ? null : [at.outerHTML.slice(0, 120), (ring || at.tagName === 'A') && seen];
}"""


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desk", "phone"])
def test_the_keyboard_sees_where_it_is(size, base, built, browser):
    page = browser.new_context(viewport=size, reduced_motion="reduce").new_page()
    page.goto(f"{base}book/dynamics/steps.html")
    page.wait_for_load_state("networkidle")
    stops = []
    while len(stops) < 60:
        page.keyboard.press("Tab")
        if (found := page.evaluate(FOCUS)) is None:
            break
        stops.append(found)
    assert len(stops) > 30
    assert [where for where, seen in stops[1:] if not seen] == []  # the first one, to skip to the text, comes into view
    page.context.close()


# What the theme's variables are without scripts, and what a reader would press in vain.
BARE = """() => [getComputedStyle(document.querySelector('.bd-article div.cell_input')).borderTopWidth,
    ...[...document.querySelectorAll('.btn-fullscreen-button, .sidebar-toggle, .copybtn, .search-button')]
        .filter((node) => node.checkVisibility()).map((node) => node.className)]"""


def test_without_scripts_a_page_has_its_colours_and_no_dead_button(base, built, browser):
    page = browser.new_context(viewport=PHONE, java_script_enabled=False).new_page()
    page.goto(f"{base}book/dynamics/steps.html")
    assert page.evaluate(BARE) == ["1px"]
    menu = page.locator(".dropdown-menu").first
    assert not menu.is_visible()
    page.locator(".dropdown .dropdown-toggle").first.focus()
    assert menu.is_visible()
    page.context.close()


def test_forced_colours_leave_the_slider_and_the_choice(base, built, browser):
    context = browser.new_context(viewport=DESKTOP, forced_colors="active", color_scheme="dark")
    page = context.new_page()
    page.goto(f"{base}book/variants/cost.html", wait_until="load")
    slider = page.locator("figure.mamlbook-figure input[type=range]").first
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    clip = {"x": box["x"] + box["width"] * 0.8, "y": box["y"], "width": box["width"] * 0.2, "height": box["height"]}
    strip = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("L")  # right of the thumb: the track alone
    low, high = strip.getextrema()
    assert high - low > 60, "no track"
    chosen, other = (
        page.locator(f"figure.mamlbook-figure .mb-buttons button[aria-pressed={value}]").first
        for value in ("true", "false")
    )
    border = "node => { const style = getComputedStyle(node); return style.borderTopStyle + style.borderTopWidth; }"
    assert chosen.evaluate(border) != other.evaluate(border)
    context.close()


def test_all_links_of_a_page_have_one_colour(base, built, browser):
    page = browser.new_context(viewport=DESKTOP).new_page()
    page.goto(f"{base}book/practice/few-shot-images.html")
    links = "all => all.map((link) => getComputedStyle(link).color)"
    where = [".bd-article p a.reference:not(.glossed)", ".bd-article table a.reference:not(.glossed)"]
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        page.evaluate(AT_REST)
        assert all(page.locator(each).count() for each in where)
        assert len({colour for each in where for colour in page.eval_on_selector_all(each, links)}) == 1
    page.context.close()


def test_what_a_finger_has_to_meet_is_large_enough(base, built, browser):
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    small = {}
    for name in ("book/practice/map", "book/practice/few-shot-images", "book/variants/reptile"):
        page.goto(f"{base}{name}.html", wait_until="load")
        controls = page.locator(
            ".bd-article :is(summary, select, input:not([type=range], [type=radio], [type=checkbox]))"
        )
        for control in controls.all():
            if control.is_visible() and (height := control.bounding_box()["height"]) < 43.5:
                small[f"{name}: {control.evaluate('node => node.outerHTML.slice(0, 80)')}"] = height
    assert not small
    context.close()


# Of each slider: how tall a screen has to be to show it with the plot next to it.
TOGETHER = """() => [...document.querySelectorAll('figure.mamlbook-figure[data-mounted]')].flatMap((figure) => {
    const boxes = (words) => [...figure.querySelectorAll(words)].map((node) => node.getBoundingClientRect());
    const plots = boxes('.mb-plot').filter((box) => box.height > 60);
    const need = (one) => plots.map((plot) => Math.max(plot.bottom, one.bottom) - Math.min(plot.top, one.top));
    return plots.length ? boxes('input[type=range]').filter((box) => box.height)
        .map((box) => [figure.dataset.kind, Math.min(...need(box))]) : [];
})"""


def test_a_slider_and_its_plot_are_seen_together_on_a_phone(base, built, browser):
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page, apart, seen = context.new_page(), {}, 0
    for name in (name for name in PAGES if 'data-kind="' in (built / f"{name}.html").read_text()):
        page.goto(f"{base}{name}.html", wait_until="load")
        found = page.evaluate(TOGETHER)
        seen += len(found)
        apart |= {f"{name}, {kind}": need for kind, need in found if need > 660}  # of 844, less the browser's own bars
    context.close()
    assert seen > 20
    assert not apart


@pytest.fixture
def spoiled(built, tmp_path):
    """Give a copy of the built book with a page that has every fault."""
    copy = tmp_path / "html"
    shutil.copytree(built, copy, ignore=shutil.ignore_patterns("*.map", "locales"))
    text = (copy / f"{PAGES[0]}.html").read_text()
    page = text.replace("</article>", "\n".join(SABOTAGE.values()) + "</article>")
    assert page != text
    (copy / "book/spoiled.html").write_text(page)
    return copy


def test_every_fault_is_found(spoiled, serve, browser):
    problems = page_problems(browser, serve(spoiled), spoiled, "book/spoiled")
    missed = [kind for kind in SABOTAGE if not any(kind in batch for batch in problems)]
    assert not missed, "\n".join(problems)


def test_an_external_request_is_found_in_a_file(spoiled, browser):
    assert any("external request" in batch for batch in disk_problems(browser, spoiled, "book/spoiled"))
